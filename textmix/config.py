"""The configuration: one frozen dataclass per section, every field with its meaning, bounds checked where it is made.

Values come from defaults, a YAML file and ``--section.key value`` flags (see :mod:`textmix.cli`), or from Python.
This module imports nothing heavy, so that ``--help`` answers at once.
"""

import codecs
from dataclasses import dataclass, field
from typing import Literal

from textmix.errors import InputError

PACKAGED = "packaged:"
"""Prefix of a corpus or model that an installed package carries, such as ``packaged:tweets``."""


def _check(ok: bool, key: str, expected: str, value: object) -> None:
    if not ok:
        raise InputError(f"{key}: expected {expected}, got {value!r}.")


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


@dataclass(frozen=True)
class DataConfig:
    """Where the examples come from and how they are read."""

    path: str = "packaged:tweets"
    """Hub id; file (csv, tsv, json, jsonl, parquet); folder holding train.*, validation.*, test.*; or packaged corpus
    (packaged:tweets, packaged:bbc)."""
    subset: str | None = None
    """Configuration name of a Hub data set that has several."""
    revision: str | None = None
    """Branch, tag or commit of a Hub data set."""
    text_column: str | tuple[str, ...] = "text"
    """Column that holds the text; of several names the first that is there."""
    text_pair_column: str | None = None
    """Column that holds the second text of a pair (entailment, paraphrase)."""
    label_column: str | tuple[str, ...] = "label"
    """Column that holds the label, class indices or names; of several names the first that is there."""
    train_split: str = "train"
    """Name of the split to train on."""
    validation_split: str | None = "validation"
    """Name of the split that chooses epochs, alpha and temperature; where it is missing or null, a part of train
    serves."""
    test_split: str | None = "test"
    """Name of the split that is read once, to report; where it is missing or null, the summary has no test metrics."""
    validation_fraction: float = 0.1
    """Share of train that becomes validation (stratified) where the source has none."""
    split_seed: int = 13
    """Seed of that split, apart from the run's seed so that every run validates on the same examples."""
    train_examples: int | None = None
    """Train on this many examples only (stratified, chosen by split_seed)."""
    encoding: str = "utf-8"
    """Encoding of csv, tsv and json files, such as utf-8, latin-1 or cp1252."""
    max_length: int = 128
    """Longest text in tokens; longer ones are cut, and counted."""
    tokenizer: str = "words"
    """For cnn and lstm: words (a lower-case vocabulary of the training texts) or a Hugging Face tokenizer (Hub id,
    folder, packaged:minilm). A pretrained model always brings its own."""
    vocab_size: int = 30_000
    """Most words in the vocabulary, the frequent ones first."""
    min_count: int = 1
    """Words seen fewer times in the training texts become [UNK]."""

    def __post_init__(self) -> None:
        _check(bool(self.path), "data.path", "a Hub id, file, folder or packaged corpus", self.path)
        columns = [c for c in (self.text_column, self.text_pair_column, self.label_column) if c is not None]
        _check(
            len(set(columns)) == len(columns),
            "data.label_column",
            "other names than those of the text columns",
            columns,
        )
        _check(_is_encoding(self.encoding), "data.encoding", "an encoding such as utf-8 or latin-1", self.encoding)
        _check(
            0 < self.validation_fraction < 1, "data.validation_fraction", "a share in (0, 1)", self.validation_fraction
        )
        _check(self.train_examples is None or self.train_examples >= 2, "data.train_examples", "at least 2",
               self.train_examples)  # fmt: skip
        _check(self.split_seed >= 0, "data.split_seed", "an integer >= 0", self.split_seed)
        _check(self.max_length >= 1, "data.max_length", "an integer >= 1", self.max_length)
        _check(self.vocab_size >= 3, "data.vocab_size", "an integer >= 3", self.vocab_size)
        _check(self.min_count >= 1, "data.min_count", "an integer >= 1", self.min_count)


@dataclass(frozen=True)
class ModelConfig:
    """Which network."""

    name: Literal["cnn", "lstm", "pretrained"] = "cnn"
    """cnn (Kim 2014), lstm (bidirectional), or pretrained (any Hugging Face sequence classifier)."""
    path: str | None = None
    """For pretrained: Hub id, folder, or packaged:minilm."""
    vectors: str = "random"
    """Word vectors to start from, for cnn and lstm: random, a GloVe or word2vec text file, or a Hugging Face model (Hub
    id, folder, packaged:minilm) whose input embeddings are taken; only the rows the training texts use are kept."""
    freeze_vectors: bool = False
    """Keep the word vectors as they are."""
    embedding_dim: int = 300
    """Width of random word vectors; other vectors bring their own."""
    filter_widths: tuple[int, ...] = (3, 4, 5)
    """Widths of the CNN's filters, in tokens."""
    num_filters: int = 100
    """CNN filters of each width."""
    hidden_size: int = 256
    """LSTM units in each direction."""
    num_layers: int = 1
    """LSTM layers."""
    new_head: bool = False
    """Start with a new classifier where that of the pretrained model was trained for another number of labels."""
    dropout: float = 0.5
    """Dropout before the classifier of cnn and lstm."""

    def __post_init__(self) -> None:
        _check(
            self.name != "pretrained" or self.path is not None,
            "model.path", "a Hub id, folder or packaged:minilm for model.name pretrained", self.path,
        )  # fmt: skip
        _check(self.embedding_dim >= 1, "model.embedding_dim", "an integer >= 1", self.embedding_dim)
        widths_ok = len(self.filter_widths) > 0 and min(self.filter_widths) >= 1
        _check(widths_ok, "model.filter_widths", "one or more widths >= 1", self.filter_widths)
        _check(self.num_filters >= 1, "model.num_filters", "an integer >= 1", self.num_filters)
        _check(self.hidden_size >= 1, "model.hidden_size", "an integer >= 1", self.hidden_size)
        _check(self.num_layers >= 1, "model.num_layers", "an integer >= 1", self.num_layers)
        _check(0 <= self.dropout < 1, "model.dropout", "a probability in [0, 1)", self.dropout)


@dataclass(frozen=True)
class PeftConfig:
    """Adapters beside the frozen weights of a pretrained model (package peft); the saved model has them merged in."""

    kind: Literal["none", "lora"] = "none"
    """none trains all weights; lora adds matrices of low rank (Hu et al. 2021, arXiv 2106.09685)."""
    r: int = 8
    """Their rank."""
    alpha: int = 16
    """Their scale is alpha / r."""
    dropout: float = 0.0
    """Dropout before them."""
    target_modules: tuple[str, ...] = ()
    """Modules that get them, by the ends of their paths; () is every linear layer but the classifier."""

    def __post_init__(self) -> None:
        _check(self.r >= 1, "peft.r", "an integer >= 1", self.r)
        _check(self.alpha >= 1, "peft.alpha", "an integer >= 1", self.alpha)
        _check(0 <= self.dropout < 1, "peft.dropout", "a probability in [0, 1)", self.dropout)


@dataclass(frozen=True)
class MixupConfig:
    """How pairs are mixed (Thulasidasan et al. 2019, section 2)."""

    site: str = "embedding"
    """Where inputs are mixed: none, embedding, hidden:<k>, hidden:random[a,b,c], head, or a dotted module path."""
    alpha: float = 0.0
    """lambda ~ Beta(alpha, alpha); 0 trains without mixing."""
    labels: Literal["soft", "dominant"] = "soft"
    """soft mixes labels as inputs; dominant keeps the label of the larger weight (the paper's ablation)."""
    weight_per: Literal["batch", "sample"] = "batch"
    """One lambda for the batch (the paper) or one for every pair."""
    clean_weight: float = 0.0
    """Weight of an added loss on the unmixed batch (RegMixup, arXiv 2206.14502, uses 1 with alpha 10 to 20)."""
    start_epoch: int = 0
    """Train on clean batches before this epoch (counted from 0)."""
    off_last_epochs: int = 0
    """Train on clean batches in the last epochs."""

    def __post_init__(self) -> None:
        _check(bool(self.site), "mixup.site", "none, embedding, hidden:<k>, head or a module path", self.site)
        _check(0 <= self.alpha < float("inf"), "mixup.alpha", "a finite number >= 0", self.alpha)
        _check(0 <= self.clean_weight < float("inf"), "mixup.clean_weight", "a finite number >= 0", self.clean_weight)
        _check(self.start_epoch >= 0, "mixup.start_epoch", "an integer >= 0", self.start_epoch)
        _check(self.off_last_epochs >= 0, "mixup.off_last_epochs", "an integer >= 0", self.off_last_epochs)

    @property
    def active(self) -> bool:
        """Whether any batch is to be mixed at all."""
        return self.site != "none" and self.alpha > 0


@dataclass(frozen=True)
class LossConfig:
    """Cross entropy and what is added to it."""

    label_smoothing: float = 0.0
    """Epsilon of label smoothing; 0 turns it off."""
    smoothing_convention: Literal["others", "all"] = "others"
    """others: epsilon goes to the K - 1 other classes (the paper); all: it is spread over all K (torch)."""
    entropy_penalty: float = 0.0
    """Kappa of the entropy-regularised loss, CE - kappa * H(p), in nats (Pereyra et al. 2017)."""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """none, balanced (n / (K * count), as scikit-learn), or one weight a class in the order of the labels."""

    def __post_init__(self) -> None:
        _check(0 <= self.label_smoothing <= 1, "loss.label_smoothing", "a share in [0, 1]", self.label_smoothing)
        _check(0 <= self.entropy_penalty < float("inf"), "loss.entropy_penalty", "a finite number >= 0",
               self.entropy_penalty)  # fmt: skip
        weights = () if isinstance(self.class_weights, str) else self.class_weights
        _check(all(0 < w < float("inf") for w in weights), "loss.class_weights", "finite weights > 0", weights)


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation."""

    epochs: int = 10
    """Passes over the training examples."""
    max_steps: int | None = None
    """Stop after this many optimizer steps, whatever epochs says."""
    batch_size: int = 50
    """Examples of a micro-batch on each process; mixing happens within it."""
    eval_batch_size: int = 256
    """Examples of a batch when predicting."""
    gradient_accumulation_steps: int = 1
    """Micro-batches of one optimizer step; the loss is averaged over all their examples."""
    optimizer: Literal["adamw", "adam", "sgd", "adadelta"] = "adamw"
    """Optimizer; sgd uses Nesterov momentum."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    momentum: float = 0.9
    """Momentum of sgd."""
    weight_decay: float = 0.0
    """Weight decay; not applied to biases and normalisation layers."""
    schedule: Literal["constant", "linear", "cosine", "steps"] = "constant"
    """Learning rate after the warm-up: constant, linear or cosine decay to 0, or times step_factor at step_epochs."""
    warmup: float = 0.0
    """Share of all steps over which the learning rate rises from 0."""
    step_epochs: tuple[int, ...] = ()
    """Epochs at which the schedule steps multiplies the learning rate."""
    step_factor: float = 0.2
    """That factor."""
    max_grad_norm: float | None = 1.0
    """Largest norm of the gradient; null leaves it unclipped."""
    select: Literal["nll", "accuracy", "last"] = "nll"
    """Which epoch becomes the model: lowest validation NLL, highest validation accuracy, or the last one."""
    patience: int | None = None
    """Stop when select has not improved for this many epochs; null trains to the end."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of training; auto is what accelerate's launcher was told, else fp32. Evaluation is always fp32."""
    length_buckets: bool = True
    """Batch texts of like length: less padding, and less padding in a mixed pair; false pairs uniformly (the paper)."""
    workers: int = 0
    """Processes that read and collate batches ahead; pays for images, not for texts."""
    threads: int | None = None
    """CPU threads of each process; null divides the cores among the processes of this machine."""
    log_every: int = 10
    """Optimizer steps between two lines of metrics.jsonl."""
    checkpoint_every: int | None = None
    """Optimizer steps between two checkpoints; null saves after every epoch only."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept, beside the best one."""

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size", "eval_batch_size", "gradient_accumulation_steps", "log_every",
                    "keep_checkpoints"):  # fmt: skip
            _check(vars(self)[key] >= 1, f"train.{key}", "an integer >= 1", vars(self)[key])
        _check(self.workers >= 0, "train.workers", "an integer >= 0", self.workers)
        for key in ("max_steps", "patience", "threads", "checkpoint_every"):
            value = vars(self)[key]
            _check(value is None or value >= 1, f"train.{key}", "an integer >= 1, or null", value)
        _check(0 < self.learning_rate < float("inf"), "train.learning_rate", "a finite number > 0", self.learning_rate)
        _check(0 <= self.momentum < 1, "train.momentum", "a number in [0, 1)", self.momentum)
        _check(0 <= self.weight_decay < float("inf"), "train.weight_decay", "a finite number >= 0", self.weight_decay)
        _check(0 <= self.warmup <= 1, "train.warmup", "a share in [0, 1]", self.warmup)
        _check(0 < self.step_factor <= 1, "train.step_factor", "a factor in (0, 1]", self.step_factor)
        _check(all(e >= 1 for e in self.step_epochs), "train.step_epochs", "epochs >= 1", self.step_epochs)
        norm_ok = self.max_grad_norm is None or 0 < self.max_grad_norm < float("inf")
        _check(norm_ok, "train.max_grad_norm", "a finite number > 0, or null", self.max_grad_norm)


@dataclass(frozen=True)
class EvalConfig:
    """What is measured after training."""

    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval, and label draws behind the null band."""
    ood: tuple[str, ...] = ()
    """Further sources of texts (as data.path) on which confidence is measured out of distribution."""

    def __post_init__(self) -> None:
        _check(self.bins >= 1, "eval.bins", "an integer >= 1", self.bins)
        _check(self.resamples >= 100, "eval.resamples", "an integer >= 100", self.resamples)


@dataclass(frozen=True)
class CalibrationConfig:
    """What is done after training with the temperature that validation asks for."""

    temperature: bool = True
    """Fit a temperature on the validation split and report calibrated metrics beside the raw ones."""
    bake: bool = False
    """Divide the saved model's last layer by the temperature, so that everyone who loads it gets calibrated numbers."""

    def __post_init__(self) -> None:
        _check(self.temperature or not self.bake, "calibration.bake", "false where calibration.temperature is false",
               self.bake)  # fmt: skip


@dataclass(frozen=True)
class ExportConfig:
    """Where the finished model goes, beside the run's own folder."""

    push_to_hub: str | None = None
    """Hub id (user/name) to upload the model and its card to, with the token of `hf auth login`; null stays here."""
    private: bool = False
    """Make the repository on the Hub private."""


@dataclass(frozen=True)
class Config:
    """A run: everything that decides its result."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    peft: PeftConfig = field(default_factory=PeftConfig)
    mixup: MixupConfig = field(default_factory=MixupConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    seed: int = 0
    """Seed of the weights, the batches, the dropout and the mixing."""
    output_dir: str | None = None
    """Folder of the run; null is runs/<name of the configuration file>-<seed>."""
    resume: Literal["auto", "never"] = "auto"
    """auto goes on from the newest whole checkpoint that output_dir has of this run; never deletes that run and starts
    again."""

    def __post_init__(self) -> None:
        _check(0 <= self.seed < 2**63, "seed", "an integer in [0, 2^63)", self.seed)
        _check(
            not (self.mixup.active and self.train.batch_size == 1),
            "train.batch_size", "at least 2 with mixup.alpha > 0, for a row needs a partner", self.train.batch_size,
        )  # fmt: skip
        _check(self.peft.kind == "none" or self.model.name == "pretrained", "peft.kind",
               f"none for model.name {self.model.name}, which has nothing pretrained", self.peft.kind)  # fmt: skip
        clean = self.mixup.start_epoch + self.mixup.off_last_epochs
        _check(not self.mixup.active or clean < self.train.epochs, "mixup.off_last_epochs",
               f"less than train.epochs ({self.train.epochs}) together with mixup.start_epoch", clean)  # fmt: skip

"""How it is trained: mixing, loss, optimisation."""

from dataclasses import dataclass, replace
from typing import Literal

from textmix.config.bounds import check, check_choices


@dataclass(frozen=True)
class MixupConfig:
    """How pairs are mixed (Thulasidasan et al. 2019, section 2)."""

    site: str | None = None
    """Where inputs are mixed: none, embedding (texts), input (the pixels of images), hidden:<k>, hidden:random[a,b,c],
    head, or a dotted module path; null is embedding for texts and input for images."""
    alpha: float = 0.1
    """lambda ~ Beta(alpha, alpha); 0 trains without mixing. docs/guide.md tells why 0.1."""
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
        check_choices(self, "mixup.")
        check(self.site != "", "mixup.site", "none, embedding, hidden:<k>, head, a module path or null", self.site)
        check(0 <= self.alpha < float("inf"), "mixup.alpha", "a finite number >= 0", self.alpha)
        check(0 <= self.clean_weight < float("inf"), "mixup.clean_weight", "a finite number >= 0", self.clean_weight)
        check(self.start_epoch >= 0, "mixup.start_epoch", "an integer >= 0", self.start_epoch)
        check(self.off_last_epochs >= 0, "mixup.off_last_epochs", "an integer >= 0", self.off_last_epochs)

    @property
    def active(self) -> bool:
        """Whether any batch is to be mixed at all."""
        return self.site != "none" and self.alpha > 0

    def check_epochs(self, epochs: float) -> None:
        """Refuse settings under which none of a training's epochs would be mixed.

        :raises InputError: they are such.
        """
        clean = self.start_epoch + self.off_last_epochs
        check(not self.active or clean < epochs, "mixup.off_last_epochs",
              f"less than the {epochs} epochs of this training together with mixup.start_epoch", clean)  # fmt: skip

    def of_epoch(self, epoch: int, epochs: int) -> "MixupConfig":
        """Return how to mix in `epoch`, counted from 0, of `epochs`: not at all before the first and in the last."""
        clean = epoch < self.start_epoch or epoch >= epochs - self.off_last_epochs
        return replace(self, alpha=0.0) if clean else self


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
        check_choices(self, "loss.")
        check(0 <= self.label_smoothing <= 1, "loss.label_smoothing", "a share in [0, 1]", self.label_smoothing)
        check(0 <= self.entropy_penalty < float("inf"), "loss.entropy_penalty", "a finite number >= 0",
               self.entropy_penalty)  # fmt: skip
        weights = () if isinstance(self.class_weights, str) else self.class_weights
        check(all(0 < w < float("inf") for w in weights), "loss.class_weights", "finite weights > 0", weights)


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
    auto_batch: bool = False
    """Where memory is too small for a step, take it again with batch_size halved and gradient_accumulation_steps
    doubled, as often as it takes, and stay there. Rows are then mixed with those of a smaller batch."""
    optimizer: Literal["adamw", "adam", "sgd", "adadelta"] = "adamw"
    """Optimizer; sgd uses Nesterov momentum."""
    learning_rate: float | None = None
    """Peak learning rate; null is 1e-3, and 5e-5 for a pretrained model."""
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
    select: Literal["nll", "scaled_nll", "accuracy", "last"] | None = None
    """Which epoch becomes the model: that of the lowest validation NLL, as it is or after temperature scaling, of the
    highest validation accuracy, or the last one; null is scaled_nll where a temperature is baked into the saved model,
    else nll."""
    patience: int | None = None
    """Stop when select has not improved for this many epochs; null trains to the end."""
    precision: Literal["launcher", "auto", "fp32", "bf16", "fp16"] = "launcher"
    """Precision of training: launcher is what accelerate's launcher was told, fp32 without one; auto is bf16 where the
    processor or the GPU computes in it, else fp32. Evaluation is always fp32."""
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
        check_choices(self, "train.")
        for key in ("epochs", "batch_size", "eval_batch_size", "gradient_accumulation_steps", "log_every",
                    "keep_checkpoints"):  # fmt: skip
            check(vars(self)[key] >= 1, f"train.{key}", "an integer >= 1", vars(self)[key])
        check(0 <= self.workers <= 512, "train.workers", "an integer in [0, 512]", self.workers)
        for key in ("max_steps", "patience", "threads", "checkpoint_every"):
            value = vars(self)[key]
            check(value is None or value >= 1, f"train.{key}", "an integer >= 1, or null", value)
        rate_ok = self.learning_rate is None or 0 < self.learning_rate < float("inf")
        check(rate_ok, "train.learning_rate", "a finite number > 0, or null", self.learning_rate)
        check(0 <= self.momentum < 1, "train.momentum", "a number in [0, 1)", self.momentum)
        check(0 <= self.weight_decay < float("inf"), "train.weight_decay", "a finite number >= 0", self.weight_decay)
        check(0 <= self.warmup <= 1, "train.warmup", "a share in [0, 1]", self.warmup)
        check(0 < self.step_factor <= 1, "train.step_factor", "a factor in (0, 1]", self.step_factor)
        check(all(e >= 1 for e in self.step_epochs), "train.step_epochs", "epochs >= 1", self.step_epochs)
        norm_ok = self.max_grad_norm is None or 0 < self.max_grad_norm < float("inf")
        check(norm_ok, "train.max_grad_norm", "a finite number > 0, or null", self.max_grad_norm)

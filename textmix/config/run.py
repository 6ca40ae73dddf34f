"""What is measured and kept, and the whole run."""

import re
from dataclasses import dataclass, field
from typing import Literal

from textmix.config.bounds import NOISE_EMBEDDINGS, check, check_choices, check_statistics
from textmix.config.data import DataConfig
from textmix.config.model import NETWORKS, ModelConfig, PeftConfig
from textmix.config.training import LossConfig, MixupConfig, TrainConfig

_SITES = {"texts": ("input", "embedding"), "images": ("embedding", "input (the pixels)")}
"""The site that a kind of data has not, and the one it has instead."""


@dataclass(frozen=True)
class EvalConfig:
    """What is measured after training."""

    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval, and label draws behind the null band."""
    ood: tuple[str, ...] = ()
    """Further sources (as data.path) on which confidence is measured out of distribution; noise is random tokens or
    Gaussian pixels, as long or as bright as the training examples, and noise:embeddings Gaussian vectors in place of
    the tokens' embeddings, with the mean and deviation of those of the training texts."""

    def __post_init__(self) -> None:
        check_statistics(self.bins, self.resamples, "eval.")


@dataclass(frozen=True)
class CalibrationConfig:
    """What is done after training with the temperature that validation asks for."""

    temperature: bool = True
    """Fit a temperature on the validation split and report calibrated metrics beside the raw ones."""
    bake: bool = True
    """Divide the saved model's last layer by that temperature, so that whoever loads it gets calibrated numbers."""


@dataclass(frozen=True)
class ExportConfig:
    """Where the finished model goes, beside the run's own folder."""

    push_to_hub: str | None = None
    """Hub id (user/name) to upload the model and its card to, with the token of `hf auth login`; null stays here."""
    private: bool = False
    """Make the repository on the Hub private."""
    license: str | None = None
    """Licence that the model card names, such as apache-2.0; null is what the pretrained model's own card says."""

    def __post_init__(self) -> None:
        named = self.push_to_hub is None or re.fullmatch(r"[\w.-]+/[\w.-]+", self.push_to_hub, re.ASCII) is not None
        check(named, "export.push_to_hub", "a Hub id (user/name)", self.push_to_hub)


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
        check_choices(self)
        check(0 <= self.seed < 2**63, "seed", "an integer in [0, 2^63)", self.seed)
        check(
            not (self.mixup.active and self.train.batch_size == 1),
            "train.batch_size", "at least 2 with mixup.alpha > 0, for a row needs a partner", self.train.batch_size,
        )  # fmt: skip
        kind = self.data.kind
        check(self.model.name in NETWORKS[kind], "model.name",
               f"one of {', '.join(NETWORKS[kind])} for {kind} (a run is on images where data.image_column is given)",
               self.model.name)  # fmt: skip
        of_others, sites = _SITES[kind]
        check(not self.mixup.active or self.mixup.site != of_others, "mixup.site",
               f"{sites}, hidden:<k>, head or a module path for {kind}", self.mixup.site)  # fmt: skip
        check(kind == "texts" or NOISE_EMBEDDINGS not in self.eval.ood, "eval.ood",
               "noise, for images have no embeddings of tokens", NOISE_EMBEDDINGS)  # fmt: skip
        check(self.peft.kind == "none" or self.model.name == "pretrained", "peft.kind",
               f"none for model.name {self.model.name}, which has nothing pretrained", self.peft.kind)  # fmt: skip
        self.mixup.check_epochs(self.train.epochs)

    @property
    def mixup_site(self) -> str:
        """Where inputs are mixed while mixing is active."""
        return self.mixup.site or {"texts": "embedding", "images": "input"}[self.data.kind]

    @property
    def learning_rate(self) -> float:
        """The peak learning rate: what `train.learning_rate` says, else what suits the model."""
        usual = 5e-5 if self.model.name == "pretrained" else 1e-3
        return usual if self.train.learning_rate is None else self.train.learning_rate

    @property
    def select(self) -> str:
        """Which epoch becomes the model: `train.select`, else the best of the models as they would be saved."""
        usual = "scaled_nll" if self.calibration.temperature and self.calibration.bake else "nll"
        return usual if self.train.select is None else self.train.select

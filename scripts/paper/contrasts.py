"""Two methods, several runs each, on the same examples: what differs, with intervals over examples and seeds."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from textmix.inference.pairing import align
from textmix.inference.repeated import Part, half_width
from textmix.inference.resample import replicate
from textmix.metrics.examples import score_examples
from textmix.ood import auroc
from textmix.predictions import Predictions

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

RESAMPLES, LEVEL = 1000, 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its interval, over examples and seeds."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Finding:
    """A number without mixup and with it, means over the seeds, and the second less the first."""

    before: float
    after: float
    difference: Estimate

    @property
    def direction(self) -> str:
        """Which way it is established to differ; empty where neither is."""
        return "higher" if self.difference.low > 0 else "lower" if self.difference.high < 0 else ""


def contrast(observed: Values, resampled: Values, factors: tuple[float, float]) -> Estimate:
    """Return a weighted sum of the two methods' means with its interval, over examples and seeds.

    The variance over resampled examples and that between the runs of each method are added, with Welch's degrees of
    freedom, as :func:`textmix.inference.compare` does.

    :param observed: a number of each run (methods, seeds). :param resampled: the same (methods, seeds, resamples).
    """
    weights = np.array(factors)
    value = float(weights @ observed.mean(axis=1))
    over_examples = Part(float((weights @ resampled.mean(axis=1)).std(ddof=1)), resampled.shape[2] - 1)
    over_seeds = np.abs(weights) * observed.std(axis=1, ddof=1) / sqrt(observed.shape[1])
    half = half_width([over_examples, *(Part(error, observed.shape[1] - 1) for error in over_seeds)], LEVEL)
    return Estimate(value, value - half, value + half)


def oe_contrast(groups: list[list[Predictions]], bins: int, fold: float) -> tuple[Values, Estimate]:
    """Return the OE of every run (methods, seeds), and that of the first method less `fold` times that of the second.

    Noise raises an OE the more, the smaller it is, so that this difference is rather too small.

    :param groups: the predictions of every run of both methods, on the same examples.
    """
    aligned = align([run for runs in groups for run in runs])
    scored = [score_examples(p.logits, p.labels) for p in aligned]
    replicates = replicate(scored, bins, RESAMPLES, np.random.default_rng(0))
    shape = (len(groups), len(groups[0]))
    observed = np.array([r.observed("oe") for r in replicates]).reshape(shape)
    resampled = np.stack([r.resampled("oe") for r in replicates]).reshape(*shape, RESAMPLES)
    return observed, contrast(observed, resampled, (1.0, -fold))


def outside(test: Values, other: Values) -> dict[str, Finding]:
    """Compare the methods on one set of images outside the classes.

    Examples of both sides are resampled, the same for both methods and all seeds.
    """
    n, m = test.shape[-1], other.shape[-1]
    rng = np.random.default_rng(0)

    def both(rows: Rows, others: Rows) -> Values:
        areas = [
            [auroc(i[rows], o[others]) for i, o in zip(inside, out, strict=True)]
            for inside, out in zip(test, other, strict=True)
        ]
        return np.stack([other[..., others].mean(axis=-1), areas])

    observed = both(np.arange(n), np.arange(m))
    draws = ((rng.integers(0, n, size=(n,)), rng.integers(0, m, size=(m,))) for _ in range(RESAMPLES))
    resampled = np.stack([both(rows, others) for rows, others in draws], axis=-1)
    found = {}
    for k, quantity in enumerate(("mean confidence", "AUROC")):
        before, after = observed[k].mean(axis=1).tolist()
        found[quantity] = Finding(before, after, contrast(observed[k], resampled[k], (-1.0, 1.0)))
    return found

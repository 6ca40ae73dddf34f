"""Two models on the same examples: what differs, by how much, and whether that is established."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import t

from textmix.errors import InputError
from textmix.inference.intervals import binned_error, check_level
from textmix.inference.pairing import align
from textmix.inference.repeated import MEANS, Part, between_runs, combined, half_width
from textmix.inference.resample import BINNED, Replicates, replicate
from textmix.metrics.examples import FloatArray, Scores, score_examples
from textmix.predictions import Predictions

_TITLES = {"nll": "NLL", "brier": "Brier score", "ece": "ECE", "oe": "OE", "mean_confidence": "mean confidence"}


@dataclass(frozen=True)
class Difference:
    """One metric of a and of b (means over their runs), and b minus a with its interval and two-sided p-value."""

    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float

    @property
    def established(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Two models compared on the same `n` examples, `runs` trainings each: a difference for every metric asked for."""

    n: int
    runs: tuple[int, int]
    level: float
    differences: dict[str, Difference]

    def sentence(self, name_a: str = "a", name_b: str = "b") -> str:
        """Say in plain words what is established and what is not."""
        parts = [_words(metric, d) for metric, d in self.differences.items()]
        runs = (
            f"{self.runs[0]} and {self.runs[1]} runs"
            if self.runs != (1, 1)
            else "one run each, so that nothing is known of other seeds"
        )
        return (
            f"{name_b} against {name_a} on {self.n:,} examples ({runs}; {self.level:.0%} intervals): "
            f"{'; '.join(parts)}."
        )


def compare(
    a: Predictions | Sequence[Predictions],
    b: Predictions | Sequence[Predictions],
    *,
    metrics: Sequence[str] = ("accuracy", "nll", "brier", "ece", "oe"),
    num_bins: int = 15,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int | np.random.Generator = 0,
) -> Comparison:
    """Compare model b with model a, example by example; every difference is b minus a.

    One run each: accuracy, NLL and Brier by a paired t interval, accuracy with one discordant pair added either way
    (Bonett and Price 2012); the binned metrics by a paired bootstrap of the examples for the standard error, with what
    noise adds to each model's value taken off, in the bounds of :func:`textmix.inference.confidence_intervals`.

    Several runs each (one Predictions a seed): the metrics are averaged over the runs of a method, the variance between
    runs over their number is added for each method, and Student's t takes Welch's degrees of freedom. Resampling three
    or five seeds themselves would give intervals that are too short. Then the interval speaks of the methods, not only
    of these trained models.

    :param a: predictions of the baseline, or a list with one entry a run. :param b: those of the other model.
    :param metrics: any of accuracy, nll, brier, mean_confidence, ece, oe, over, under.
    :raises InputError: an unknown metric; ids or true labels that differ (equal ids in another order are aligned);
        fewer than two examples; or one run against several.

    >>> ids, labels = [str(i) for i in range(400)], np.arange(400) % 2
    >>> modest = np.where(np.eye(2)[labels] * (np.arange(400) % 10 > 1)[:, None], 1.4, 0.0)
    >>> a = Predictions(5 * modest, labels, ("no", "yes"), ids)
    >>> b = Predictions(modest, labels, ("no", "yes"), ids)
    >>> result = compare(a, b, metrics=("accuracy", "ece"))
    >>> result.differences["accuracy"].established, result.differences["ece"].established
    (False, True)
    """
    check_level(level)
    unknown = [metric for metric in metrics if metric not in {*MEANS, *BINNED}]
    if unknown:
        raise InputError(f"metrics: expected some of {', '.join([*MEANS, *BINNED])}, got {unknown[0]!r}.")
    runs_a = [a] if isinstance(a, Predictions) else list(a)
    runs_b = [b] if isinstance(b, Predictions) else list(b)
    if min(len(runs_a), len(runs_b)) < 1 or (len(runs_a) == 1) != (len(runs_b) == 1):
        raise InputError(
            f"compare: expected one run of each model or several of both, got {len(runs_a)} and {len(runs_b)}."
        )
    aligned = align([*runs_a, *runs_b])
    examples = [score_examples(p.logits, p.labels) for p in aligned]
    n = len(examples[0].correct)
    if n < 2:
        raise InputError("compare: expected at least 2 examples, got 1.")
    split = len(runs_a)
    replicates = replicate(examples, num_bins, resamples, np.random.default_rng(seed))
    differences = {
        metric: _mean_difference(examples, split, MEANS[metric], level)
        if metric in MEANS
        else _binned_difference(replicates, split, metric, level)
        for metric in metrics
    }
    return Comparison(n, (split, len(runs_b)), level, differences)


def _mean_difference(runs: list[Scores], split: int, field: str, level: float) -> Difference:
    values = np.stack([vars(run)[field].double().numpy() for run in runs])
    paired = values[split:].mean(0) - values[:split].mean(0)
    # Bonett and Price: without them, no disagreement between two models would be taken for proof that they agree.
    padded = np.append(paired, [1.0, -1.0]) if field == "correct" else paired
    error = padded.std(ddof=1) / sqrt(len(padded))
    center = float(padded.mean())
    return _difference(values.mean(1), split, (center, center), Part(float(error), len(padded) - 1), level)


def _binned_difference(runs: list[Replicates], split: int, metric: str, level: float) -> Difference:
    observed = np.array([run.observed(metric) for run in runs])
    resampled = np.stack([run.resampled(metric) for run in runs])
    of_a, of_b = resampled[:split].mean(0), resampled[split:].mean(0)
    # Each model's bias is known up to a range only. What the two have in common cancels, and as far as their values
    # rise and fall together from resample to resample, so do their biases.
    least, most = (np.array([run.bias(metric, shift=shift) for run in runs]) for shift in (-1.0, 1.0))
    radius_a, radius_b = ((most - least)[part].mean() / 2 for part in (slice(split), slice(split, None)))
    spread = of_a.std() * of_b.std()
    together = float(np.clip(np.cov(of_a, of_b, ddof=0)[0, 1] / spread, 0, 1)) if spread > 0 else 0.0
    radius = max(radius_a + radius_b - 2 * together * min(radius_a, radius_b), 0.0)
    debiased = observed - (least + most) / 2
    center = debiased[split:].mean() - debiased[:split].mean()
    n = int(runs[0].count.sum())
    error = Part(binned_error(of_b - of_a, n, level), n - 1)
    return _difference(observed, split, (float(center - radius), float(center + radius)), error, level)


def _difference(observed: FloatArray, split: int, center: tuple[float, float], error: Part, level: float) -> Difference:
    """Return the difference with its interval, the variance between runs added to that over examples.

    :param observed: the metric of each run, those of a first. :param center: where the interval's middle may lie.
    """
    parts = [error, *between_runs(observed[:split]), *between_runs(observed[split:])]
    half, total = half_width(parts, level), combined(parts)
    mean_a, mean_b = float(observed[:split].mean()), float(observed[split:].mean())
    distance = max(center[0], -center[1], 0.0)
    if total.error == 0:
        return Difference(mean_a, mean_b, mean_b - mean_a, *center, float(distance == 0))
    p_value = float(2 * t.sf(distance / total.error, total.freedom))
    return Difference(mean_a, mean_b, mean_b - mean_a, center[0] - half, center[1] + half, p_value)


def _words(metric: str, d: Difference) -> str:
    title = _TITLES.get(metric, metric)
    if not d.established:
        return f"{title} not distinguishable ({d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}])"
    word = "higher" if d.low > 0 else "lower"
    low, high = sorted((abs(d.low), abs(d.high)))
    return f"{title} {word} by {abs(d.difference):.3f} [{low:.3f}, {high:.3f}]"

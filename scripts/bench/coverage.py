"""Do intervals cover, do tests reject as often as they say? python scripts/bench/coverage.py [--simulations 500].

Models are simulated from populations whose calibration error in 15 bins is known. Prints three tables; takes minutes.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from textmix.inference import compare, confidence_intervals, null_band, spiegelhalter
from textmix.predictions import Predictions

Floats = npt.NDArray[np.float64]
Population = tuple[Callable[[np.random.Generator, int], Floats], Callable[[Floats], Floats]]
"""Draws confidences, and says how often a prediction of such a confidence is right."""

BINS = 15
POPULATION = 2_000_000  # examples that stand for the population when its true error is computed


def saturated(rng: np.random.Generator, n: int) -> Floats:
    """Confidences 0.5 + 0.5 Beta(6, 1.2), as trained networks show."""
    return 0.5 + 0.5 * rng.beta(6, 1.2, n)


def spread(rng: np.random.Generator, n: int) -> Floats:
    """Confidences 0.5 + 0.5 Beta(2, 2), in all bins above one half."""
    return 0.5 + 0.5 * rng.beta(2, 2, n)


POPULATIONS: dict[str, Population] = {
    "calibrated, saturated": (saturated, lambda c: c),
    "calibrated, spread": (spread, lambda c: c),
    "0.02 too high, saturated": (saturated, lambda c: c - 0.02),
    "0.05 too high, saturated": (saturated, lambda c: c - 0.05),
    "0.05 too high, spread": (spread, lambda c: c - 0.05),
    "0.05 too low, spread": (spread, lambda c: np.minimum(c + 0.05, 1)),
    "too high where sure, ECE 0.05": (saturated, lambda c: c - 0.07 * (c > 13 / 15)),
    "one bin far off, ECE 0.05": (spread, lambda c: np.where((c > 12 / 15) & (c <= 13 / 15), c - 0.36, c)),
    "up and down, ECE 0.05": (spread, lambda c: np.clip(c + 0.05 * np.where(np.ceil(c * BINS) % 2, 1, -1), 0, 1)),
    "0.1 too high, saturated": (saturated, lambda c: c - 0.1),
}


def simulate(population: Population, n: int, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Draw logits (n, 2) that predict class 0 with a confidence of the population, and labels."""
    draw, accuracy = population
    confidence = np.clip(draw(rng, n), 0.5, 1 - 1e-12)
    logits = np.stack([np.log(confidence / (1 - confidence)), np.zeros(n)], axis=1)
    return logits, (rng.random(n) >= accuracy(confidence)).astype(np.int64)


def truth(population: Population) -> dict[str, float]:
    """Return the population's calibration error in equal-width bins."""
    draw, accuracy = population
    confidence = draw(np.random.default_rng(0), POPULATION)
    bins = np.ceil(confidence * BINS).astype(np.int64) - 1
    gap = np.bincount(bins, confidence - accuracy(confidence)) / POPULATION
    mean = np.bincount(bins, confidence) / np.maximum(np.bincount(bins), 1)
    return {
        "ece": float(np.abs(gap).sum()),
        "over": float(np.maximum(gap, 0).sum()),
        "oe": float((mean * np.maximum(gap, 0)).sum()),
    }


def interval_coverage(simulations: int, n: int) -> Iterator[str]:
    """Yield the rows of the first table: how often the 95 % intervals of binned metrics cover."""
    yield f"| population, N = {n:,} | true ECE | covers ECE | mean width | covers over | covers OE |"
    yield "|---|---|---|---|---|---|"
    for name, population in POPULATIONS.items():
        true, rng = truth(population), np.random.default_rng(1)
        bounds = [confidence_intervals(*simulate(population, n, rng), seed=rng) for _ in range(simulations)]
        covers = {m: np.mean([b[m].low <= true[m] + 1e-9 and true[m] <= b[m].high for b in bounds]) for m in true}
        width = np.mean([b["ece"].high - b["ece"].low for b in bounds])
        yield (
            f"| {name} | {true['ece']:.4f} | {covers['ece']:.3f} | {width:.3f} | {covers['over']:.3f} | "
            f"{covers['oe']:.3f} |"
        )


def null_rejections(simulations: int) -> Iterator[str]:
    """Yield the rows of the second table: how often calibrated models are called uncalibrated at 5 %."""
    metrics = ("ece", "oe", "over", "under", "rms")
    yield f"| calibrated models | {' | '.join(metrics)} | Spiegelhalter |\n|{'---|' * (len(metrics) + 2)}"
    for draw in (saturated, spread):
        for n in (200, 872, 7_600):
            rng = np.random.default_rng(2)
            models = [simulate((draw, lambda c: c), n, rng) for _ in range(simulations)]
            bands = [null_band(*model, seed=rng) for model in models]
            rates = [np.mean([band[m].p_value <= 0.05 for band in bands]) for m in metrics]
            rates.append(np.mean([spiegelhalter(*model).p_value <= 0.05 for model in models]))
            yield f"| {draw.__name__}, N = {n:,} | {' | '.join(f'{rate:.3f}' for rate in rates)} |"


def comparison_coverage(simulations: int, n: int) -> Iterator[str]:
    """Yield the rows of the third table: how often the intervals of a difference in ECE cover."""
    yield f"| b against a, N = {n:,} | true difference | covers | mean width |\n|---|---|---|---|"
    shifts = {"0": 0.0, "+0.02": 0.02, "+0.05": 0.05, "-0.03": -0.03}
    ids = [str(i) for i in range(n)]
    for a, b in (("0", "0"), ("0", "+0.02"), ("0", "+0.05"), ("0", "-0.03"), ("+0.02", "+0.05"), ("-0.03", "+0.02")):
        rng = np.random.default_rng(3)
        errors = [np.abs(_moved(saturated(rng, POPULATION), shifts[k])[1]).mean() for k in (a, b)]
        true, differences = errors[1] - errors[0], []
        for _ in range(simulations):
            confidence = saturated(rng, n)
            labels = (rng.random(n) >= confidence).astype(np.int64)
            models = [Predictions(_moved(confidence, shifts[k])[0], labels, ("right", "wrong"), ids) for k in (a, b)]
            differences.append(compare(*models, metrics=["ece"], seed=rng).differences["ece"])
        covers = np.mean([d.low - 1e-9 <= true <= d.high + 1e-9 for d in differences])
        width = np.mean([d.high - d.low for d in differences])
        yield f"| confidence {b} against {a} | {true:+.4f} | {covers:.3f} | {width:.3f} |"


def _moved(confidence: Floats, by: float) -> tuple[Floats, Floats]:
    moved = np.clip(confidence + by, 0.5, 1 - 1e-9)
    return np.stack([np.log(moved / (1 - moved)), np.zeros(len(moved))], axis=1), moved - confidence


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=500, help="simulated models of each row")
    parser.add_argument("--examples", type=int, default=1_000, help="examples of each model")
    arguments = parser.parse_args()
    for table in (
        interval_coverage(arguments.simulations, arguments.examples),
        null_rejections(arguments.simulations),
        comparison_coverage(arguments.simulations, arguments.examples),
    ):
        for row in table:
            print(row, flush=True)
        print()

"""Temperature scaling: one number, fitted on validation data, divides the logits (Guo et al. 2017, arXiv 1706.04599).

The mean NLL is convex in b = 1 / T, so that Newton's method inside a shrinking bracket finds the one optimum exactly.
"""

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import overload

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import chdtri, ndtri
from torch import Tensor

from textmix.errors import InputError
from textmix.metrics.examples import Array, chunks

_MAX_STEPS = 200
_HALVINGS = 24  # of the search for an interval's end, on the scale of log T: to seven digits
_TOLERANCE = 1e-12  # relative change of b at which the search ends


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    `value` divides the logits: above 1 softens, below 1 sharpens; `low` and `high` are its interval of confidence
    `level`. `n` is the number of validation examples, `nll_before` and `nll_after` their mean NLL at 1 and at `value`.
    Where no temperature is best, `value` is a bound of the search (or 1) and `reason` says why; else that is empty.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    nll_before: float
    nll_after: float
    reason: str = ""

    @property
    def at_bound(self) -> bool:
        """Whether the validation set has no best temperature, for the reason given."""
        return bool(self.reason)

    @property
    def nll_used(self) -> float:
        """The validation NLL of the model as it is used: unscaled where there is no best temperature."""
        return self.nll_before if self.at_bound else self.nll_after


@dataclass(frozen=True)
class _Curve:
    """The mean NLL at one b, its first two derivatives by b, and the mean squared first derivative of an example."""

    nll: float
    slope: float
    curvature: float
    squared_slope: float
    spread: float
    """The largest gap between an example's logits."""
    n: int


def fit_temperature(
    validation_logits: Array,
    validation_labels: Array,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.01, 1000.0),
) -> Temperature:
    """Return the temperature that minimises the NLL of a validation set.

    NLL(b) = mean_i logsumexp_k(b z_ik) - b z_i,y_i, b = 1 / T (Guo et al. 2017, section 4.2), in float64. Never fit on
    the data you report: the one parameter would have been told the answers. The interval is Wald's for log T with the
    sandwich variance (White 1982), which holds also where no temperature makes the model perfectly calibrated; at a
    bound it is the set of temperatures that a likelihood ratio test doesn't reject.

    :param validation_logits: (N, C), tensor or array of any float type.
    :param validation_labels: (N,) class indices.
    :param level: confidence of the interval. :param bounds: smallest and largest temperature to consider.
    :raises InputError: no examples, a wrong shape, a label that is no class index, logits that are not finite, or a
        level or bounds that make no sense.

    >>> logits = [[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 0.0]]
    >>> fitted = fit_temperature(logits, [0, 0, 0, 1])  # log odds of 3 : 1 are log 3
    >>> round(fitted.value * log(3), 6), fitted.at_bound
    (3.0, False)
    >>> fit_temperature(logits, [0, 0, 0, 0]).at_bound
    True
    """
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level}.")
    coolest, hottest = bounds
    if not 0 < coolest <= 1 <= hottest < inf:
        raise InputError(f"bounds: expected 0 < lower <= 1 <= upper, got {bounds}.")
    start = _curve(validation_logits, validation_labels, 1.0)
    reason = _no_optimum(validation_logits, validation_labels, start, bounds)
    if start.spread == 0:
        return Temperature(1.0, coolest, hottest, level, start.n, start.nll, start.nll, reason)
    if reason:
        value = coolest if start.slope <= 0 else hottest
        end = _curve(validation_logits, validation_labels, 1 / value)
        low, high = _likelihood_interval(validation_logits, validation_labels, value, end, level, bounds)
        return Temperature(value, low, high, level, start.n, start.nll, end.nll, reason)
    b, end = _minimise(validation_logits, validation_labels, start, bounds)
    value, spread = 1 / b, -ndtri((1 - level) / 2) * sqrt(end.squared_slope / end.n)
    widest = log(hottest / coolest)  # beyond it lies nothing but an overflow
    half = spread / (end.curvature * b) if spread < widest * end.curvature * b else widest
    low, high = max(coolest, value * exp(-half)), min(hottest, value * exp(half))
    return Temperature(value, low, high, level, start.n, start.nll, end.nll)


@overload
def apply_temperature(logits: Tensor, temperature: Temperature | float) -> Tensor: ...
@overload
def apply_temperature(logits: npt.ArrayLike, temperature: Temperature | float) -> npt.NDArray[np.floating]: ...
def apply_temperature(logits: Array, temperature: Temperature | float) -> Tensor | npt.NDArray[np.floating]:
    """Return logits / T, a tensor for a tensor and an array otherwise; half precision becomes float32.

    :param logits: (N, C). :param temperature: what :func:`fit_temperature` returned, or a number.
    :raises InputError: a temperature that is not finite and positive.

    >>> apply_temperature([[2.0, 0.0]], 4.0).tolist()
    [[0.5, 0.0]]
    """
    value = temperature.value if isinstance(temperature, Temperature) else temperature
    if not 0 < value < inf:
        raise InputError(f"temperature: expected a finite number > 0, got {value}.")
    if isinstance(logits, Tensor):
        wide = logits.float() if logits.dtype in {torch.float16, torch.bfloat16} else logits
        # A class masked by the lowest number there is stays one: sharpened, it would be infinite.
        return (wide / value).clamp(torch.finfo(wide.dtype).min, torch.finfo(wide.dtype).max)
    array = np.asarray(logits)
    with np.errstate(over="ignore"):
        scaled: npt.NDArray[np.floating] = (array.astype(np.float32) if array.dtype == np.float16 else array) / value
    bounds = np.finfo(scaled.dtype)
    return scaled.clip(bounds.min, bounds.max)


def _curve(logits: Array, labels: Array, b: float) -> _Curve:
    sums, spread, n = torch.zeros(4, dtype=torch.float64), 0.0, 0
    for x, y in chunks(logits, labels):
        z = x.cpu().double()
        z = z - z.amax(1, keepdim=True)
        spread = max(spread, -float(z.min()))
        own = z.gather(1, y.cpu()[:, None])[:, 0]
        weights = (b * z).exp_()
        total = weights.sum(1)
        mean = torch.linalg.vecdot(weights, z) / total
        variance = torch.linalg.vecdot(weights, (z - mean[:, None]).square_()) / total
        slope = mean - own
        sums += torch.stack([(total.log_() - b * own).sum(), slope.sum(), variance.sum(), slope.square().sum()])
        n += len(own)
    if n == 0:
        raise InputError("validation_logits: expected at least one example, got none.")
    nll, slope_mean, curvature, squared = (sums / n).tolist()
    return _Curve(nll, slope_mean, curvature, squared, spread, n)


def _no_optimum(logits: Array, labels: Array, start: _Curve, bounds: tuple[float, float]) -> str:
    """Say in words why no temperature inside the bounds is best, or nothing."""
    coolest, hottest = bounds
    if start.spread == 0:
        return "the logits of each validation example are all equal, so that no temperature changes anything"
    if start.slope <= 0 and _curve(logits, labels, 1 / coolest).slope <= 0:
        return (
            f"the validation set is (nearly) separable: its NLL still falls at the lower bound {coolest:g}; "
            "more validation examples are needed to fit a temperature"
        )
    if start.slope > 0 and _curve(logits, labels, 1 / hottest).slope >= 0:
        return (
            f"the logits predict the validation labels no better than chance: their NLL still falls at the upper bound "
            f"{hottest:g}; check that the columns are in the order of the labels"
        )
    return ""


def _minimise(logits: Array, labels: Array, start: _Curve, bounds: tuple[float, float]) -> tuple[float, _Curve]:
    """Find the root of the slope, which rises with b: Newton's step where it stays in the bracket, else halve it."""
    low, high = 1 / bounds[1], 1 / bounds[0]
    b, curve = 1.0, start
    for _ in range(_MAX_STEPS):
        low, high = (b, high) if curve.slope < 0 else (low, b)
        step = curve.slope / curve.curvature if curve.curvature > 0 else inf
        if abs(step) <= _TOLERANCE * b or high - low <= _TOLERANCE * b:
            break
        b = b - step if low < b - step < high else sqrt(low * high)
        curve = _curve(logits, labels, b)
    return b, curve


def _likelihood_interval(
    logits: Array, labels: Array, value: float, end: _Curve, level: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Return the temperatures whose NLL is not significantly above that at `value`, a bound, where it is smallest."""
    allowed = chdtri(1, 1 - level) / (2 * end.n)

    def rejected(temperature: float) -> bool:
        return not _curve(logits, labels, 1 / temperature).nll - end.nll <= allowed

    inside, outside = bounds if value == bounds[0] else bounds[::-1]
    if not rejected(outside):
        return bounds
    # Bisection asks for no more than one side of the sign: at NLLs in the millions rounding hides the allowance.
    for _ in range(_HALVINGS):
        middle = sqrt(inside * outside)
        inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
    return min(value, inside), max(value, inside)

"""Calibration error without bins: the gap between confidence and accuracy, smoothed by a kernel."""

import numpy as np
from scipy.fft import dct, idct
from scipy.optimize import brentq

from textmix.metrics.examples import Array, FloatArray, Mode, score_examples

_CELLS = 2**16  # grid on [0, 1]: far finer than any kernel width that noise leaves room for


def smooth_ece(logits: Array, labels: Array, mode: Mode = "top") -> float:
    """Return the smooth ECE: the integral of |smoothed gap|, at the kernel width that equals the result.

    smECE_s = integral over [0, 1] of |1/n sum_i K_s(t, c_i)(o_i - c_i)| dt, and smECE is the s with smECE_s = s
    (Blasiok and Nakkiran 2023, arXiv 2309.12236, definitions 3 and 7). K is the Gaussian reflected at 0 and 1 as often
    as it takes, so that no mass is lost: with all confidences at 1 and accuracy a, smECE is 1 - a. It has no bins to
    choose and is continuous in the confidences.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> round(smooth_ece([[60.0, 0.0]] * 4, [0, 0, 0, 1]), 6)
    0.25
    """
    examples = score_examples(logits, labels, mode)
    spectrum = dct(_grid(examples.confidence.numpy(), examples.outcome.numpy()), norm="ortho")
    frequency = np.pi * np.arange(_CELLS)

    def smoothed(width: float) -> float:
        # On [0, 1] with reflecting ends a Gaussian is the heat kernel, which the cosine transform makes diagonal.
        return float(np.abs(idct(spectrum * np.exp(-0.5 * np.square(frequency * width)), norm="ortho")).sum())

    if smoothed(0.0) == 0:
        return 0.0
    return float(brentq(lambda width: smoothed(width) - width, 0.0, 1.0 + 1e-9, xtol=1e-13))


def _grid(confidence: FloatArray, outcome: FloatArray) -> FloatArray:
    """Put each example's (outcome - confidence) / n on the two cells around its confidence, in proportion (CELLS,)."""
    position = np.clip(confidence * _CELLS - 0.5, 0, _CELLS - 1)
    left = np.minimum(position.astype(np.int64), _CELLS - 2)
    share = position - left
    gap = (outcome - confidence) / len(confidence)
    cells = np.zeros(_CELLS)
    np.add.at(cells, left, gap * (1 - share))
    np.add.at(cells, left + 1, gap * share)
    return cells

"""Choosing rows so that every class keeps its share."""

import numpy as np
import numpy.typing as npt


def stratified(labels: npt.NDArray[np.int64], count: int, seed: int, *, keep_one: bool) -> npt.NDArray[np.bool_]:
    """Return a mask (N,) of `count` rows, chosen at random with the class shares of `labels` (N,).

    The j-th of a class's n rows, in random order, has the priority (j - 1/2) / n, and the lowest priorities are taken,
    ties at random: each class is rounded to its nearest share, and the sum is exact (Sainte-Lague's apportionment).

    :param keep_one: take no class's last row, so that all stay with those that are left; classes of one row are not
        taken from then, and fewer than `count` rows are returned where nothing else is left. False takes the first row
        of every class before any second one, as far as `count` goes.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.arange(len(labels)) - np.repeat(first, sizes)
    size = np.repeat(sizes, sizes)
    priority = (place + 0.5) / size
    if keep_one:
        priority[place == size - 1] = np.inf
    else:
        priority[place == 0] = 0
    chosen = np.lexsort((rng.random(len(labels)), priority))[:count]
    mask = np.zeros(len(labels), dtype=bool)
    mask[order[chosen[np.isfinite(priority[chosen])]]] = True
    return mask

"""How far a sweep is, and how long it will still take."""

from collections.abc import Sequence
from statistics import fmean

from textmix.sweep.grid import Run


class Pace:
    """Counts the runs that have ended, and reckons from what they took what the others will."""

    def __init__(self, runs: Sequence[Run], jobs: int) -> None:
        self.left = list(runs)
        self.total = len(runs)
        self.jobs = jobs
        self._took: list[tuple[Run, float]] = []

    def done(self, run: Run, seconds: float) -> None:
        """Count a run that was trained in so many seconds."""
        self.left.remove(run)
        self._took.append((run, seconds))

    def lost(self, run: Run) -> None:
        """Count a run that failed, which says nothing of the others."""
        self.left.remove(run)

    @property
    def seconds_left(self) -> float | None:
        """The seconds still to go: each run takes as long as those most like it did; None while none has ended."""
        if not self._took:
            return None
        return sum(self._expected(run) for run in self.left) / min(self.jobs, max(1, len(self.left)))

    def __str__(self) -> str:
        seconds = self.seconds_left
        left = "" if seconds is None or not self.left else f", about {spoken(seconds)} to go"
        return f"{self.total - len(self.left)} of {self.total}{left}"

    def _expected(self, run: Run) -> float:
        alike = [seconds for other, seconds in self._took if (*other.group, other.method) == (*run.group, run.method)]
        near = [seconds for other, seconds in self._took if other.group == run.group]
        return fmean(alike or near or [seconds for _, seconds in self._took])


def spoken(seconds: float) -> str:
    """Say a duration as one says it.

    >>> spoken(42.3), spoken(600), spoken(7900)
    ('42 s', '10 min', '2 h 12 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

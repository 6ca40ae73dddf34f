"""The errors that speak to the person at the keyboard; each message is one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Input that can't be used: a file, a row, a configuration key, an array, a model.

    The message names the place, what was expected, what came and what to do. The command line prints it alone and exits
    with code 2.
    """


class RunError(RuntimeError):
    """A run that can't go on, though its input was good: a loss that is no number, a process that died.

    The message says where it stopped and what to try. The command line prints it alone and exits with code 1.
    """


@contextmanager
def naming(place: object) -> Iterator[None]:
    """Put the place, such as a file, before the message of an :class:`InputError` of the body."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error

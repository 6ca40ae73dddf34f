"""Models, tokenizers and image processors of anyone: one sentence for whatever is wrong with them."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from textmix.errors import InputError

_RAISED = (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError, ImportError, AssertionError,
           SafetensorError, pickle.UnpicklingError)  # fmt: skip
"""What transformers has been seen to raise on folders that are no models, or no more."""


@contextmanager
def loading(key: str, expected: str, path: str) -> Iterator[None]:
    """Turn the failure to load something from `path` into one sentence.

    :param key: the configuration key that holds the path.
    :param expected: what should have been there.
    :raises InputError: the body could not load it.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    except _RAISED as error:
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
            reason = "its weights are a pickle with more than numbers in it, which is not run; save them as safetensors"
        else:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{key}: expected {expected}, got {path!r}: {reason}") from error

"""The errors that speak to the person at the keyboard; each message is one sentence."""


class InputError(ValueError):
    """Input that can't be used: a file, a row, a configuration key, an array, a model.

    The message names the place, what was expected, what came and what to do. The command line prints it alone and exits
    with code 2.
    """


class RunError(RuntimeError):
    """A run that can't go on, though its input was good: a loss that is no number, a process that died.

    The message says where it stopped and what to try. The command line prints it alone and exits with code 1.
    """

"""From a command line to a configuration, and from an exception to an exit code."""

import difflib
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from textmix.errors import InputError, RunError

T = TypeVar("T")

DONE, FAILED, BAD_INPUT = 0, 1, 2
"""Exit codes; an exception that is not ours keeps its traceback, and makes Python exit with FAILED."""

set_parsing_settings(docstring_parse_attribute_docstrings=True)


def make_parser(kind: type[Any], prog: str, description: str, skip: Sequence[str] = ()) -> ArgumentParser:
    """Make the parser of a command whose options are the fields of the dataclass `kind`.

    :param skip: fields the caller adds itself, since they are positional or take several words.
    """
    parser = ArgumentParser(prog=prog, description=description, exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; flags override it.")
    parser.add_class_arguments(kind, skip=set(skip))
    return parser


def parse(parser: ArgumentParser, kind: type[T], argv: Sequence[str]) -> tuple[T, str | None]:
    """Read `argv` into a `kind`; return it and the path of the configuration file, None where none was given.

    :raises InputError: an unknown key, a value of the wrong type or out of bounds, a file that can't be read.
    """
    argv = [_underscored(word) for word in argv]
    try:
        values = parser.parse_args(argv)
    except ArgumentError as error:
        raise InputError(_explain(" ".join(str(error).split()), parser, argv)) from error
    files = values.pop("config")
    try:
        options = parser.instantiate(values)
    except InputError as error:  # out of bounds
        raise InputError(f"{_place(str(error).partition(':')[0], argv)}{error}") from error
    return kind(**vars(options)), str(files[-1]) if files else None


def read_values(parser: ArgumentParser, kind: type[T], values: Mapping[str, Any], place: str) -> T:
    """Read nested `values`, as a YAML file would hold them, into a `kind`, with the checks of :func:`parse`.

    :param place: names them in an error, as a file's name would.
    :raises InputError: an unknown key, or a value of the wrong type or out of bounds.
    """
    try:
        read = parser.parse_object(dict(values))
        read.pop("config", None)
        return kind(**vars(parser.instantiate(read)))
    except ArgumentError as error:
        raise InputError(_explain(" ".join(str(error).split()), parser, ["--config", place])) from error
    except InputError as error:  # out of bounds
        raise InputError(f"{place}: {error}") from error


def guard(main: Callable[[], None]) -> int:
    """Run `main` and return the exit code; an InputError or RunError becomes one line on stderr."""
    logger, handler = logging.getLogger("textmix"), logging.StreamHandler()  # ours alone, not the root's
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        main()
    except (InputError, RunError) as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    finally:
        logger.removeHandler(handler)
    return DONE


def _underscored(word: str) -> str:
    """Let --calibrate-on mean --calibrate_on."""
    flag, equals, value = word.partition("=")
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else word


_TYPES = {
    "<class 'float'>": "a number",
    "<class 'int'>": "an integer",
    "<class 'str'>": "a text",
    "<class 'bool'>": "true or false",
    "<class 'tuple'>": "a list",
    "<class 'NoneType'>": "null",
}


def _explain(message: str, parser: ArgumentParser, argv: Sequence[str]) -> str:
    """Say in one sentence which key is wrong, what was expected and what came."""
    known = [key for action in parser._actions for key in action.option_strings]
    if match := re.fullmatch(r"unrecognized arguments: (\S+).*", message):
        return f"unknown option {match[1]}{_closest(match[1].split('=')[0], known)}"
    if match := re.search(r"Group '(\S+)' does not accept option '(\S+)'", message):
        return f"{_where(argv)}unknown key {match[1]}.{match[2]}{_closest(f'--{match[1]}.{match[2]}', known)}"
    if match := re.fullmatch(r"Option '(\S+)' is not accepted", message):
        return f"{_where(argv)}unknown key {match[1]}{_closest('--' + match[1], known)}"
    if match := re.match(r'Parser key "(\S+)":? (.*)', message):
        key, problem = match.groups()
        value = re.search(r"(?:Got value|Given value): (.*)$", problem)
        expected = [
            _describe(kind) for kind in re.findall(r"Expected (?:an? )?(<class '\w+'>|typing\.Literal\[.*?\])", problem)
        ]
        if value and expected:
            return f"{_place(key, argv)}{key}: expected {' or '.join(expected)}, got {value[1]!r}."
        return f"{key}: {problem}."
    return f"{_where(argv)}{message.removeprefix('Problems parsing config: ')}."


def _describe(kind: str) -> str:
    return _TYPES.get(kind) or "one of " + ", ".join(re.findall(r"'(.*?)'", kind))


def _closest(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0].removeprefix('--')}?" if near else "; --help lists them all."


def _place(key: str, argv: Sequence[str]) -> str:
    """Name the configuration file as the place of a wrong value, unless the value came from a flag."""
    return "" if any(word.startswith(f"--{key}") for word in argv) else _where(argv)


def _where(argv: Sequence[str]) -> str:
    files = [value for flag, value in pairwise(argv) if flag == "--config"]
    files += [word.removeprefix("--config=") for word in argv if word.startswith("--config=")]
    return f"{files[-1]}: " if files else ""

"""From a command line to a configuration, and from an exception to an exit code."""

import difflib
import errno
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings

from textmix.errors import InputError, RunError
from textmix.files import local_path

T = TypeVar("T")

DONE, FAILED, BAD_INPUT = 0, 1, 2
"""Exit codes; an exception that is not ours keeps its traceback, and makes Python exit with FAILED."""

_MOST_ALIASES = 20
"""More of them, each of several others, would fill the memory from a file of a few lines."""
_MOST_BRACKETS = 1000
"""Thousands of them, one in the other, keep YAML busy for minutes."""

set_parsing_settings(docstring_parse_attribute_docstrings=True)


def make_parser(kind: type[Any], prog: str, description: str, skip: Sequence[str] = ()) -> ArgumentParser:
    """Make the parser of a command whose options are the fields of the dataclass `kind`.

    :param skip: fields the caller adds itself, since they are positional or take several words.
    """
    parser = ArgumentParser(prog=prog, description=description, exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; flags override it.")
    parser.add_class_arguments(kind, skip=set(skip))
    for action in parser._actions:
        if action.metavar == "{true,false}":  # the flag alone means true
            action.nargs, action.const = "?", True
    return parser


def parse(parser: ArgumentParser, kind: type[T], argv: Sequence[str]) -> tuple[T, str | None]:
    """Read `argv` into a `kind`; return it and the path of the configuration file, None where none was given.

    :raises InputError: an unknown key, a value of the wrong type or out of bounds, a file that can't be read.
    """
    argv = [_underscored(word, kind) for word in argv]
    for word in argv:
        _check_texts("the command line", word)
    paths, flags = _files(argv)
    for path in paths:
        _check_file(local_path(path))
    try:
        values = parser.parse_args([*(f"--config={path}" for path in paths), *flags])  # the later one of two wins
    except ArgumentError as error:
        raise InputError(_explain(" ".join(str(error).split()), parser, argv)) from error
    _check_values(kind, values, argv)
    files = values.pop("config")
    try:
        return kind(**vars(parser.instantiate(values))), str(files[-1]) if files else None
    except InputError as error:  # out of bounds
        raise InputError(f"{_place(str(error).partition(':')[0], argv)}{error}") from error


def read_values(parser: ArgumentParser, kind: type[T], values: Mapping[str, Any], place: str) -> T:
    """Read nested `values`, as a YAML file would hold them, into a `kind`, with the checks of :func:`parse`.

    :param place: names them in an error, as a file's name would.
    :raises InputError: an unknown key, or a value of the wrong type or out of bounds.
    """
    try:
        read = parser.parse_object(dict(values))
        _check_values(kind, read, [])
        read.pop("config", None)
        return kind(**vars(parser.instantiate(read)))
    except ArgumentError as error:
        raise InputError(_explain(" ".join(str(error).split()), parser, ["--config", place])) from error
    except InputError as error:  # out of bounds
        raise InputError(f"{place}: {error}") from error


_SECRETS = re.compile(r"(?<=\w:/)(/?)[^/\s@]+(?=@)|(?<=[?&]token=)()[^&\s'\":]+")
"""Who and with what, in a URL, whose second slash a path has lost."""


def _without_secrets(text: str) -> str:
    """Leave the names, passwords and tokens out of the URLs in a text."""
    return _SECRETS.sub(r"\1***", text)


class _Discreet(logging.Formatter):
    """Writes what is logged, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return _without_secrets(super().format(record))


def guard(main: Callable[[], None]) -> int:
    """Run `main` and return the exit code; an InputError or RunError becomes one line on stderr."""
    logger, handler = logging.getLogger("textmix"), logging.StreamHandler()  # ours alone, not the root's
    handler.setFormatter(_Discreet())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        main()
    except (InputError, RunError) as error:
        sys.stderr.write(f"error: {_without_secrets(str(error))}\n")
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        sys.stderr.write(f"error: {str(error.filename)[:80]}...: expected a path, got one that is too long.\n")
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
            raise
        sys.stderr.write(f"error: out of memory ({_wanted(error)}); lower the sizes that the options ask for.\n")
        return FAILED
    finally:
        logger.removeHandler(handler)
    return DONE


def _wanted(error: BaseException) -> str:
    """Return what was asked for, out of an allocator's long story."""
    found = re.search(r"(?:tried to allocate|Unable to allocate|of size) ([\d.]+ ?\w*)", str(error))
    return f"{found[1]} asked for" if found else type(error).__name__


def _check_values(kind: type[Any], values: Namespace, argv: Sequence[str]) -> None:
    """Refuse what the parser lets pass: null for any key, a list for a section, texts that nothing can be named after.

    :raises InputError: there is such a value.
    """
    hints = get_type_hints(kind)
    nullable = {"config", *(key for key, hint in _hints(kind) if type(None) in get_args(hint))}
    for key, value in values.items():
        _check_texts(key, value)
        if key in hints and is_dataclass(hints[key]):  # with options of its own it would not be a value
            raise InputError(f"{_place(key, argv)}{key}: expected options as `key: value`, got {value!r}.")
        if value is None and key not in nullable:
            place = _place(key, argv)
            raise InputError(f"{place}{key}: expected a value, got null; leave the key out for its default.")


def _hints(kind: type[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys, with the dots of those around them, and their types."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from _hints(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hints[field.name]


def _underscored(word: str, kind: type[Any]) -> str:
    """Let --calibrate-on mean --calibrate_on; below a mapping, as in --label_map.very-bad, are names of the user's."""
    flag, equals, value = word.partition("=")
    if not flag.startswith("--"):
        return word
    key = flag[2:].replace("-", "_")
    mappings = [name for name, hint in _hints(kind) if get_origin(hint) is dict and key.startswith(f"{name}.")]
    ours = len(mappings[0] if mappings else key)
    return f"--{key[:ours]}{flag[2 + ours :]}{equals}{value}"


_TYPES = {
    "<class 'float'>": "a number",
    "<class 'int'>": "an integer",
    "<class 'str'>": "a text",
    "<class 'bool'>": "true or false",
    "<class 'tuple'>": "a list such as [a, b]",
    "<class 'dict'>": "a mapping such as {a: b}",
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
        value = re.search(r"(?:Got value|Given value):\s?(.*?)(?: Given value type: .*)?$", problem)
        expected = [
            _describe(kind) for kind in re.findall(r"Expected (?:an? )?(<class '\w+'>|typing\.Literal\[.*?\])", problem)
        ]
        if value and expected:
            return f"{_place(key, argv)}{key}: expected {' or '.join(expected)}, got {value[1]!r}."
        if inline := re.match(r"Unable to load config ['\"](.*?)['\"]", problem):
            return f"{_place(key, argv)}{key}: expected options or a file of them, got {inline[1]!r}."
        return f"{key}: {problem}."
    if match := re.fullmatch(r"(?:Problems parsing config: )?Unexpected config: (.*)", message):
        return f"{_where(argv)}expected options as `key: value`, got {match[1]!r}."
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
    paths, _ = _files(argv)
    return f"{paths[-1]}: " if paths else ""


def _files(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the configuration files that are named, and the other words."""
    paths, others = [], []
    words = iter(argv)
    for word in words:
        flag, equals, path = word.partition("=")
        if flag == "--config" and (path := path if equals else next(words, "")):
            paths.append(path)
        else:
            others.append(word)
    return paths, others


def _check_file(path: Path) -> None:
    """Refuse a configuration file that YAML would read, but nobody can have meant.

    :raises InputError: it is no text, no mapping, holds a key twice, or unfolds into more than it says.
    """
    if not path.is_file():  # the parser says so; a pipe can be read only once
        return
    try:
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > _MOST_BRACKETS:
            raise InputError(f"{path}: expected options as `key: value`, got more than {_MOST_BRACKETS} brackets.")
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))
        if aliases > _MOST_ALIASES:
            raise InputError(f"{path}: expected at most {_MOST_ALIASES} aliases (*name), got {aliases}; write it out.")
        root = yaml.compose(text, yaml.SafeLoader)
        wrong = next(chain(_given_twice(root), _misread(root)), None)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected YAML in UTF-8, got other bytes; convert the file.") from error
    except RecursionError as error:
        raise InputError(f"{path}: expected options as `key: value`, got values nested without end.") from error
    except yaml.YAMLError:  # the parser says where
        return
    if not isinstance(root, yaml.MappingNode):
        got = "nothing" if root is None else "a list" if isinstance(root, yaml.SequenceNode) else "a text"
        raise InputError(f"{path}: expected options as `key: value`, got {got}.")
    if wrong is not None:
        raise InputError(f"{path}: {wrong}")


def _given_twice(root: yaml.Node | None) -> Iterator[str]:
    """Yield a sentence for each key that is there twice, or in a section and with dots: the parser would lose one."""
    yield from (f"{key}: expected every key once, got it twice; remove one." for key in _repeated(root))
    keys = [str(key.value) for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    for key in keys:
        if any(other.startswith(f"{key}.") for other in keys):
            yield f"{key}: expected a section or keys with dots, got both; write it one way."


def _misread(node: yaml.Node | None) -> Iterator[str]:
    """Yield a sentence for each key that somebody wrote as a name, and YAML 1.1 takes for true, false or null."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag in {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"}:
                yield f"{key.value}: expected a name, got what YAML reads as {key.tag[-4:]}; put it in quotes."
            yield from _misread(value)


def _repeated(node: yaml.Node | None, prefix: str = "") -> Iterator[str]:
    """Yield the keys that a mapping holds more than once, with the dots of those around them."""
    if isinstance(node, yaml.MappingNode):
        counts = Counter(str(key.value) for key, _ in node.value)
        yield from (f"{prefix}{key}" for key, count in counts.items() if count > 1)
        for key, value in node.value:
            yield from _repeated(value, f"{prefix}{key.value}.")


def _check_texts(key: str, value: object) -> None:
    """Refuse what no file can be named after, and no report can show.

    :raises InputError: a text holds a NUL, or bytes that are no UTF-8.
    """
    if isinstance(value, (list, tuple, dict)):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_texts(key, item)
    elif isinstance(value, str) and ("\0" in value or value.encode(errors="replace").decode() != value):
        raise InputError(f"{key}: expected text in UTF-8 without NUL, got {value[:80]!r}.")

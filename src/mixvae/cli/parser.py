"""Command-line options from the signature of a function or the fields of a dataclass.

jsonargparse reads names, types, defaults and docstrings. On the command line an option has dashes
(underscores are accepted), a sequence is ``--hidden 500 500`` or ``--hidden [500,500]``, and a
switch needs no value. A name that is a word of Python ends in an underscore: ``from_``, ``--from``.
"""

import json
import re
from argparse import SUPPRESS, Action, HelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from inspect import isclass, signature
from itertools import takewhile
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from mixvae.errors import MixvaeError

from .result import HELP, HelpAskedError

set_parsing_settings(docstring_parse_attribute_docstrings=True)

Flags = list[tuple[str, list[str]]]  # (name with underscores, the words after it)
NOT_IN_FILES = {"config", "resume", "recipes", "help"}  # options of the command line alone
T = TypeVar("T")


class Help(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Help with dashes, readable types, and defaults."""

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings or action.dest == "help":
            return super()._format_action_invocation(action)
        return f"{dashed(action.dest)} {_takes(action)}"

    def _get_help_string(self, action: Action) -> str:
        if action.default is None or action.default in (SUPPRESS, (), []):
            return action.help or ""
        many = isinstance(action.default, list | tuple)
        default = " ".join(map(str, action.default)) if many else _plain(action.default)
        return f"{action.help or ''} (default: {default})".strip()


class Parser(ArgumentParser):
    """The parser of one command."""

    def __init__(self, usage: str, description: str | None, **kwargs: Any) -> None:
        self.hints: dict[str, str] = {}  # at options that other parsers have
        super().__init__(
            prog=" ".join(takewhile(lambda word: word[0].islower(), usage.split())),
            usage=usage,
            description=description,
            formatter_class=Help,
            allow_abbrev=False,
            print_config=None,
            **kwargs,
        )

    def add_options(
        self,
        title: str,
        source: Callable[..., Any],
        *,
        skip: Collection[str] = (),
        only: Collection[str] = (),
    ) -> Any:
        """Add a function's arguments or a dataclass's fields to the group of this title.

        All of them but for ``skip``, or ``only`` some.
        """
        same = (group for group in self._action_groups if group.title == title)
        group = next(same, None) or self.add_argument_group(title)
        left_out: set[str | int] = set(skip)
        left_out |= {name for name in signature(source).parameters if only and name not in only}
        add = group.add_class_arguments if isclass(source) else group.add_function_arguments
        add(source, as_group=False, skip=left_out)
        for action in group._group_actions:
            action.metavar = words_of(type_of(action), action.default)
            action.help = re.sub(r"(:\w+:)?`+([^`]*)`+", r"\2", action.help or "")
        return group

    def unset(self, *names: str, help: str | None = None) -> None:
        """Leave options out of the result unless they are given; ``help`` is added to theirs."""
        for name in names:
            action = self.options()[name]
            action.default = SUPPRESS
            action.help = f"{action.help or ''} {help}".strip() if help else action.help

    def bare(self, name: str, value: Any) -> None:
        """Let an option stand without a value, which is then this one."""
        action = self.options()[name]
        action.const, action.metavar = value, f"[{_takes(action)}]"

    def read(self, argv: Sequence[str], n_positional: int = 0) -> tuple[list[str], dict[str, Any]]:
        """The words that belong to no option, and the options' values.

        Raises a MixvaeError for an unknown option, a value of the wrong type, or words too many.
        """
        words, flags = split(argv)
        for name, _ in flags:
            if name == "help":
                raise HelpAskedError(self)
            if name not in self.options():
                raise MixvaeError(f"unknown option {dashed(name)}.{self._near(name, dashed)}")
        args = []
        for name, values in flags:
            value, rest = self._join(name, values)
            args.append(f"--{self.options()[name].dest}={value}")
            words += rest
        if len(words) > n_positional and re.match(r"-[a-zA-Z]", words[n_positional]):
            raise MixvaeError(
                f"unknown option {words[n_positional]}; options begin with two dashes, and "
                f"{self.prog} --help lists them."
            )
        if len(words) > n_positional:
            raise MixvaeError(
                f"{words[n_positional]!r} is one word too many. Usage: {self.usage}; "
                f"{self.prog} --help lists the options."
            )
        return words, self.parse_args(args).as_dict()

    def check_keys(self, keys: Iterable[str], where: str) -> None:
        """Raise a MixvaeError for a file's key that is no option, or is another key's option."""
        seen: dict[str, str] = {}
        for key in keys:
            name = key.replace("-", "_")
            if name not in self.options().keys() - NOT_IN_FILES:
                raise MixvaeError(f"{where}: unknown key {key!r}.{self._near(name, str)}")
            if name in seen:
                raise MixvaeError(f"{where}: {seen[name]!r} and {key!r} are one option; keep one.")
            seen[name] = key

    def check_values(self, flags: Sequence[str], where: str) -> None:
        """Raise a MixvaeError, which names the file, for a value of the wrong type in it."""
        try:
            self.read(flags)
        except MixvaeError as error:
            raise MixvaeError(f"{where}: {error}") from error

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """The help, which ends with the options that every command has."""
        return f"{super().format_help(formatter).rstrip()}\n\n{HELP}\n"

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a MixvaeError that names the option and its wrong value in one line."""
        found = re.match(r'Parser key "(\w+?)_?".*(?:Got|Given) value: (.*)$', message, re.DOTALL)
        if found and (action := self.options().get(found[1])):
            near = get_close_matches(found[2], _takes(action).split("|"), n=1, cutoff=0.6)
            hint = f" Did you mean {near[0]}?" if near else ""
            message = f"{dashed(found[1])} takes {_takes(action)}; got {found[2]!r}.{hint}"
        raise MixvaeError(message) from ex

    def options(self) -> dict[str, Action]:
        return {a.dest.rstrip("_"): a for a in self._actions if a.option_strings}

    def _join(self, name: str, values: list[str]) -> tuple[str, list[str]]:
        """An option's words as one value, and those that are not its own."""
        action = self.options()[name]
        hint = type_of(action)
        if is_sequence(hint) and values and not values[0].startswith(("[", "null")):
            texts = str in get_args(hint)  # which may contain commas
            return json.dumps(values) if texts else f"[{','.join(values)}]", []
        if hint is bool and not values:
            return "true", []
        if not values and action.const is not None:
            return str(action.const), []
        if not values:
            raise MixvaeError(f"{dashed(name)} takes {_takes(action)}; no value was given.")
        return values[0], values[1:]

    def _near(self, name: str, spelled: Callable[[str], str]) -> str:
        """A hint at the option whose name is the nearest, and at the help."""
        known = list(self.options())
        near = [option for option in known if len(name) > 2 and name in option.split("_")]
        near = near or get_close_matches(name, known, n=1, cutoff=0.65)
        hint = f" Did you mean {spelled(near[0])}?" if near else ""
        return f"{self.hints.get(name, hint)} {self.prog} --help lists the options."


def taken(kind: type[T], values: dict[str, Any]) -> T:
    """The options of a dataclass, removed from the values that were read."""
    names = [name for name in signature(kind).parameters if name in values]
    return kind(**{name: values.pop(name) for name in names})


def split(argv: Sequence[str]) -> tuple[list[str], Flags]:
    """The words before the first option, and each option with the words up to the next."""
    words: list[str] = []
    flags: Flags = []
    current = words
    for word in argv:
        if word.startswith("--") or word == "-h":
            name, equals, value = word.removeprefix("--").partition("=")
            name = "help" if word == "-h" else name.replace("-", "_")
            current = [value] if equals else []
            flags.append((name, current))
        else:
            current.append(word)
    return words, flags


def dashed(name: str) -> str:
    """An option's spelling on the command line."""
    return "--" + name.rstrip("_").replace("_", "-")


def type_of(action: Action) -> Any:
    """The type hint of an option, or its type."""
    return getattr(action, "_typehint", None) or action.type or str


def _takes(action: Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else words_of(type_of(action))


def is_sequence(hint: Any) -> bool:
    """Whether an option takes several values."""
    if get_origin(hint) in (Union, UnionType):
        return any(map(is_sequence, get_args(hint)))
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence)


def words_of(hint: Any, default: Any = ...) -> str:
    """A readable type: ``int``, ``int ...``, ``mean|sum``, ``true|false``.

    null is left out where it is the default.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "|".join(map(str, args))
    if origin in (Union, UnionType):
        named = (arg for arg in args if not (arg is NoneType and default is None))
        return "|".join(dict.fromkeys(map(words_of, named)))
    if origin is tuple:
        return " ".join(map(words_of, args))
    if args:
        return f"{words_of(args[0])} ..."
    return {bool: "true|false", NoneType: "null", str: "text"}.get(hint, hint.__name__.lower())


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

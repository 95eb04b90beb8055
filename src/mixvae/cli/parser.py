"""Options out of a signature or a dataclass, as jsonargparse reads them; this spells them.

On the line an option has dashes (underscores are accepted), a sequence is ``--hidden 500 500`` or
``--hidden [500,500]``, and a switch needs no value.
"""

import re
from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from inspect import isclass, signature
from itertools import takewhile
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from mixvae.errors import MixvaeError

set_parsing_settings(docstring_parse_attribute_docstrings=True)

Flags = list[tuple[str, list[str]]]  # (name with underscores, the words after it)


class Help(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Dashes, types as a reader says them, and defaults."""

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings or action.dest == "help":
            return super()._format_action_invocation(action)
        return f"{dashed(action.dest)} {_takes(action)}"

    def _get_help_string(self, action: Action) -> str:
        if action.default is None or action.default == SUPPRESS:
            return action.help or ""
        many = isinstance(action.default, list | tuple)
        default = " ".join(map(str, action.default)) if many else _plain(action.default)
        return f"{action.help or ''} (default: {default})".strip()


class Parser(ArgumentParser):
    """The parser of one command; its ``usage`` and options are the command's own."""

    def __init__(self, usage: str, description: str, **kwargs: Any) -> None:
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
        """A group of options: a function's arguments, or a dataclass's fields.

        All of them but for ``skip``, or ``only`` some.
        """
        group = self.add_argument_group(title)
        left_out: set[str | int] = set(skip)
        left_out |= {name for name in signature(source).parameters if only and name not in only}
        add = group.add_class_arguments if isclass(source) else group.add_function_arguments
        add(source, as_group=False, skip=left_out)
        for action in group._group_actions:
            action.metavar = _words(_type(action), action.default)
            action.help = re.sub(r":\w+:`([^`]*)`", r"\1", action.help or "")
        return group

    def unset(self, *names: str, help: str | None = None) -> None:
        """Leave options out of the result unless they are given, and say so in the help."""
        for name in names:
            action = self._options()[name]
            action.default = SUPPRESS
            action.help = f"{action.help or ''} {help}".strip() if help else action.help

    def bare(self, name: str, value: Any) -> None:
        """Let an option stand without a value, which is then this one."""
        action = self._options()[name]
        action.const, action.metavar = value, f"[{_takes(action)}]"

    def read(self, argv: Sequence[str], n_positional: int = 0) -> tuple[list[str], dict[str, Any]]:
        """The words that belong to no option, and the options' values.

        Raises:
            MixvaeError: for an unknown option, a value of the wrong type, or words too many.
        """
        words, flags = split(argv)
        for name, _ in flags:
            if name == "help":
                self.print_help()
                self.exit(0)
            if name not in self._options():
                raise self._unknown(name)
        args = []
        for name, values in flags:
            value, rest = self._join(name, values)
            args.append(f"--{name}={value}")
            words += rest
        if len(words) > n_positional:
            raise MixvaeError(
                f"{words[n_positional]!r} is one word too many. Usage: {self.usage}; "
                f"{self.prog} --help lists the options."
            )
        return words, self.parse_args(args).as_dict()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say in one line which option has which wrong value."""
        found = re.match(r'Parser key "(\w+)".*(?:Got|Given) value: (.*)$', message, re.DOTALL)
        if found and (action := self._options().get(found[1])):
            message = f"{dashed(found[1])} takes {_takes(action)}; got {found[2]!r}."
        raise MixvaeError(message) from ex

    def _options(self) -> dict[str, Action]:
        return {action.dest: action for action in self._actions if action.option_strings}

    def _join(self, name: str, values: list[str]) -> tuple[str, list[str]]:
        """An option's words as one value, and those that are not its own."""
        action = self._options()[name]
        hint = _type(action)
        if _is_sequence(hint) and values and not values[0].startswith(("[", "null")):
            return f"[{','.join(values)}]", []
        if hint is bool and not values:
            return "true", []
        if not values and action.const is not None:
            return str(action.const), []
        if not values:
            raise MixvaeError(f"{dashed(name)} takes {_takes(action)}; no value was given.")
        return values[0], values[1:]

    def _unknown(self, name: str) -> MixvaeError:
        known = [dashed(known) for known in self._options()]
        near = get_close_matches(dashed(name), known, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]}?" if near else ""
        return MixvaeError(
            f"unknown option {dashed(name)}.{hint} {self.prog} --help lists the options."
        )


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
    """How an option is spelled on the line."""
    return "--" + name.replace("_", "-")


def _type(action: Action) -> Any:
    return getattr(action, "_typehint", None) or action.type or str


def _takes(action: Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else _words(_type(action))


def _is_sequence(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(map(_is_sequence, get_args(hint)))
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence)


def _words(hint: Any, default: Any = ...) -> str:
    """A type as a reader says it: ``int``, ``int ...``, ``mean|sum``, ``true|false``.

    That it may be null goes without saying where null is the default.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "|".join(map(str, args))
    if origin in (Union, UnionType):
        shown = (arg for arg in args if not (arg is NoneType and default is None))
        return "|".join(dict.fromkeys(map(_words, shown)))
    if origin is tuple:
        return " ".join(map(_words, args))
    if args:
        return f"{_words(args[0])} ..."
    return {bool: "true|false", NoneType: "null", str: "text"}.get(hint, hint.__name__.lower())


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What a command did, and its forms: text, one JSON object (--json), or a path (--quiet).

A command returns a `Result`, and `mixvae.cli.main` prints it in the form that is asked for.
"""

import io
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from mixvae.errors import MixvaeError, MixvaeWarning

FLAGS = {
    "--json": "print one JSON object and nothing else; progress and warnings go to stderr",
    "--quiet": "print errors only, and on the last line the path of the result",
}
HELP = "\n".join(["every command:", *(f"  {flag:11s}{what}" for flag, what in FLAGS.items())])


class HelpAskedError(Exception):
    """What a command's parser raises at --help, instead of an answer."""

    def __init__(self, parser: Any) -> None:
        self.parser = parser


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command did.

    Attributes
    ----------
    text
        What people read, without the files' paths.
    values
        The same for programs: nested mappings, lists, numbers, NumPy's too, text and paths.
    files
        The files written, the most important one first.
    brief
        What --quiet prints; by default the path of the first file.
    printed
        Whether text and paths were printed while the command ran.
    """

    text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[str | Path] = ()
    brief: str | None = None
    printed: bool = False

    def lines(self) -> list[str]:
        """The text, and the path of each file on a line of its own."""
        return [*([self.text.rstrip("\n")] if self.text else []), *map(str, self.files)]


@dataclass(frozen=True)
class Form:
    """The form in which a command's result is printed."""

    json: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, argv: Sequence[str]) -> tuple["Form", list[str]]:
        """The form that a command line asks for, and its other words."""
        for word in argv:
            flag, equals, _ = word.partition("=")
            if equals and flag in FLAGS:
                raise MixvaeError(f"{flag} takes no value; got {word!r}.")
        rest = [word for word in argv if word not in FLAGS]
        return cls("--json" in argv, "--quiet" in argv), rest

    @contextmanager
    def listening(self, warned: list[str]) -> Iterator[io.StringIO]:
        """Context of a command: what it prints is kept if standard output has another use.

        Mixvae's own warnings are printed as lines, like its errors, and added to ``warned``.
        """
        printed = io.StringIO()
        with ExitStack() as stack, warnings.catch_warnings():
            if self.json or self.quiet:
                stack.enter_context(redirect_stdout(printed))
            if self.quiet:
                stack.enter_context(redirect_stderr(io.StringIO()))
            usual = warnings.showwarning

            def show(message: Any, category: Any, *rest: Any, **named: Any) -> None:
                if issubclass(category, MixvaeWarning):
                    warned.append(" ".join(str(message).split()))
                    print(f"mixvae: warning: {warned[-1]}", file=sys.stderr)
                else:
                    usual(message, category, *rest, **named)

            warnings.simplefilter("always", MixvaeWarning)
            warnings.showwarning = show
            yield printed

    def show(self, command: str, result: Result | None, printed: str, warned: list[str]) -> None:
        """Print a result; of a command that returns none, what it has ``printed``."""
        if result is None and not printed:  # such as the other processes of a training
            return
        if result is None:
            last = printed.rstrip("\n").rpartition("\n")[2]
            result = Result(text=printed, values={"text": printed}, brief=last)
        elif self.json and printed and not self.quiet:
            print(printed, end="", file=sys.stderr)
        if self.json:
            print(as_json(command, result, warned))
        elif self.quiet:
            brief = result.brief or (str(result.files[0]) if result.files else "")
            if brief:
                print(brief)
        elif not result.printed:
            print("\n".join(result.lines()))

    def fail(self, command: str, code: int, message: str, lead: str = "mixvae: error: ") -> int:
        """Print an error, on standard error and with --json as an object too; returns the code.

        It is one line, also where names of columns or a parser's message have several.
        """
        message = " ".join(message.split())
        print(f"{lead}{message}", file=sys.stderr)
        if self.json:
            with suppress(OSError):
                error = {"command": command, "error": message, "exit_code": code}
                print(json.dumps(error, indent=2), flush=True)
        return code


def as_json(command: str, result: Result, warned: Sequence[str] = ()) -> str:
    """A result as a JSON object: NaN and infinities are null, and ``not_finite`` names them."""
    odd: dict[str, str] = {}
    body = {"command": command} | plain(result.values, odd)
    body |= {"files": [str(path) for path in result.files], "warnings": list(warned)}
    return json.dumps(body | {"not_finite": odd}, indent=2, allow_nan=False)


def plain(value: Any, odd: dict[str, str], where: str = "") -> Any:
    """A value in JSON's types; ``odd`` collects NaN and infinities by their place."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers, and tensors
        value = value.tolist()
    inner = f"{where}." if where else ""
    if isinstance(value, Mapping):
        return {str(key): plain(item, odd, f"{inner}{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, odd, f"{inner}{i}") for i, item in enumerate(value)]
    if isinstance(value, float) and not isfinite(value):
        odd[where] = str(value)
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)

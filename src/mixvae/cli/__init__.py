"""The command line: ``mixvae COMMAND ...``.

Options are the arguments of the functions behind them, with their types, defaults and docstrings:
a recipe's new argument is an option without a line here.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from shlex import quote
from typing import Any

from mixvae import __version__
from mixvae.errors import MixvaeError, MixvaeWarning, unknown

COMMANDS = {  # name -> the module here that has the function of that name, and what it does
    "recipes": ("lists", "list the models, or one model's options"),
    "data": ("lists", "list the data sets"),
    "train": ("train", "train a model; the result is a run folder"),
    "evaluate": ("use", "take a run's figures again, on these or other data"),
    "select": ("select", "keep a run's chosen components in a smaller model"),
    "sample": ("use", "draw new images from a run"),
    "reconstruct": ("use", "show images beside what a run makes of them"),
    "encode": ("codes", "write the codes of a run's data into an array file"),
    "interpolate": ("codes", "go from image to image through the codes"),
    "traverse": ("codes", "vary one latent of an image's code"),
    "cross": ("codes", "decode the code of every component by every other"),
}
HELP = f"""usage: mixvae COMMAND ...

Deep mixtures of variational autoencoders.

commands:
{chr(10).join(f"  {name:13s}{what}" for name, (_, what) in COMMANDS.items())}

options:
  -h, --help   show this, or after a command the command's own help
  --version    show the version

A first run, in seconds: mixvae train m-vae --data digits --max-epochs 5"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 1 where the operating system refuses (a full disk, a folder that cannot be written); 2 for
    input that cannot be used; 130 after Ctrl-C; 141 if the reader of the output has closed it, as
    ``| head`` does. With MIXVAE_DEBUG=1 in the environment, errors show where they come from.
    """
    try:
        with _warnings_as_lines():
            code = _answer(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:  # as it is where it was closed before the start
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return 141
    except OSError as error:
        if _debugging():
            raise
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        print(f"mixvae: error: {'. '.join([what, *_notes(error)])}", file=sys.stderr)
        _drop_output()
        return 1


def _answer(argv: list[str]) -> int:
    try:
        _run(argv)
    except MixvaeError as error:
        if _debugging():
            raise
        print(f"mixvae: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:  # fit says which folder it leaves behind
        folder = quote(stop.args[0]) if stop.args else ""
        resume = f" Go on with: mixvae train --resume {folder}" if folder else ""
        print(f"\nmixvae: stopped.{resume}", file=sys.stderr)
        return 130
    except SystemExit as stop:  # after a help
        if stop.code:
            raise
    return 0


def _run(argv: list[str]) -> None:
    name = argv.pop(0) if argv else "--help"
    if name in ("-h", "--help"):
        print(HELP)
    elif name == "--version":
        print(f"mixvae {__version__}")
    elif name in COMMANDS:
        module = import_module(f".{COMMANDS[name][0]}", __name__)
        getattr(module, name)(argv)
    else:
        raise unknown("command", name, COMMANDS)


def _debugging() -> bool:
    return os.environ.get("MIXVAE_DEBUG", "0") not in ("", "0")


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _drop_output() -> None:
    """Lose what could not be written, which Python would try once more when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Our own warnings are lines like our errors."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, *rest: Any, **named: Any) -> None:
            if issubclass(category, MixvaeWarning):
                print(f"mixvae: warning: {message}", file=sys.stderr)
            else:
                usual(message, category, *rest, **named)

        warnings.simplefilter("always", MixvaeWarning)
        warnings.showwarning = show
        yield

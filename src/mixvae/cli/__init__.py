"""The command line: ``mixvae COMMAND ...``.

Options are the arguments of the functions behind them, with their types, defaults and docstrings:
a recipe's new argument is an option without a line here.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from shlex import quote
from typing import Any

from .. import __version__
from ..errors import MixvaeError, MixvaeWarning, unknown

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
    """Run one command. Returns 0, or 2 for input that cannot be used, or 130 after Ctrl-C.

    With MIXVAE_DEBUG=1 in the environment, errors show where they come from.
    """
    try:
        with _warnings_in_a_line():
            _run(list(sys.argv[1:] if argv is None else argv))
    except MixvaeError as error:
        if os.environ.get("MIXVAE_DEBUG", "0") not in ("", "0"):
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


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Our own warnings as lines on stderr, without the place in the code that they come from."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **how: Any) -> None:
            if issubclass(category, MixvaeWarning):
                print(f"mixvae: warning: {message}", file=sys.stderr)
            else:
                others(message, category, *where, **how)

        warnings.showwarning = show
        warnings.simplefilter("always", MixvaeWarning)
        yield


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

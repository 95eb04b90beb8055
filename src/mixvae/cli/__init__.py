"""The command line: ``mixvae COMMAND ...``.

Options are the fields of dataclasses and the arguments of functions, with their types, defaults and
docstrings, so that a new option of a recipe needs no code here.
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

COMMANDS = {  # name -> (module with the function of that name, summary)
    "recipes": ("lists", "list the models, or one model's options"),
    "data": ("lists", "list the data sets"),
    "train": ("train", "train a model; the result is a run folder"),
    "evaluate": ("use", "compute a run's metrics, on its own or other data"),
    "compare": ("compare", "compare runs on the same data, by paired differences"),
    "select": ("select", "prune a run to some of its components"),
    "sample": ("use", "sample new examples from a run"),
    "reconstruct": ("use", "reconstruct examples; images in a picture"),
    "impute": ("impute", "fill in the missing values of a table"),
    "encode": ("codes", "write the codes of data into an array file"),
    "interpolate": ("codes", "decode lines between the codes of examples"),
    "traverse": ("codes", "vary one latent of an example's code"),
    "cross": ("codes", "decode the code of every component by every other"),
    "export": ("export", "write a run as ONNX or torch.export files that need no mixvae"),
    "reproduce": ("reproduce", "train and write a table or figure of a paper"),
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
        notes = getattr(error, "__notes__", [])
        print(f"mixvae: error: {'. '.join([what, *notes])}", file=sys.stderr)
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
    except KeyboardInterrupt as stop:  # fit names the run folder
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


def _drop_output() -> None:
    """Discard output that could not be written, which Python would try to write again at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print mixvae's own warnings as lines, like its errors."""
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

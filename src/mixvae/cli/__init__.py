"""The command line: ``mixvae COMMAND ...``.

Options are the fields of dataclasses and the arguments of functions, with their types, defaults and
docstrings, so that a new option of a recipe needs no code here.

A command is a function ``name(argv)`` that returns a `Result`: text for people, the same values for
programs, and the files it wrote. ``main`` prints it, as --json and --quiet ask, so that a command
has no code for either::

    return Result(text=table, values={"run": folder, "metrics": metrics}, files=[path])
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from shlex import quote

from mixvae import __version__
from mixvae.errors import MixvaeError, unknown

from .result import FLAGS, Form, HelpAskedError, Result

COMMANDS = {  # name -> (module with the function of that name, summary)
    "recipes": ("lists", "list the models, or one model's options"),
    "data": ("lists", "list the data sets"),
    "train": ("train", "train a model; the result is a run folder"),
    "evaluate": ("use", "compute a run's metrics, on its own or other data"),
    "compare": ("compare", "compare runs on the same data, by paired differences"),
    "search": ("search", "train with other options, and choose; the number of components"),
    "report": ("report", "write a page about runs: components, codes, outliers, checks"),
    "select": ("select", "prune a run to some of its components"),
    "sample": ("use", "sample new examples from a run"),
    "reconstruct": ("use", "reconstruct examples; images in a picture"),
    "impute": ("impute", "fill in the missing values of a table"),
    "encode": ("codes", "write the codes of data into an array file"),
    "interpolate": ("codes", "decode lines between the codes of examples"),
    "traverse": ("codes", "vary one latent of an example's code"),
    "cross": ("codes", "decode the code of every component by every other"),
    "explore": ("explore", "explore a run on a page in the browser"),
    "export": ("export", "write a run as ONNX or torch.export files that need no mixvae"),
    "reproduce": ("reproduce", "train and write a table or figure of a paper"),
    "completion": ("completion", "print a script that completes words in bash or zsh"),
}
HELP = f"""usage: mixvae COMMAND ...

Deep mixtures of variational autoencoders.

commands:
{chr(10).join(f"  {name:13s}{what}" for name, (_, what) in COMMANDS.items())}

options:
  -h, --help   show this, or after a command the command's own help
  --version    show the version
{chr(10).join(f"  {flag:13s}{what}" for flag, what in FLAGS.items())}

exit codes: 0 success, 1 an error of the operating system, 2 input that cannot be used,
130 stopped by Ctrl-C, 141 the reader closed the output

A first run, in seconds: mixvae train m-vae --data digits --max-epochs 5"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 1 where the operating system refuses (a full disk, a folder that cannot be written); 2 for
    input that cannot be used; 130 after Ctrl-C; 141 if the reader of the output has closed it, as
    ``| head`` does. With MIXVAE_DEBUG=1 in the environment, errors show where they come from.
    """
    words, form = list(sys.argv[1:] if argv is None else argv), Form()
    try:
        form, words = Form.of(words)
        code = _answer(words, form)
        if sys.stdout is not None:  # as it is where it was closed before the start
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return 141
    except MixvaeError as error:
        if _debugging():
            raise
        return form.fail(_name(words), 2, str(error))
    except OSError as error:
        if _debugging():
            raise
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        notes = getattr(error, "__notes__", [])
        form.fail(_name(words), 1, ". ".join([what, *notes]))
        _drop_output()
        return 1


def _answer(argv: list[str], form: Form) -> int:
    warned: list[str] = []
    try:
        with form.listening(warned) as printed:
            result = run(argv)
    except KeyboardInterrupt as stop:  # fit names the run folder
        folder = quote(stop.args[0]) if stop.args else ""
        resume = f" Go on with: mixvae train --resume {folder}" if folder else ""
        return form.fail(_name(argv), 130, f"stopped.{resume}", "\nmixvae: ")
    except HelpAskedError as asked:
        text = asked.parser.format_help().rstrip("\n")
        form.show(_name(argv), Result(text=text, values={"help": text}, brief=text), "", warned)
        return 0
    form.show(_name(argv), result, printed.getvalue(), warned)
    return 0


def run(argv: Sequence[str]) -> Result | None:
    """Run the command that a command line names."""
    name, *rest = argv or ["--help"]
    if name == "help":  # as many programs have it
        name, *rest = [*rest[:1], "--help"]
    if name in ("-h", "--help"):
        commands = {command: what for command, (_, what) in COMMANDS.items()}
        return Result(text=HELP, values={"commands": commands}, brief=HELP)
    if name == "--version":
        text = f"mixvae {__version__}"
        return Result(text=text, values={"version": __version__}, brief=__version__)
    if name.startswith("-"):
        raise unknown("option", name, ("--help", "--version", *FLAGS))
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    module = import_module(f".{COMMANDS[name][0]}", __name__)
    result: Result | None = getattr(module, name)(rest)
    return result


def _name(argv: Sequence[str]) -> str:
    """The command that a command line names."""
    return argv[0] if argv else "--help"


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

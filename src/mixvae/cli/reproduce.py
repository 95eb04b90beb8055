"""``mixvae reproduce``: the papers' tables and figures."""

from dataclasses import dataclass
from inspect import getdoc

from mixvae.errors import MixvaeError
from mixvae.reproduction import reproduce as make

from .parser import Parser, taken
from .result import Result

USAGE = "mixvae reproduce PAPER/ITEM ... [OPTIONS]"


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Names of the tables and figures."""

    list_: bool = False
    """Print the names of all tables and figures, and do nothing else."""


def reproduce(argv: list[str]) -> Result:
    """Train what a table or figure of a paper needs, and write it beside the paper's figures.

    The result is results/PAPER/ITEM.csv, .md and pictures. Runs are kept, shared between items, and
    go on where they stopped.

      mixvae reproduce --list
      mixvae reproduce mvae/table6 --scale quick
      mixvae reproduce m-vae dlgmm/fig3b --data-dir ~/data     # all of a paper's, and one more
    """
    from mixvae.experiments import ITEMS

    parser = Parser(USAGE, getdoc(reproduce))
    parser.add_options("names", ListOptions)
    parser.add_options("experiments", make, skip={"items"})
    words, values = parser.read(argv, len(ITEMS))
    if taken(ListOptions, values).list_:
        names = "\n".join(ITEMS)
        return Result(text=names, values={"items": list(ITEMS)}, brief=names)
    if not words:
        raise MixvaeError(f"name a table or figure: {USAGE}; mixvae reproduce --list has them.")
    pages = make(words, **values)
    return Result(values={"items": words}, files=pages, printed=True)

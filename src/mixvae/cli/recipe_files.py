"""Recipes in files of the user's own: ``my_file.py:LaplaceVAE``."""

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isclass
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import NamedTuple
from zlib import crc32

from mixvae.errors import MixvaeError, unknown
from mixvae.recipes import Recipe
from mixvae.recipes.registry import NAME, check_class, find, name_of

from .parser import Parser, split

HELP = "files of your own recipes, which then have their names; may be given several times."


class Named(NamedTuple):
    """A recipe, and the word that names it on the command line from any folder."""

    word: str
    kind: type[Recipe]


def recipe_of(word: str) -> Named:
    """The recipe that a word names: by its name, or as FILE:CLASS.

    Raises a MixvaeError for a name that is not known, and for a file that is missing, cannot be
    imported, or has several recipes of which none is named.
    """
    name, colon, class_name = word.rpartition(":")
    if word.endswith(".py"):
        name, class_name = word, ""
    elif not colon:
        return Named(word, find(word))
    path = Path(name).expanduser().resolve()
    kind = _class_of(_imported(path), path, class_name)
    return Named(f"{path}:{kind.__name__}", kind)


def add_recipes(parser: Parser) -> None:
    """Add the option ``--recipes``."""
    group = parser.add_argument_group("recipes of your own")
    group.add_argument("--recipes", type=Sequence[str], metavar="FILE:CLASS", help=HELP)


def import_recipes(argv: Sequence[str]) -> dict[str, Named]:
    """Import the files that ``--recipes`` names, and return their recipes by registered name."""
    words = [word for name, words in split(argv)[1] if name == "recipes" for word in words]
    return {name_of(recipe.kind): recipe for recipe in map(recipe_of, words)}


def _imported(path: Path) -> ModuleType:
    """The file as a module, loaded anew; what it imports may lie in its folder."""
    if not path.is_file():
        raise MixvaeError(f"{path}: no such file; a recipe of your own is FILE:CLASS.")
    name = f"{path.stem}_{crc32(str(path).encode()):08x}"  # the same for the same file
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MixvaeError(f"{path} is no Python file; a recipe of your own is FILE:CLASS.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # where dataclass resolves annotations
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise MixvaeError(f"{_place(path, error)}: {_message(error)}") from error
    return module


def _place(path: Path, error: BaseException) -> str:
    """The file and the line of it where an import failed."""
    lines = [
        frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _message(error: BaseException) -> str:
    if isinstance(error, MixvaeError):
        return str(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}".replace("\n", " ")


def _class_of(module: ModuleType, path: Path, name: str) -> type[Recipe]:
    """The recipe of this class name in a file, or the only one if none is named."""
    own = {
        key: value
        for key, value in vars(module).items()
        if isclass(value) and issubclass(value, Recipe) and value.__module__ == module.__name__
    }
    if name:
        if not hasattr(module, name):
            if own:
                raise unknown(f"class of {path}", name, own)
            raise MixvaeError(f"{path} has no class {name}, and no recipe at all.")
        kind = getattr(module, name)
        check_class(kind)
        name_of(kind)  # raises where there is none
        return kind
    named = [kind for kind in own.values() if NAME in vars(kind)]
    if len(named) != 1:
        found = ", ".join(kind.__name__ for kind in named) or "none with @mixvae.register"
        raise MixvaeError(f"say which recipe of {path}: {path.name}:CLASS. There are {found}.")
    return named[0]

"""``mixvae recipes`` and ``mixvae data``: what there is."""

from collections.abc import Mapping
from typing import Any

from .parser import Parser
from .result import Result


def recipes(argv: list[str]) -> Result:
    """List the models, or one model's options."""
    from mixvae.recipes import list_recipes, options_of
    from mixvae.recipes.registry import summary_of

    from .recipe_files import recipe_of

    usage = "mixvae recipes [RECIPE | FILE:CLASS]"
    words, _ = Parser(usage, "List the models, or one model's options.").read(argv, 1)
    if words:
        recipe = recipe_of(words[0]).kind
        parser = Parser(f"mixvae train {words[0]} --data NAME [OPTIONS]", summary_of(recipe))
        parser.add_options("options", recipe)
        options = options_of(recipe)
        values = {"recipe": words[0], "summary": summary_of(recipe), "options": options}
        return Result(text=parser.format_help(), values=values, brief="\n".join(options))
    more = "mixvae recipes NAME lists a recipe's options."
    return _listing("recipes", list_recipes(), more)


def data(argv: list[str]) -> Result:
    """List the data sets."""
    from mixvae.data import descriptions

    Parser("mixvae data", "List the data sets.").read(argv)
    kinds = "a folder of images, a .npy or .npz file, or a table (.csv, .tsv, .parquet)"
    return _listing("data", descriptions(), f"Besides: {kinds}; give its path.")


def _listing(what: str, rows: Mapping[str, Any], more: str) -> Result:
    """Names with a line each; their names alone are what --quiet prints."""
    width = max(map(len, rows)) + 2
    lines = [f"{name:{width}s}{line}" for name, line in rows.items()]
    text = "\n".join([*lines, "", more])
    return Result(text=text, values={what: rows}, brief="\n".join(rows))

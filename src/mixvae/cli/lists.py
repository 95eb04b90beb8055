"""``mixvae recipes`` and ``mixvae data``: what there is."""

from .parser import Parser


def recipes(argv: list[str]) -> None:
    """List the models, or one model's options."""
    from mixvae.recipes import list_recipes
    from mixvae.recipes.registry import summary_of

    from .recipe_files import recipe_of

    usage = "mixvae recipes [RECIPE | FILE:CLASS]"
    words, _ = Parser(usage, "List the models, or one model's options.").read(argv, 1)
    if words:
        recipe = recipe_of(words[0]).kind
        parser = Parser(f"mixvae train {words[0]} --data NAME [OPTIONS]", summary_of(recipe))
        parser.add_options("options", recipe)
        parser.print_help()
    else:
        _table(list_recipes())
        print("\nmixvae recipes NAME lists a recipe's options.")


def data(argv: list[str]) -> None:
    """List the data sets."""
    from mixvae.data import descriptions

    Parser("mixvae data", "List the data sets.").read(argv)
    _table(descriptions())
    kinds = "a folder of images, a .npy or .npz file, or a table (.csv, .tsv, .parquet)"
    print(f"\nBesides: {kinds}; give its path.")


def _table(rows: dict[str, str]) -> None:
    width = max(map(len, rows)) + 2
    for name, line in rows.items():
        print(f"{name:{width}s}{line}")

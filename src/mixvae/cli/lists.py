"""``mixvae recipes`` and ``mixvae data``: what there is."""

from .parser import Parser


def recipes(argv: list[str]) -> None:
    """List the models, or one model's options."""
    from ..recipes import RECIPES, list_recipes
    from .inputs import check_recipe

    usage = "mixvae recipes [RECIPE]"
    words, _ = Parser(usage, "List the models, or one model's options.").read(argv, 1)
    if words:
        name = check_recipe(words[0])
        parser = Parser(f"mixvae train {name} --data NAME [OPTIONS]", list_recipes()[name])
        parser.add_options("options", RECIPES[name], skip={"x_shape"})
        parser.print_help()
    else:
        _table(list_recipes())
        print("\nmixvae recipes NAME lists a recipe's options.")


def data(argv: list[str]) -> None:
    """List the data sets."""
    from ..data import descriptions

    Parser("mixvae data", "List the data sets.").read(argv)
    _table(descriptions())
    print("\nBesides: a folder of images, or a .npy or .npz file; give its path.")


def _table(rows: dict[str, str]) -> None:
    width = max(map(len, rows)) + 2
    for name, line in rows.items():
        print(f"{name:{width}s}{line}")

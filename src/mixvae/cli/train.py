"""``mixvae train``: a recipe, data and options in, a run folder out."""

import sys
from pathlib import Path
from typing import Any, Literal, get_args

from mixvae.data import Dataset
from mixvae.errors import MixvaeError, is_a
from mixvae.pruning import kept_by
from mixvae.recipes import RECIPES, build, list_recipes, options_of
from mixvae.recipes.registry import name_of, summary_of
from mixvae.run import Run, load
from mixvae.storage.reading import read_yaml
from mixvae.storage.run_folder import can_go_on, is_finished
from mixvae.training import fit, resume
from mixvae.training.optimizers import OptimizerName, ScheduleName
from mixvae.training.selecting import PRUNED

from .inputs import DATA_OPTIONS, as_flags, located, open_data, reopen, settings_of
from .parser import Parser, split
from .recipe_files import Named, add_recipes, import_recipes, recipe_of
from .select import select_from, show

USAGE = "mixvae train RECIPE --data NAME [OPTIONS]"
ABOUT = """Train a model on data. The result is a run folder; none is ever overwritten.

  mixvae train m-vae --data digits --max-epochs 5 --hidden 100 100
  mixvae train my_file.py:MyVAE --data digits
  mixvae train --config runs/m-vae-digits-001/config.yaml --lr 3e-4
  mixvae train --resume runs/m-vae-digits-001 --max-epochs 10"""
LoggerName = Literal["csv", "tensorboard"]
LOGGER = "csv is the run folder's log.csv alone; tensorboard writes its files beside it."
KEPT = ("accelerator", "devices", "num_nodes", "strategy", "progress", "pictures", "compile")
ELSEWHERE = {"recipe", "data", "folder", "settings", "phase", "origin", "callbacks", "others"}
ELSEWHERE |= {"recipes", "logger", "optimizer", "lr_schedule"}  # options of their own below


def train(argv: list[str]) -> None:
    """Train a model, or go on with a run; end with its figures."""
    words, flags = split(argv)
    given = dict(flags)
    recipe = words[0] if words else None
    run = _resume(argv) if "resume" in given else _train(recipe, argv, given)
    show(run)


def training_parser(recipe: Named | None) -> Parser:
    """All options of ``mixvae train RECIPE``; without a recipe, those that all share."""
    parser = Parser(USAGE.replace("RECIPE", recipe.word if recipe else "RECIPE"), ABOUT)
    files = parser.add_argument_group("files")
    files.add_argument(
        "--config", type=str, metavar="FILE", help="options in YAML; flags override."
    )
    files.add_argument("--resume", type=str, metavar="RUN", help="go on with a run.")
    if recipe is None:
        rows = (f"  {name:13s}{line}" for name, line in list_recipes().items())
        parser.epilog = "\n".join(["mixvae train RECIPE --help adds the recipe's options:", *rows])
    else:
        title = f"recipe {name_of(recipe.kind)}: {summary_of(recipe.kind)}"
        parser.add_options(title.rstrip(".: "), recipe.kind)
    parser.add_options("data", open_data)
    group = parser.add_options("training", fit, skip=ELSEWHERE)
    _add_named(group, "optimizer", OptimizerName, "adam", "of sgd the momentum is 0.9.")
    _add_named(group, "lr_schedule", ScheduleName, "constant", "cosine and linear fall to 0.")
    _add_named(group, "logger", LoggerName, "csv", LOGGER)
    parser.bare("compile", "true")
    if recipe and recipe.kind.drops_components:
        parser.add_options("choice of components", _pruning_options)
    return parser


def _train(word: str | None, argv: list[str], given: dict[str, list[str]]) -> Run:
    lines = _read_config(given)
    word = word or lines.get("recipe")
    is_a((str, type(None)), "a recipe's name, or FILE:CLASS", recipe=word)
    lines.pop("recipe", None)
    if word is None and "help" not in given:
        raise MixvaeError(
            f"name a recipe first: {USAGE}. There are {', '.join(RECIPES)}; one of your own is "
            "FILE:CLASS."
        )
    recipe = recipe_of(word) if word else None
    parser = training_parser(recipe)
    # A file's lines are flags that come before those on the line, which so have the last word.
    _, values = parser.read([*as_flags(lines), *argv], 1)
    assert recipe is not None
    for name in ("config", "resume"):
        del values[name]
    out = values.pop("out")
    settings = located({"recipe": recipe.word} | values)
    data = open_data(**{name: values.pop(name) for name in DATA_OPTIONS})
    options = {name: values.pop(name) for name in options_of(recipe.kind)}
    prune = values.pop("prune", False)
    if values.pop("finetune_epochs", 0) and not prune:
        raise MixvaeError("--finetune-epochs needs --prune: they train the smaller model.")
    built = build(recipe.kind, data, seed=values["seed"], **options)
    if prune:
        kept_by(built, None)  # a recipe that cannot be pruned is told before it is trained
        built.recipe.without_dropout()
    values["batch_size"] = _fitting(values["batch_size"], data)
    run = fit(built, data, out=out, settings=settings, **values)
    return _then_prune(run, data, settings) if prune else run


def _fitting(batch_size: int, data: Dataset) -> int:
    """The batch size, or all training data where there are fewer, which is said."""
    n = len(data.train)
    if batch_size > n:
        print(
            f"mixvae: batch-size {batch_size} is larger than the {n} training examples, which are "
            "taken all at once: with one step an epoch, more epochs may be needed.",
            file=sys.stderr,
        )
    return min(batch_size, n)


def _pruning_options(*, prune: bool = False, finetune_epochs: int = 0) -> None:
    """What follows the training of a model with component dropout.

    Args:
        prune: end with a smaller model of the components that were kept, a run folder "pruned" in
            the run's own; mixvae select does it later.
        finetune_epochs: epochs to train the smaller model for.
    """


def _resume(argv: list[str]) -> Run:
    parser = Parser("mixvae train --resume RUN [--max-epochs N] [OPTIONS]", "Go on with a run.")
    parser.add_argument("--resume", type=str, metavar="RUN", help="the run folder.")
    add_recipes(parser)
    group = parser.add_options("training", resume, skip={*ELSEWHERE, *KEPT})
    _add_named(group, "logger", LoggerName, "csv", LOGGER)
    parser.add_options("running; by default as before", fit, only=KEPT)
    parser.add_options("data; by default as before", open_data)
    parser.bare("compile", "true")
    parser.unset(*KEPT, *DATA_OPTIONS)
    folder = parser.read(argv)[1]["resume"]
    import_recipes(argv)
    before = settings_of(Path(folder))
    _, values = parser.read([*as_flags(before, KEPT), *argv])
    del values["resume"], values["recipes"]
    data = reopen(folder, {name: values.pop(name) for name in DATA_OPTIONS if name in values})
    if before.get("prune") and _only_pruning_is_left(Path(folder), values):
        return _then_prune(load(folder), data, before | values)
    run = resume(folder, data, **values)
    return _then_prune(run, data, before | values) if before.get("prune") else run


def _only_pruning_is_left(folder: Path, given: dict[str, Any]) -> bool:
    """Whether a run was stopped after its training, while its smaller model was made."""
    more = given.get("max_epochs") is not None or given.get("patience") is not None
    return is_finished(folder) and not is_finished(folder / PRUNED) and not more


def _then_prune(run: Run, data: Dataset, settings: dict[str, Any]) -> Run:
    """The smaller model's run, trained as the whole one was."""
    show(run)
    how = {key: settings[key] for key in (*KEPT, "finetune_epochs") if key in settings}
    pruned = run.folder / PRUNED
    if can_go_on(pruned) and not is_finished(pruned):
        return resume(pruned, data, **{key: how[key] for key in KEPT if key in how})
    return select_from(run.folder, data, **how)


def _add_named(group: Any, name: str, hint: Any, default: str, text: str) -> None:
    words = "|".join(get_args(hint))
    group.add_argument(f"--{name}", type=hint, default=default, metavar=words, help=text)


def _read_config(given: dict[str, list[str]]) -> dict[str, Any]:
    if "config" not in given or "help" in given:
        return {}
    if not given["config"]:
        raise MixvaeError("--config takes a YAML file; none was given.")
    return read_yaml(Path(given["config"][0]))

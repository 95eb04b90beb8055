"""``mixvae train``: train a recipe on data, or resume a run."""

import sys
from dataclasses import dataclass
from inspect import getdoc, signature
from pathlib import Path
from typing import Any, Literal

from mixvae.data import Dataset
from mixvae.errors import MixvaeError, is_a
from mixvae.pruning import kept_by
from mixvae.recipes import RECIPES, build, list_recipes, options_of
from mixvae.recipes.registry import name_of, summary_of
from mixvae.run import Run, load, load_transform
from mixvae.storage.reading import read_yaml
from mixvae.storage.run_folder import can_go_on, is_finished
from mixvae.training import fit, resume
from mixvae.training.optimizers import OptimizerName, ScheduleName
from mixvae.training.selecting import PRUNED

from .inputs import DATA_OPTIONS, DataOptions, as_flags, data_options, located, settings_of
from .parser import Parser, split, taken
from .plan import PlanOptions, plan
from .recipe_files import Named, add_recipes, import_recipes, recipe_of
from .result import Result
from .select import result_of, select_from

USAGE = "mixvae train RECIPE --data NAME [OPTIONS]"
KEPT = ("accelerator", "devices", "num_nodes", "strategy", "progress", "pictures", "compile")
ELSEWHERE = {"recipe", "data", "folder", "settings", "phase", "origin", "callbacks", "others"}
ELSEWHERE |= {"recipes", "logger", "optimizer", "lr_schedule"}  # of NamedOptions


@dataclass(frozen=True, kw_only=True)
class NamedOptions:
    """Arguments of training that the command line takes by name only."""

    optimizer: OptimizerName = "adam"
    """Optimizer; the momentum of sgd is 0.9."""
    lr_schedule: ScheduleName = "constant"
    """Course of the learning rate; cosine and linear fall to 0."""
    logger: Literal["csv", "tensorboard"] = "csv"
    """csv is the run folder's log.csv alone; tensorboard writes its files beside it."""


@dataclass(frozen=True, kw_only=True)
class PruningOptions:
    """What follows the training of a model with component dropout."""

    prune: bool = False
    """End with a smaller model of the components that were kept, a run folder "pruned" in the run's
    own; mixvae select does it later."""
    finetune_epochs: int = 0
    """Number of epochs to train the smaller model for."""


def train(argv: list[str]) -> Result | None:
    """Train a model on data. The result is a run folder; none is ever overwritten.

    mixvae train m-vae --data digits --max-epochs 5 --hidden 100 100
    mixvae train my_file.py:MyVAE --data digits
    mixvae train --config runs/m-vae-digits-001/config.yaml --lr 3e-4
    mixvae train --resume runs/m-vae-digits-001 --max-epochs 10
    """
    words, flags = split(argv)
    given = dict(flags)
    recipe = words[0] if words else None
    if "resume" in given:
        return result_of(_resume(argv))
    return _train(*_read(recipe, argv, given))


def training_parser(recipe: Named | None) -> Parser:
    """The options of ``mixvae train RECIPE``; without a recipe, those that all recipes share."""
    parser = Parser(USAGE.replace("RECIPE", recipe.word if recipe else "RECIPE"), getdoc(train))
    files = parser.add_argument_group("files")
    files.add_argument(
        "--config", type=str, metavar="FILE", help="options in YAML; flags override."
    )
    files.add_argument("--resume", type=str, metavar="RUN", help="resume a run.")
    add_recipes(parser)
    if recipe is None:
        rows = (f"  {name:13s}{line}" for name, line in list_recipes().items())
        parser.epilog = "\n".join(["mixvae train RECIPE --help adds the recipe's options:", *rows])
    else:
        title = f"recipe {name_of(recipe.kind)}: {summary_of(recipe.kind)}"
        parser.add_options(title.rstrip(".: "), recipe.kind)
    parser.add_options("data", DataOptions)
    parser.add_options("training", fit, skip=ELSEWHERE)
    parser.add_options("training", NamedOptions)
    parser.add_options("training", PlanOptions)
    parser.bare("compile", "true")
    if recipe and recipe.kind.drops_components:
        parser.add_options("choice of components", PruningOptions)
    return parser


def _hints(recipe: Named | None) -> dict[str, str]:
    """What to say of options that the recipe lacks and others have."""
    if recipe is None:
        return {}
    hints = {}
    for option, owners in _owners().items():
        several = f"{', '.join(owners[:6])}{' and others' if len(owners) > 6 else ''}"
        hints[option] = f" It is an option of {several}."
    if "n_clusters" in options_of(recipe.kind):
        hints["n_components"] = " Did you mean --n-clusters?"
    return hints


def _owners() -> dict[str, list[str]]:
    """The recipes that have each option."""
    owners: dict[str, list[str]] = {}
    for name, kind in RECIPES.items():
        for option in options_of(kind):
            owners.setdefault(option, []).append(name)
    return owners


def _read(
    word: str | None, argv: list[str], given: dict[str, list[str]]
) -> tuple[Named, dict[str, Any]]:
    """The recipe, and the options of the command line and of the YAML file that it names."""
    lines, path = {}, None
    if "config" in given and "help" not in given:
        if not given["config"]:
            raise MixvaeError("--config takes a YAML file; none was given.")
        path = given["config"][0]
        lines = read_yaml(Path(path))
    of_file = lines.pop("recipe", None)
    is_a((str, type(None)), "a recipe's name, or FILE:CLASS", recipe=word or of_file)
    where, word = "" if word else f"{path}: ", word or of_file
    if word is None and "help" not in given:
        raise MixvaeError(
            f"name a recipe first: {USAGE}. There are {', '.join(RECIPES)}; one of your own is "
            "FILE:CLASS."
        )
    own = import_recipes(argv)
    try:
        recipe = (own.get(word) or recipe_of(word)) if word else None
    except MixvaeError as error:
        raise MixvaeError(f"{where}{error}") from error
    parser = training_parser(recipe)
    parser.hints = _hints(recipe)
    parser.check_keys(lines, f"{path}")
    parser.check_values(as_flags(lines), f"{path}")
    # Options of the file come first, so that those on the command line override them.
    _, values = parser.read([*as_flags(lines), *argv], 1)
    assert recipe is not None
    for name in ("config", "resume", "recipes"):
        del values[name]
    return recipe, values


def _train(recipe: Named, values: dict[str, Any]) -> Result | None:
    out, is_plan = values.pop("out"), taken(PlanOptions, values).dry_run
    settings = located({"recipe": recipe.word} | values)
    data = taken(DataOptions, values).read()[1]
    options, pruning = taken(recipe.kind, values), taken(PruningOptions, values)
    if pruning.finetune_epochs and not pruning.prune:
        raise MixvaeError("--finetune-epochs needs --prune: they train the smaller model.")
    built = build(options, data, seed=values["seed"])
    if pruning.prune:  # refuse a recipe that cannot be pruned before it is trained
        kept_by(built, None)
        built.recipe.without_dropout()
    n = len(data.train)
    if values["batch_size"] > n:
        print(
            f"mixvae: batch-size {values['batch_size']} is larger than the {n} training examples, "
            "which are taken all at once: with one step an epoch, more epochs may be needed.",
            file=sys.stderr,
        )
        values["batch_size"] = n
    if is_plan:
        return plan(built, data, values)
    run = fit(built, data, out=out, settings=settings, **values)
    return result_of(_then_prune(run, data, settings) if pruning.prune else run)


def _resume(argv: list[str]) -> Run:
    parser = Parser("mixvae train --resume RUN [--max-epochs N] [OPTIONS]", "Resume a run.")
    parser.add_argument("--resume", type=str, metavar="RUN", help="the run folder.")
    add_recipes(parser)
    parser.add_options("training", resume, skip={*ELSEWHERE, *KEPT})
    parser.add_options("training", NamedOptions, only={"logger"})
    parser.add_options("running; by default as before", fit, only=KEPT)
    parser.add_options("data; by default as before", DataOptions)
    parser.bare("compile", "true")
    parser.unset(*KEPT, *DATA_OPTIONS)
    fixed = " It was chosen when the run began, and stays."
    parser.hints = dict.fromkeys(_owners(), fixed) | dict.fromkeys(signature(fit).parameters, fixed)
    folder = Path(parser.read(argv)[1]["resume"])
    import_recipes(argv)
    before = settings_of(folder)
    _, values = parser.read([*as_flags(before, KEPT), *argv])
    del values["resume"], values["recipes"]
    given = {name: values.pop(name) for name in DATA_OPTIONS if name in values}
    data = data_options(folder, given).read(load_transform(folder))[1]
    if before.get("prune") and _only_pruning_is_left(folder, values):
        return _then_prune(load(folder), data, before | values)
    run = resume(folder, data, **values)
    return _then_prune(run, data, before | values) if before.get("prune") else run


def _only_pruning_is_left(folder: Path, given: dict[str, Any]) -> bool:
    """Whether a run was stopped after its training, while it was pruned."""
    more = given.get("max_epochs") is not None or given.get("patience") is not None
    return is_finished(folder) and not is_finished(folder / PRUNED) and not more


def _then_prune(run: Run, data: Dataset, settings: dict[str, Any]) -> Run:
    """Prune a run; the smaller model is trained with the run's settings."""
    if result := result_of(run):
        print("\n".join(result.lines()))
    kept = {key: settings[key] for key in KEPT if key in settings}
    pruned = run.folder / PRUNED
    if can_go_on(pruned) and not is_finished(pruned):
        return resume(pruned, data, **kept)
    return select_from(run.folder, data, finetune_epochs=settings.get("finetune_epochs", 0), **kept)

"""``mixvae train``: a recipe, data and options in, a run folder out."""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from ..data import Dataset
from ..errors import MixvaeError
from ..pruning import FIXED, kept_by
from ..recipes import RECIPES, build, list_recipes, options_of
from ..run import Run
from ..training import fit, resume
from ..training.optimizers import OptimizerName, ScheduleName
from .inputs import DATA_OPTIONS, check_recipe, located, open_data, read_yaml, reopen, settings_of
from .parser import Parser, split
from .select import select_from, show

USAGE = "mixvae train RECIPE --data NAME [OPTIONS]"
ABOUT = """Train a model on data. The result is a run folder; none is ever overwritten.

  mixvae train m-vae --data digits --max-epochs 5 --hidden 100 100
  mixvae train --config runs/m-vae-digits-001/config.yaml --lr 3e-4
  mixvae train --resume runs/m-vae-digits-001 --max-epochs 10"""
LoggerName = Literal["csv", "tensorboard"]
LOGGER = "csv is the run folder's log.csv alone; tensorboard writes its files beside it."
LIKELIHOOD = "By default the data choose: bernoulli where all pixels are 0 or 1, else gaussian."
KEPT = ("accelerator", "devices", "num_nodes", "strategy", "progress", "pictures", "compile")
ELSEWHERE = {"recipe", "data", "folder", "settings", "phase", "callbacks", "others"}
ELSEWHERE |= {"logger", "optimizer", "lr_schedule"}  # of which the line takes names alone


def train(argv: list[str]) -> None:
    """Train a model, or go on with a run; end with its figures."""
    words, flags = split(argv)
    given = dict(flags)
    recipe = words[0] if words else None
    run = _resume(argv) if "resume" in given else _train(recipe, argv, given)
    show(run)


def training_parser(recipe: str | None) -> Parser:
    """All options of ``mixvae train RECIPE``; without a recipe, those that all share."""
    parser = Parser(USAGE.replace("RECIPE", recipe or "RECIPE"), ABOUT)
    files = parser.add_argument_group("files")
    files.add_argument(
        "--config", type=str, metavar="FILE", help="options in YAML; flags override."
    )
    files.add_argument("--resume", type=str, metavar="RUN", help="go on with a run.")
    if recipe is None:
        rows = (f"  {name:13s}{line}" for name, line in list_recipes().items())
        parser.epilog = "\n".join(["mixvae train RECIPE --help adds the recipe's options:", *rows])
    else:
        parser.add_options(
            f"recipe {recipe}: {list_recipes()[recipe].rstrip('.')}",
            RECIPES[recipe],
            skip={"x_shape"},
        )
        parser.unset("likelihood", help=LIKELIHOOD)
    parser.add_options("data", open_data)
    group = parser.add_options("training", fit, skip=ELSEWHERE)
    _add_named(group, "optimizer", OptimizerName, "adam", "of sgd the momentum is 0.9.")
    _add_named(group, "lr_schedule", ScheduleName, "constant", "cosine and linear fall to 0.")
    _add_named(group, "logger", LoggerName, "csv", LOGGER)
    parser.bare("compile", "true")
    if recipe in FIXED:
        parser.add_options("choice of components", _pruning_options)
    return parser


def _train(recipe: str | None, argv: list[str], given: dict[str, list[str]]) -> Run:
    lines = _read_config(given)
    recipe = recipe or lines.get("recipe")
    lines.pop("recipe", None)
    if recipe is None and "help" not in given:
        raise MixvaeError(f"name a recipe first: {USAGE}. There are {', '.join(RECIPES)}.")
    parser = training_parser(recipe and check_recipe(recipe))
    # A file's lines are flags that come before those on the line, which so have the last word.
    _, values = parser.read([*_as_flags(lines), *argv], 1)
    assert recipe is not None
    for name in ("config", "resume"):
        del values[name]
    out = values.pop("out")
    settings = located({"recipe": recipe} | values)
    data = open_data(**{name: values.pop(name) for name in DATA_OPTIONS})
    options = {name: values.pop(name) for name in options_of(recipe) if name in values}
    prune = values.pop("prune", False)
    if values.pop("finetune_epochs", 0) and not prune:
        raise MixvaeError("--finetune-epochs needs --prune: they train the smaller model.")
    torch.manual_seed(values["seed"])
    built = build(recipe, data, **options)
    if prune:
        kept_by(built, None)  # a recipe without dropout is told before it is trained
    run = fit(built, data, out=out, settings=settings, **values)
    return _then_prune(run, data, settings) if prune else run


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
    group = parser.add_options("training", resume, skip={*ELSEWHERE, *KEPT})
    _add_named(group, "logger", LoggerName, "csv", LOGGER)
    parser.add_options("running; by default as before", fit, only=KEPT)
    parser.add_options("data; by default as before", open_data)
    parser.bare("compile", "true")
    parser.unset(*KEPT, *DATA_OPTIONS)
    _, values = parser.read(argv)
    folder = values.pop("resume")
    data = reopen(folder, {name: values.pop(name) for name in DATA_OPTIONS if name in values})
    before = settings_of(Path(folder))
    run = resume(folder, data, **{k: before[k] for k in KEPT if k in before} | values)
    return _then_prune(run, data, before | values) if before.get("prune") else run


def _then_prune(run: Run, data: Dataset, settings: dict[str, Any]) -> Run:
    """The smaller model's run, trained as the whole one was."""
    show(run)
    how = {key: settings[key] for key in (*KEPT, "finetune_epochs") if key in settings}
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


def _as_flags(lines: dict[str, Any]) -> list[str]:
    """A file's options as the line would have them."""
    text = {
        name: v if isinstance(v, str) else json.dumps(v, default=str) for name, v in lines.items()
    }
    return [f"--{name}={value}" for name, value in text.items()]

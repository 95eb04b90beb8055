"""What a search does: options, space, seeds and metric, checked before anything is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from mixvae.data import Dataset
from mixvae.errors import MixvaeError, is_a, one_of, seeds, shown, unknown, whole
from mixvae.recipes.building import AnyRecipe, BuiltRecipe, build, class_of, options_of
from mixvae.recipes.registry import name_of
from mixvae.recipes.values import as_json
from mixvae.run import read_json, write_json
from mixvae.training.checks import check_all
from mixvae.training.fitting import fit
from mixvae.training.optimizers import functions_of
from mixvae.training.optimizers import name_of as name_of_function
from mixvae.training.settings import Settings

from .space import Point, Space, corners, from_json, grid, plain, size, to_json

Stop = Literal["auto", "none", "median", "halving"]
FORMAT, PLAN = 1, "search.json"
MOST_POINTS = 10_000  # of a grid
KEPT = 10  # of these, on which the metric is tried
BUILT = 200  # points of a grid that are built before anything is trained
NOT_TRAINING = {"recipe", "data", "out", "seed", "settings", "phase", "origin", "others"}
NOT_TRAINING |= {"callbacks", "logger", "progress", "pictures", "evaluate_on"}
NOT_TRAINING |= {"devices", "num_nodes", "strategy"}  # of one process
DEFAULTS = {
    name: parameter.default
    for name, parameter in signature(fit).parameters.items()
    if name not in NOT_TRAINING
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a search.

    Attributes
    ----------
    recipe
        The recipe's name.
    options, training
        Options of the recipe, and of training, that all trials share.
    space
        What the trials differ in.
    n_trials
        The number of trials, or None for all points of a grid.
    seeds
        The seeds that each point is trained with.
    metric
        The figure of validation rows that is compared, or "auto".
    n_samples
        Importance samples of each row's log p(x).
    n_rows
        The number of validation rows, or None for all.
    stop
        How bad trials are stopped.
    one_standard_error
        Whether fewer components are preferred within a standard error.
    sampler_seed
        Seed of what samples points of ranges.
    """

    recipe: str
    options: Mapping[str, Any]
    training: Mapping[str, Any]
    space: Space
    n_trials: int | None
    seeds: tuple[int, ...]
    metric: str
    n_samples: int
    n_rows: int | None
    stop: Stop
    one_standard_error: bool = True
    sampler_seed: int = 0

    def __post_init__(self) -> None:
        """Check the values that no recipe checks."""
        one_of("stop", self.stop, get_args(Stop))
        whole(0, n_samples=self.n_samples, sampler_seed=self.sampler_seed)
        whole(1, n_rows=1 if self.n_rows is None else self.n_rows)
        whole(1, n_trials=1 if self.n_trials is None else self.n_trials)
        for seed in self.seeds:
            seeds(seed=seed)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise MixvaeError(f"seeds must be different ones, at least one; got {self.seeds}.")
        if self.n_trials is None and size(self.space) > MOST_POINTS:
            what = "has a range" if size(self.space) == float("inf") else "is large"
            raise MixvaeError(
                f"the space of the search {what}; say how many points of it to try: n_trials=20, "
                "on the command line --trials 20."
            )

    @property
    def is_grid(self) -> bool:
        """Whether every point is tried."""
        return self.n_trials is None or self.n_trials >= size(self.space)

    @property
    def stopping(self) -> Stop:
        """How bad trials are stopped: by default those of sampled points by the median."""
        if self.stop == "auto":
            return "none" if self.is_grid else "median"
        return self.stop

    def split(self, point: Point) -> tuple[dict[str, Any], dict[str, Any]]:
        """A trial's options of the recipe, and its arguments of training."""
        ours = options_of(self.recipe)
        own = {name: value for name, value in point.items() if name in ours}
        rest = {name: value for name, value in point.items() if name not in ours}
        return dict(self.options) | own, dict(self.training) | rest

    def build(self, point: Point, data: Dataset, seed: int) -> BuiltRecipe:
        """The recipe of a trial."""
        return build(self.recipe, data, seed=seed, **self.split(point)[0])

    def checked(self, data: Dataset) -> list[BuiltRecipe]:
        """Build and check points before anything is trained: a grid's, or the ends of ranges.

        Some of the models are returned.

        Raises a MixvaeError for an option that the recipe and training lack, a value of the wrong
        type, and what cannot be trained on the data.
        """
        known = [*options_of(self.recipe), *DEFAULTS]
        for name in (*self.space, *self.options, *self.training):
            if name not in known:
                raise unknown(f"option of {self.recipe} or of training", name, known)
        for name in self.space:
            if name in self.options or name in self.training:
                raise MixvaeError(f"{name} is given twice, as one value and in the space.")
        is_small = self.is_grid and size(self.space) <= BUILT
        points = list(islice(grid(self.space) if is_small else corners(self.space), BUILT))
        built = []
        for i, point in enumerate(points):
            training = DEFAULTS | self.split(point)[1]
            recipe = self.build(point, data, self.seeds[0])
            check_all(recipe, data, _settings(training, data, self.seeds[0]), 1)
            if i % (1 + len(points) // KEPT) == 0:
                built.append(recipe)
        return built

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        lists = {"seeds": list(self.seeds), "space": to_json(self.space)}
        options = {"options": plain(dict(self.options)), "training": plain(dict(self.training))}
        return values | lists | options

    def save(self, folder: Path, data: Dataset, settings: Mapping[str, Any] | None) -> None:
        """Write ``search.json``."""
        content = {"format": FORMAT, "plan": self.to_dict(), "data": data.describe()}
        write_json(folder / PLAN, content | {"settings": settings})


def read_plan(folder: Path) -> tuple[Plan, dict[str, Any], dict[str, Any] | None]:
    """The plan of a search folder, the record of its data, and the settings it was started with.

    Raises a MixvaeError for a folder that is no search, or a later version's.
    """
    if not (folder / PLAN).exists():
        raise MixvaeError(f"{folder} is not a search folder: it has no {PLAN}.")
    content = read_json(folder, PLAN)
    if content.get("format") != FORMAT:
        raise MixvaeError(
            f"{folder / PLAN} has format {content.get('format')!r}; this version of mixvae reads "
            f"{FORMAT}."
        )
    try:
        values = dict(content["plan"])
        space, own = from_json(values.pop("space")), tuple(values.pop("seeds"))
        return Plan(space=space, seeds=own, **values), content["data"], content.get("settings")
    except (TypeError, KeyError) as error:
        raise MixvaeError(f"{folder / PLAN} holds no plan of a search: {error}.") from error


def check_same(plan: Plan, data: Dataset, folder: Path) -> None:
    """Raise a MixvaeError unless a folder's search is this one; trials may be more or fewer."""
    other, described, _ = read_plan(folder)
    mine, its = plan.to_dict(), other.to_dict()
    wrong = [name for name in mine if name != "n_trials" and mine[name] != its[name]]
    if wrong:
        name = wrong[0]
        raise MixvaeError(
            f"{folder} is another search: its {name} is {shown(its[name])}, not "
            f"{shown(mine[name])}. Go on with that one: mixvae search --resume {folder}, or give "
            "another folder."
        )
    check_data(data, described, folder)


def check_data(data: Dataset, described: Mapping[str, Any], folder: Path) -> None:
    """Raise a MixvaeError unless the data are those of the search."""
    if wrong := data.differences(described):
        raise MixvaeError(
            f"the search {folder} was started on other data than {data.name}: {wrong}. Give the "
            "same data, or another folder."
        )


def recipe_and_options(recipe: AnyRecipe, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of a recipe, and the options of an instance with others in their place."""
    kind = class_of(recipe)
    name = name_of(kind)
    if isinstance(recipe, kind):
        defaults = options_of(kind)
        own = {key: getattr(recipe, key) for key in defaults}
        options = {k: v for k, v in own.items() if v != defaults[k]} | dict(options)
    return name, {key: as_json(value) for key, value in options.items()}


def _settings(training: Mapping[str, Any], data: Dataset, seed: int) -> Settings:
    """The settings of a training, checked as :func:`mixvae.fit` does."""
    for name in ("optimizer", "lr_schedule", "accelerator"):
        is_a(str, "by its name, as it is kept in JSON", **{name: training[name]})
    names = [name_of_function(training[name]) for name in ("optimizer", "lr_schedule")]
    functions_of(names[0], training["optimizer"], names[1], training["lr_schedule"])
    names_of = {field.name for field in fields(Settings)}
    values = {name: value for name, value in training.items() if name in names_of}
    if values["precision"] == "auto":
        values["precision"] = "32"
    return Settings(**values | {"seed": seed})

"""``mixvae search``: a recipe with other options, compared on validation rows."""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from shlex import quote
from typing import Any

from mixvae.errors import MixvaeError, MixvaeWarning, unknown
from mixvae.model_search.existing import choose_run
from mixvae.model_search.measure import N_ROWS, N_SAMPLES
from mixvae.model_search.metric import AUTO
from mixvae.model_search.plan import DEFAULTS, NOT_TRAINING, PLAN, Stop, read_plan
from mixvae.model_search.result import Search
from mixvae.model_search.searching import resume_search
from mixvae.model_search.searching import search as search_for
from mixvae.model_search.space import Space, parse
from mixvae.recipes import list_recipes
from mixvae.recipes.building import options_of
from mixvae.recipes.registry import name_of, summary_of
from mixvae.report.tables import table
from mixvae.run import load
from mixvae.training import fit

from .inputs import DATA_OPTIONS, DataOptions, located
from .parser import Parser, dashed, is_sequence, split, taken, type_of
from .pictures import check_path
from .recipe_files import Named, add_recipes, import_recipes, recipe_of
from .result import Result
from .runs import source_of
from .train import NamedOptions

USAGE = "mixvae search RECIPE --data NAME --OPTION VALUE VALUE ... [OPTIONS]"
MOST_RUNS = 1000
IN_WORDS = {"space", "seeds"}  # options whose several values are their own


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What is searched, and how trials are compared."""

    space: Sequence[str] | None = None
    """Ranges, and lists of values: lr=1e-4:1e-2:log, n_latent=2:64 (whole numbers, as both ends
    are), n_latent=16:64:16 (in steps), hidden=[100,100],[50]. Ranges need --trials."""
    trials: int | None = None
    """Try so many points, proposed by Optuna from those before; by default all of a grid."""
    seeds: Sequence[int] = (0,)
    """Train each point with each of these seeds, and compare means."""
    metric: str = AUTO
    """The figure of validation rows that is compared: log_likelihood, elbo, sse, or any of mixvae
    evaluate, such as clustering.nmi. auto: log p(x); the bound of models that have none."""
    samples: int = N_SAMPLES
    """Importance samples of each row's log p(x)."""
    n_rows: int | None = N_ROWS
    """Compare on at most so many validation rows, evenly spaced; null: all."""
    stop: Stop = "auto"
    """How bad trials are stopped, by the bound on validation rows: median, below the median of the
    others at the same epoch; halving, successive halving; none. auto: none for a grid, so that
    every K has its figures, else median."""
    one_standard_error: bool = True
    """Choose the fewest components within one standard error of the best; false: the best."""
    sampler_seed: int = 0
    """Seed of the points that are sampled."""
    test: bool = True
    """End with the figures of the chosen run on test rows, which no trial uses."""
    out: str | None = None
    """The search folder, new or of the same search; by default runs/search-RECIPE-DATA-001 and on.
    With --runs, a .png file for the picture."""


@dataclass(frozen=True, kw_only=True)
class ShownOptions:
    """What trials write."""

    pictures: bool = False
    """Draw each trial's pictures."""
    progress: bool = True
    """Say what is running, on standard error."""


def search(argv: list[str]) -> Result:
    """Train a recipe with other options, and choose by log p(x) of validation rows.

    Options with several values are searched: a grid of all of them, or with --trials points that
    Optuna proposes. Each trial is an ordinary run folder. Of the numbers of components K the
    smallest within one standard error of the best is chosen, and docs/choosing_k.md says why.
    The test rows are used once, for the run that is chosen.

      mixvae search mixture-vae --data digits --n-components 2 5 10 --n-latent 4 8 --max-epochs 20
      mixvae search mfa-vae --data wine.csv --n-components 1 2 3 4 --seeds 0 1 2
      mixvae search vae --data mnist --space n_latent=2:64:log lr=1e-4:1e-2:log --trials 20

    Ctrl-C keeps everything. Go on, or with more trials:

      mixvae search --resume runs/search-mixture-vae-digits-001 [--trials 40]

    Runs that exist already, trained on the same data, are compared and drawn in the same way:

      mixvae search --runs runs/mixture-vae-digits-00* --out counts.png
    """
    words, flags = split(argv)
    given = dict(flags)
    try:
        if "runs" in given:
            return _of_runs(argv)
        if "resume" in given:
            return _result(_resume(argv))
        return _result(_search(words[0] if words else None, argv, given))
    except KeyboardInterrupt as stop:
        if stop.args:
            folder = quote(str(stop.args[0]))
            print(f"\nGo on with: mixvae search --resume {folder}", file=sys.stderr)
        raise KeyboardInterrupt from None


def search_parser(recipe: Named | None) -> Parser:
    """The options of ``mixvae search RECIPE``; without a recipe, those that all recipes share."""
    word = recipe.word if recipe else "RECIPE"
    parser = Parser(USAGE.replace("RECIPE", word), getdoc(search))
    files = parser.add_argument_group("instead of a recipe")
    files.add_argument("--resume", type=str, metavar="SEARCH", help="go on with a search folder.")
    files.add_argument("--runs", type=Sequence[str], metavar="RUN ...", help="compare these runs.")
    add_recipes(parser)
    if recipe is None:
        rows = (f"  {name:13s}{line}" for name, line in list_recipes().items())
        parser.epilog = "\n".join(["mixvae search RECIPE --help adds its options:", *rows])
    else:
        title = f"recipe {name_of(recipe.kind)}: {summary_of(recipe.kind)}"
        parser.add_options(title.rstrip(".: "), recipe.kind)
    parser.add_options("search", SearchOptions)
    parser.add_options("data", DataOptions)
    skip = NOT_TRAINING | {"optimizer", "lr_schedule"}
    parser.add_options("training of each trial", fit, skip=skip)
    parser.add_options("training of each trial", NamedOptions, only={"optimizer", "lr_schedule"})
    parser.bare("compile", "true")
    parser.add_options("running", ShownOptions)
    return parser


def _search(word: str | None, argv: list[str], given: dict[str, list[str]]) -> Search:
    if word is None and "help" not in given:
        raise MixvaeError(f"name a recipe first: {USAGE}; mixvae recipes lists them.")
    imported = import_recipes(argv)
    recipe = (imported.get(word) or recipe_of(word)) if word else None
    parser = search_parser(recipe)
    rest, space = _several(parser, argv)
    _, values = parser.read(rest, 1)
    assert recipe is not None
    for name in ("resume", "runs", "recipes"):
        del values[name]
    chosen = taken(SearchOptions, values)
    space |= _ranges(parser, chosen.space or (), recipe)
    shown = vars(taken(ShownOptions, values))
    data = taken(DataOptions, dict(values)).read()[1]
    for name in space:
        values.pop(name, None)
    settings = located({"recipe": recipe.word} | values)
    for name in DATA_OPTIONS:
        values.pop(name)
    defaults = options_of(recipe.kind)
    own = [name for name in defaults if name in values]
    options = {name: value for name in own if (value := values.pop(name)) != defaults[name]}
    training = values
    if "batch_size" not in given and "batch_size" not in space:
        training.pop("batch_size")  # at most the number of rows
    return search_for(
        recipe.kind,
        data,
        space,
        out=chosen.out,
        options=options,
        n_trials=chosen.trials,
        seeds=chosen.seeds,
        metric=chosen.metric,
        n_samples=chosen.samples,
        n_rows=chosen.n_rows,
        stop=chosen.stop,
        one_standard_error=chosen.one_standard_error,
        sampler_seed=chosen.sampler_seed,
        test=chosen.test,
        settings=settings,
        **shown,
        **training,
    )


def _several(parser: Parser, argv: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The command line without the options that have several values, and their values."""
    words, flags = split(argv)
    rest, space = list(words), {}
    known = parser.options()
    for name, values in flags:
        action = known.get(name)
        own = (
            name in IN_WORDS
            or name in DATA_OPTIONS
            or action is None
            or is_sequence(type_of(action))
        )
        if own or len(values) < 2:
            rest += ["-h"] if name == "help" else [dashed(name), *values]
        else:
            space[name] = [_typed(parser, name, value) for value in values]
    return rest, space


def _typed(parser: Parser, name: str, value: Any) -> Any:
    """A value of an option, read by its type."""
    import json

    text = value if isinstance(value, str) else json.dumps(value)
    return parser.read([f"{dashed(name)}={text}"])[1][name]


def _ranges(parser: Parser, texts: Sequence[str], recipe: Named) -> Space:
    """The dimensions of --space, whose values are of their options' types."""
    found: Space = {}
    known = parser.options()
    for name, one in map(parse, texts):
        if name not in known or name in DATA_OPTIONS or hasattr(SearchOptions, name):
            own = [*options_of(recipe.kind), *DEFAULTS]
            raise unknown(f"option of {name_of(recipe.kind)} or of training", name, own)
        for value in one.ends:
            _typed(parser, name, list(value) if isinstance(value, tuple) else value)
        found[name] = one
    return found


def _resume(argv: list[str]) -> Search:
    parser = Parser("mixvae search --resume SEARCH [--trials N] [OPTIONS]", "Go on with a search.")
    parser.add_argument("--resume", type=str, metavar="SEARCH", help="the search folder.")
    add_recipes(parser)
    parser.add_options("search", SearchOptions, only={"trials", "test"})
    parser.add_options("running", ShownOptions)
    values = parser.read(argv)[1]
    import_recipes(argv)
    folder = Path(values["resume"])
    _, _, settings = read_plan(folder)
    if settings is None:
        raise MixvaeError(
            f"{folder / PLAN} does not say where its data are, as the search was started from "
            "Python: call mixvae.search again, with the same out."
        )
    word = settings.get("recipe")
    if isinstance(word, str) and ":" in word:
        recipe_of(word)
    given = {name: settings[name] for name in DATA_OPTIONS if name in settings}
    data = DataOptions(**given).read()[1]
    shown = vars(taken(ShownOptions, values))
    return resume_search(folder, data, n_trials=values["trials"], test=values["test"], **shown)


def _of_runs(argv: list[str]) -> Result:
    parser = Parser("mixvae search --runs RUN RUN ... [--out FILE.png]", "Compare runs by K.")
    parser.add_argument("--runs", type=Sequence[str], metavar="RUN ...", help="run folders.")
    add_recipes(parser)
    only = {"metric", "samples", "n_rows", "one_standard_error", "out"}
    parser.add_options("comparison", SearchOptions, only=only)
    values = parser.read(argv)[1]
    import_recipes(argv)
    folders = [Path(word) for word in values["runs"][:MOST_RUNS]]
    if len(folders) < 2:
        raise MixvaeError(f"name two run folders or more: {parser.usage}.")
    out = Path(values["out"] or "component_counts.png")
    check_path(out, (".png",))
    source = source_of(folders[0], {})
    for folder in folders:
        if changed := source.changes(folder):
            raise MixvaeError(
                f"{folder}: {changed}. Runs are compared by K on the same data; mixvae compare "
                "takes others."
            )
    given = {name: values[name] for name in ("metric", "n_rows", "one_standard_error")}
    runs = [load(folder) for folder in folders]
    found = choose_run(runs, source.data, n_samples=values["samples"], **given)
    values = {"split": found.split, "chosen": found.chosen.to_dict()}
    return Result(text=f"{found}", values=values, files=[found.plot(out)])


def _result(found: Search) -> Result:
    """The table, what was chosen, and its figures on test rows."""
    text = f"{found}"
    if found.test is not None:
        text += f"\n{table(found.test)}\n"
        if found.test.get("earlier"):
            n = len(found.test["earlier"])
            warnings.warn(
                f"test rows were used before, for {n} other choice{'s' if n > 1 else ''} of this "
                f"search: {', '.join(found.test['earlier'])}",
                MixvaeWarning,
                stacklevel=2,
            )
    values = {"search": found.folder, "chosen": found.chosen.to_dict(), "trials": found.rows}
    values |= {"run": found.run_folder, "test": found.test}
    return Result(text=f"{text}search: {found.folder}", values=values, brief=f"{found.folder}")

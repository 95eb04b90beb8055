"""``search``: models of one recipe with other options, compared on validation rows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixvae.data import Dataset
from mixvae.errors import MixvaeError, is_a
from mixvae.recipes.building import AnyRecipe
from mixvae.storage import lock
from mixvae.storage.run_folder import claim

from .measure import N_ROWS, N_SAMPLES, measure_of
from .metric import AUTO
from .plan import PLAN, Plan, Stop, check_data, check_same, read_plan, recipe_and_options
from .result import Search, conclude, final_figures, write
from .running import Runner
from .sampler import check_installed
from .space import space_of
from .trials import Trials

BATCH = 128  # fit's default batch_size, of which small data have fewer


def search(
    recipe: AnyRecipe,
    data: Dataset,
    space: Mapping[str, Any],
    *,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    n_trials: int | None = None,
    seeds: Sequence[int] = (0,),
    metric: str = AUTO,
    n_samples: int = N_SAMPLES,
    n_rows: int | None = N_ROWS,
    stop: Stop = "auto",
    one_standard_error: bool = True,
    sampler_seed: int = 0,
    test: bool = True,
    pictures: bool = False,
    progress: bool = True,
    settings: dict[str, Any] | None = None,
    **training: Any,
) -> Search:
    """Train a recipe with other options, and choose among them by held-out log p(x).

    Each trial is an ordinary run folder in the search folder, whose figures are those of validation
    rows. Test rows are used once, for the trial that is chosen. The same call with the same ``out``
    goes on where a search was stopped.

    Parameters
    ----------
    recipe
        A recipe's name, class or instance.
    data
        From :func:`mixvae.data.load` or :func:`mixvae.data.from_arrays`.
    space
        What the trials differ in, by option of the recipe or of :func:`mixvae.fit`: several values,
        a :class:`Range`, or a text such as "2:64:log".
    out
        The search folder: new, empty, or of the same search; by default
        runs/search-RECIPE-DATA-001 and on.
    options
        Options of the recipe that all trials share.
    n_trials
        How many points to try, proposed by Optuna (``pip install 'mixvae[search]'``); by default
        all of a grid.
    seeds
        Seeds of the training; each point is trained with each, and compared by the mean.
    metric
        The figure of validation rows that is compared: log_likelihood, elbo, sse, or a figure of
        :data:`mixvae.evaluation.METRICS` such as clustering.nmi. auto is log p(x), or the bound or
        the objective of models that have none.
    n_samples
        Importance samples of each row's log p(x); 0 leaves it out, where it is not compared.
    n_rows
        Use at most so many validation rows, evenly spaced; None uses all.
    stop
        How bad trials are stopped, by the bound on validation rows. median: below the median of
        others at the same epoch; halving: successive halving; none. auto is none for a grid, so
        that every K has its figures, and median for sampled points.
    one_standard_error
        Choose the fewest components within one standard error of the best; else the best.
    sampler_seed
        Seed of the points that are sampled.
    test
        End with the figures of the chosen run on test rows.
    pictures
        Draw each trial's pictures.
    progress
        Say on standard error what is running.
    settings
        Options of the command line, for the runs' config.yaml.
    **training
        Arguments of :func:`mixvae.fit` that all trials share, such as max_epochs.

    Returns
    -------
    Search
        Print it for the table; ``run`` is the chosen run.

    Raises
    ------
    MixvaeError
        Before anything is trained, for options, values, metrics and spaces that cannot be used, and
        for a folder of another search; and if no trial was finished.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import mixvae
    >>> data = mixvae.data.load("digits").subset(64)
    >>> quick = {"max_epochs": 1, "progress": False, "metric": "elbo", "n_samples": 0}
    >>> small = {"hidden": [8], "n_latent": 2, "start": "random"}
    >>> space = {"n_components": [1, 2]}
    >>> with TemporaryDirectory() as out:
    ...     found = mixvae.search("mixture-vae", data, space, out=out, options=small, **quick)
    >>> [trial.options for trial in found.trials]
    [{'n_components': 1}, {'n_components': 2}]
    """
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    is_a((str, Path, type(None)), "the search folder's path", out=out)
    is_a(Mapping, "values by option, such as {'n_components': [2, 5]}", space=space)
    name, own = recipe_and_options(recipe, options or {})
    if "batch_size" not in space:
        training.setdefault("batch_size", min(BATCH, len(data.train)))
    plan = Plan(
        recipe=name,
        options=own,
        training=training,
        space=space_of(space),
        n_trials=n_trials,
        seeds=tuple(seeds),
        metric=metric,
        n_samples=n_samples,
        n_rows=n_rows,
        stop=stop,
        one_standard_error=one_standard_error,
        sampler_seed=sampler_seed,
    )
    if out is not None and (Path(out) / PLAN).exists():
        check_same(plan, data, Path(out))
    return _carry_out(plan, data, out, settings, test=test, pictures=pictures, progress=progress)


def resume_search(
    folder: str | Path,
    data: Dataset,
    *,
    n_trials: int | None = None,
    test: bool = True,
    pictures: bool = False,
    progress: bool = True,
) -> Search:
    """Go on with a search from its folder alone, or with more trials.

    Parameters
    ----------
    folder
        The search folder.
    data
        The data that it was started with.
    n_trials
        Another number of trials; by default as before.
    test, pictures, progress
        As of :func:`search`.

    Returns
    -------
    Search
        As of :func:`search`.

    Raises
    ------
    MixvaeError
        For a folder that is no search, and for other data.
    """
    plan, described, settings = read_plan(Path(folder))
    check_data(data, described, Path(folder))
    if n_trials is not None:
        plan = replace(plan, n_trials=n_trials)
    given = {"test": test, "pictures": pictures, "progress": progress}
    return _carry_out(plan, data, folder, settings, **given)


def _carry_out(
    plan: Plan,
    data: Dataset,
    out: str | Path | None,
    settings: dict[str, Any] | None,
    *,
    test: bool,
    pictures: bool,
    progress: bool,
) -> Search:
    if not plan.is_grid:
        check_installed()
    built = plan.checked(data)
    measure = measure_of(plan.metric, plan.n_samples, plan.n_rows, built, data)
    del built
    with _folder(out, f"search-{plan.recipe}-{data.name}") as folder:
        plan.save(folder, data, settings)
        trials = Trials(folder)
        runner = Runner(plan, data, measure, trials, settings, progress=progress, pictures=pictures)
        try:
            runner.run()
        except KeyboardInterrupt as stop:
            stop.args = (str(folder),)
            raise
        found = conclude(trials, plan, measure.target)
        write(found)
        if test:
            test_metrics = final_figures(found, data, measure.n_samples, progress=progress)
            found = replace(found, test=test_metrics)
        return found


@contextmanager
def _folder(out: str | Path | None, name: str) -> Iterator[Path]:
    """Context with the search folder, locked."""
    folder = None if out is None else Path(out)
    if folder is not None and (folder / PLAN).exists():
        lock.acquire(folder)
    elif folder is not None and folder.is_dir() and not _is_free(folder):
        raise MixvaeError(
            f"the folder {folder} is not empty, and is no search; give another folder."
        )
    else:
        folder = claim(out, name)
    try:
        yield folder
    finally:
        lock.release(folder)


def _is_free(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {lock.LOCK}

"""The figures of a run, in one list: what computes them, where they apply, what they are called.

``evaluate``, the report, the tables of experiments and the command line read this list. A metric
that is added to it is in all of them:

    METRICS.append(
        Metric("mae", mean_of(absolute_error), label="absolute error", higher_is_better=False)
    )
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.recipes.building import BuiltRecipe

from .batches import n_clusters
from .bounds import Bounds
from .clustering import Clustering
from .dependence import Dependence
from .health import Health
from .log_likelihood import LogLikelihood, LogLikelihoods
from .one_pass import Accumulator, BoundedMean, Values
from .reconstruction import Reconstruction
from .selection import Selection


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated, and how: the arguments of :func:`mixvae.evaluation.evaluate`."""

    recipe: BuiltRecipe
    x: Tensor
    y: Tensor | None = None
    log_likelihood: int = 0
    batch_size: int = 500
    seed: int = 0
    progress: bool = False
    keep: Callable[[LogLikelihood], object] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of a metric that has several.

    Args:
        label: its name in the report; without one it is not in the plain tables.
        higher_is_better: None where neither is.
        column: its name in the tables of experiments, if it is there.
        digits: of these, after the point.
    """

    label: str = ""
    higher_is_better: bool | None = None
    column: str | None = None
    digits: int = 2

    def cell(self, value: Any) -> str:
        """A value in a table: a list's numbers side by side, a dash for what is no number there."""
        if isinstance(value, Sequence):
            return " ".join("-" if v is None else f"{v:.{self.digits}f}" for v in value)
        return "" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Metric:
    """A figure of a run, or several that are taken together.

    Args:
        name: its key in ``metrics.json``.
        compute: makes the accumulator that takes in the batches of the one pass over the data.
        label: its name in the report: of a row, or above the rows of its ``figures``.
        higher_is_better: None where neither is, or the ``figures`` say so each.
        applies: whether there is such a figure; by default always.
        figures: what the accumulator's result is made of, where that is a mapping.
    """

    name: str
    compute: Callable[[Subject], Accumulator]
    label: str
    higher_is_better: bool | None = None
    applies: Callable[[Subject], bool] = lambda subject: True
    figures: Mapping[str, Figure] = field(default_factory=dict)


def mean_of(values: Values) -> Callable[[Subject], Accumulator]:
    """What computes the mean over x of a function of a :class:`Batch` that gives (B,) values."""
    return lambda subject: BoundedMean(values)


def has_clustering(s: Subject) -> bool:
    """Of one example any partition agrees with its label."""
    return s.y is not None and len(s.x) > 1 and n_clusters(s.recipe.model) > 1


METRICS: list[Metric] = [
    Metric(
        "bounds",
        lambda s: Bounds(s.recipe, s.x, n_samples=None, batch_size=s.batch_size),
        "objective (maximised) and bounds, nats, means over x",
        figures={
            "objective": Figure("objective (as the paper has it)", True, "objective"),
            "elbo": Figure("ELBO", True, "elbo"),
        },
    ),
    Metric(
        "reconstruction",
        lambda s: Reconstruction(),
        "reconstruction (squared error summed over pixels in [0, 1])",
        figures={
            "sse": Figure("SSE, one stochastic sample", False, "sse"),
            "sse_deterministic": Figure("SSE, deterministic", False, "sse_deterministic"),
            "rmse": Figure("RMSE, root of the first", False, "rmse", 3),
        },
    ),
    Metric(
        "health",
        lambda s: Health(s.recipe.model),
        "components (counted from 0)",
        figures={
            "kl": Figure("KL (nats)", column="kl", digits=1),
            "active_units": Figure("active units", column="active_units", digits=0),
            "share": Figure("share", column="share"),
            "used": Figure("used"),
            "sse_alone": Figure("SSE alone", column="sse_alone", digits=1),
            "effective_components": Figure(column="effective_k"),
            "effective_per_example": Figure(column="effective_k_per_x"),
        },
    ),
    Metric(
        "selection",
        lambda s: Selection(s.recipe.model),
        "component dropout",
        applies=lambda s: s.recipe.model.dropout is not None,
        figures={
            "n_kept": Figure("components kept", column="kept", digits=0),
            "n_selected": Figure("selected a draw, on average", column="selected"),
            "rate": Figure(column="rate"),
        },
    ),
    Metric(
        "dependence",
        lambda s: Dependence(s.seed),
        "dependence of the codes",
        applies=lambda s: s.recipe.model.family.n_codes(s.recipe.n_components) > 1,
        figures={
            "dhsic": Figure("dHSIC", column="dhsic", digits=4),
            "permuted": Figure("the same, rows shuffled", column="dhsic_independent", digits=4),
        },
    ),
    Metric(
        "log_likelihood",
        lambda s: LogLikelihoods(
            *(s.recipe.model, s.x, s.log_likelihood, s.keep),
            y=s.y,
            seed=s.seed,
            progress=s.progress,
        ),
        "log p(x) by importance sampling",
        applies=lambda s: s.log_likelihood > 0,
        figures={
            "mean": Figure("log p(x)", True, "log_px"),
            "mean_error": Figure(column="log_px_error"),
            "bits_per_dim": Figure("  bits per dimension", False, "bits_per_dim", 3),
            "k_hat_above": Figure(column="bad_k_hat", digits=3),
        },
    ),
    Metric(
        "clustering",
        lambda s: Clustering(cast(Tensor, s.y)),
        "clustering by the most probable component or cluster",
        applies=has_clustering,
        figures={
            "acc": Figure("accuracy (ACC)", True, "acc", 3),
            "nmi": Figure("NMI", True),
            "ari": Figure("adjusted Rand index", True),
        },
    ),
]


def chosen(subject: Subject, names: Sequence[str] | None) -> list[Metric]:
    """The metrics that apply, in the list's order, or of these those that are named.

    Raises:
        MixvaeError: for a name that is not in the list, or of a metric that does not apply.
    """
    there_are = [metric for metric in METRICS if metric.applies(subject)]
    if names is None:
        return there_are
    if subject.log_likelihood and "log_likelihood" not in names:
        names = [*names, "log_likelihood"]
    check_names(names)
    for name in names:
        if name not in [metric.name for metric in there_are]:
            how = " Ask for samples: log_likelihood=5000." if name == "log_likelihood" else ""
            raise MixvaeError(f"there is no {name} of this model and these data.{how}")
    return [metric for metric in there_are if metric.name in names]


def check_names(names: Sequence[str]) -> None:
    """Raise a MixvaeError for a name that no metric has."""
    known = [metric.name for metric in METRICS]
    for name in names:
        if name not in known:
            raise MixvaeError(f"metrics must be some of {', '.join(known)}; got {name!r}.")


def listing() -> str:
    """Every metric's name and label, a line each, and which figures should be low or high."""
    width = max(len(metric.name) for metric in METRICS) + 2
    return "\n".join(f"  {m.name:{width}s}{m.label}{_direction(m)}" for m in METRICS)


def _direction(metric: Metric) -> str:
    better = {figure.higher_is_better for figure in _figures(metric).values()} - {None}
    if len(better) != 1:
        return ""
    return "; higher is better" if better.pop() else "; lower is better"


def columns(metrics: Mapping[str, Any]) -> dict[str, str]:
    """All figures that have a column in the tables of experiments, formatted; "" for none."""
    return {
        figure.column: figure.cell(values.get(key))
        for metric, values in _values(metrics)
        for key, figure in _figures(metric).items()
        if figure.column is not None
    }


def _figures(metric: Metric) -> Mapping[str, Figure]:
    """A metric of one number is a figure itself."""
    alone = Figure(metric.label, metric.higher_is_better, metric.name, 3)
    return metric.figures or {metric.name: alone}


def _values(metrics: Mapping[str, Any]) -> Iterator[tuple[Metric, Mapping[str, Any]]]:
    for metric in METRICS:
        found = metrics.get(metric.name)
        yield metric, found if isinstance(found, Mapping) else {metric.name: found}

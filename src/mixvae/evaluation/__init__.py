"""Judging a trained model; :func:`evaluate` does all that a run records."""

from collections.abc import Callable, Sequence
from typing import Any

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError, is_a, seeds, whole
from mixvae.recipes.building import BuiltRecipe

from . import log_likelihood as likelihood
from .annealed import annealed_log_likelihood
from .batches import check_x, cluster_probabilities, responsibilities, spaced
from .bidirectional import Bracket, bidirectional
from .bounds import bounds
from .clustering import clustering
from .dependence import dependence
from .health import ComponentHealth, component_health
from .log_likelihood import LogLikelihood, log_likelihood
from .metric import Figure, Metric, Subject, mean_of
from .metrics import METRICS, chosen
from .one_pass import Accumulator, Batch, accumulate
from .pareto import pareto_k
from .reconstruction import reconstruction
from .representation import representation
from .selection import selection

__all__ = [
    "METRICS",
    "Accumulator",
    "Batch",
    "Bracket",
    "ComponentHealth",
    "Figure",
    "LogLikelihood",
    "Metric",
    "annealed_log_likelihood",
    "bidirectional",
    "bounds",
    "cluster_probabilities",
    "clustering",
    "component_health",
    "dependence",
    "evaluate",
    "log_likelihood",
    "mean_of",
    "pareto_k",
    "reconstruction",
    "representation",
    "responsibilities",
    "selection",
]


def evaluate(
    recipe: BuiltRecipe,
    split: Split,
    *,
    log_likelihood: int = 0,
    n_test: int | None = None,
    batch_size: int = 500,
    seed: int = 0,
    progress: bool = False,
    metrics: Sequence[str] | None = None,
    keep: Callable[[LogLikelihood], object] | None = None,
) -> dict[str, Any]:
    """Everything that a run's ``metrics.json`` says of one split, in values that JSON can hold.

    All but log p(x) are of one pass over the data. Each is the same whichever others are taken.

    Args:
        recipe: the trained recipe; its model may be on any device and is left as it was.
        split: images, and labels if there are any.
        log_likelihood: importance samples S an example for log p(x); 0 leaves it out, as it is
            slow.
        n_test: take all figures of so many examples only, evenly spaced over the split, as data
            may be in an order; by default of all.
        batch_size: rows at a time; see :func:`bounds` for what depends on it.
        seed: of all noise.
        progress: show a bar while log p(x) is estimated.
        metrics: take these alone, by their names in ``METRICS``, besides log p(x) if asked for; by
            default all that there are of the model and the data.
        keep: is handed the estimates of log p(x), one an example; the figures are their means.

    Returns:
        ``bounds``, ``reconstruction`` and ``health``; ``dependence`` of a joint mixture's codes;
        ``selection`` where there is component dropout;
        ``log_likelihood`` if asked for; ``clustering`` if there are several labels, and more than
        one component or, in the prior, cluster; and what was evaluated. A figure that is not finite
        stays so: ``report.write_metrics`` writes it as null.

    Raises:
        MixvaeError: where the split's images do not have the recipe's shape, or log p(x) is asked
            for and there is none.
    """
    is_a(BuiltRecipe, "such as run.recipe", recipe=recipe)
    is_a(Split, "one split of a Dataset, such as data.test", split=split)
    whole(0, likelihood.MAX_SAMPLES, log_likelihood=log_likelihood)
    whole(1, n_test=len(split) if n_test is None else n_test, batch_size=batch_size)
    seeds(seed=seed)
    x, y = spaced(split, n_test)
    model = recipe.model
    if tuple(x.shape[1:]) != recipe.x_shape:
        raise MixvaeError(
            f"the recipe {recipe.name} was built for x of shape {recipe.x_shape}, and the data "
            f"have {tuple(x.shape[1:])}; evaluate on the data set that it was trained on."
        )
    check_x(model, x, y)
    subject = Subject(
        recipe=recipe,
        x=x,
        y=y,
        log_likelihood=log_likelihood,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        keep=keep,
    )
    meters = {metric.name: metric.compute(subject) for metric in chosen(subject, metrics)}
    accumulate(model, x, y, list(meters.values()), batch_size=batch_size, seed=seed)
    return {
        "recipe": recipe.name,
        "n_components": recipe.n_components,
        "n_parameters": recipe.n_parameters,
        "n": len(x),
        "batch_size": batch_size,
        "seed": seed,
        **{name: meter.result() for name, meter in meters.items()},
    }

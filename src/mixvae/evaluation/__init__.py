"""Judging a trained model; :func:`evaluate` does all that a run records."""

from collections.abc import Callable
from typing import Any

from ..data.dataset import Split
from ..errors import MixvaeError, is_a, seeds, whole
from ..recipes.building import BuiltRecipe
from . import likelihood
from .bounds import bounds
from .clustering import clustering
from .dependence import dependence
from .health import ComponentHealth, component_health
from .likelihood import LogLikelihood, check_density, log_likelihood
from .pareto import pareto_k
from .passes import cluster_probabilities, n_clusters, responsibilities, spaced
from .reconstruction import reconstruction
from .representation import representation
from .selection import selection

__all__ = [
    "ComponentHealth",
    "LogLikelihood",
    "bounds",
    "cluster_probabilities",
    "clustering",
    "component_health",
    "dependence",
    "evaluate",
    "log_likelihood",
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
    keep: Callable[[LogLikelihood], object] | None = None,
) -> dict[str, Any]:
    """Everything that a run's ``metrics.json`` says of one split, in values that JSON can hold.

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
    if log_likelihood:
        check_density(model, x)  # before the work
    metrics: dict[str, Any] = {
        "recipe": recipe.name,
        "n_components": recipe.n_components,
        "n_parameters": recipe.n_parameters,
        "n": len(x),
        "batch_size": batch_size,
        "seed": seed,
        "bounds": bounds(recipe, x, y, batch_size=batch_size, seed=seed),
        "reconstruction": reconstruction(model, x, y, batch_size=batch_size, seed=seed),
        "health": component_health(model, x, y, batch_size=batch_size).to_dict(),
    }
    if model.family.n_codes(recipe.n_components) > 1:
        metrics["dependence"] = dependence(model, x, y, batch_size=batch_size, seed=seed)
    if model.dropout is not None:
        metrics["selection"] = selection(model)
    if log_likelihood:
        estimate = likelihood.log_likelihood(
            model, x, log_likelihood, y=y, seed=seed, progress=progress
        )
        metrics["log_likelihood"] = estimate.to_dict()
        if keep is not None:
            keep(estimate)
    # Of one example any partition agrees with its label.
    if y is not None and len(x) > 1 and n_clusters(model) > 1:
        cluster = cluster_probabilities(model, x, y, batch_size=batch_size).argmax(-1)
        metrics["clustering"] = clustering(cluster, y)
    return metrics

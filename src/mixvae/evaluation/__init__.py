"""Evaluation of a trained model; :func:`evaluate` computes the metrics that a run records."""

from collections.abc import Callable, Sequence
from typing import Any

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError, is_a, seeds, whole
from mixvae.recipes.building import BuiltRecipe

from .batches import check_x, cluster_probabilities, responsibilities, spaced
from .bounds import bounds
from .clustering import clustering
from .dependence import dependence
from .feature_network import FeatureNetwork, feature_network
from .health import ComponentHealth, component_health
from .image_quality import image_quality, ssim
from .image_scores import frechet_distance, image_scores, inception_score
from .imputation import impute
from .latent_information import latent_information
from .marginal_likelihood import log_likelihood as likelihood
from .marginal_likelihood.annealed import annealed_log_likelihood
from .marginal_likelihood.bidirectional import Bracket, bidirectional
from .marginal_likelihood.by_component import log_joint
from .marginal_likelihood.log_likelihood import LogLikelihood, Method, log_likelihood
from .marginal_likelihood.pareto import pareto_k
from .metric import Figure, Metric, Subject, mean_of
from .metrics import METRICS, chosen
from .one_pass import Accumulator, Batch, accumulate
from .reconstruction import reconstruction
from .representation import representation
from .selection import selection

__all__ = [
    "METRICS",
    "Accumulator",
    "Batch",
    "Bracket",
    "ComponentHealth",
    "FeatureNetwork",
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
    "feature_network",
    "frechet_distance",
    "image_quality",
    "image_scores",
    "impute",
    "inception_score",
    "latent_information",
    "log_joint",
    "log_likelihood",
    "mean_of",
    "pareto_k",
    "reconstruction",
    "representation",
    "responsibilities",
    "selection",
    "ssim",
]


def evaluate(
    recipe: BuiltRecipe,
    split: Split,
    *,
    log_likelihood: int = 0,
    method: Method = "defensive",
    n_steps: int = 1000,
    n_test: int | None = None,
    batch_size: int = 500,
    seed: int = 0,
    progress: bool = False,
    metrics: Sequence[str] | None = None,
    features: FeatureNetwork | None = None,
    n_permutations: int = 0,
    keep: Callable[[LogLikelihood], object] | None = None,
) -> dict[str, Any]:
    """Metrics of a trained recipe on one split, as in a run's ``metrics.json``.

    All but log p(x) are computed in one pass over the data, and none depends on which others are
    computed. Where the split has weights, means over x are weighted means, and metrics that have no
    weighted form are left out; penalties remain those of batches without weights.

    Parameters
    ----------
    recipe
        A trained recipe, whose model may be on any device and in any mode, to which it returns.
    split
        Images, and labels and weights if there are any.
    log_likelihood
        Importance samples S (of ais, chains) for each example's log p(x); 0 leaves log p(x), which
        is slow, out.
    method
        How log p(x) is estimated. defensive: importance sampling from the posterior, wider ones,
        the prior, and normals about modes of the exact posterior; plain: from the posterior alone;
        ais: annealed importance sampling, slower, and independent of the encoder.
    n_steps
        Steps of ais from the prior to the posterior.
    n_test
        Use so many examples only, evenly spaced over the split since data may be sorted; by default
        all.
    batch_size
        Rows at a time; see :func:`bounds` for what depends on it.
    seed
        Seed of all noise.
    progress
        Show a progress bar while log p(x) is estimated.
    metrics
        Names in ``METRICS`` of those to compute, besides log p(x) if ``log_likelihood`` is above 0,
        and image scores if ``features`` is given; by default all that exist for the model and the
        data, but for those that are slow and computed only if named.
    features
        Network of the image scores, such as ``feature_network(data)``; None leaves them out.
    n_permutations
        Permutations of a test that a joint mixture's codes are independent, in ``dependence``; 0
        leaves the test out.
    keep
        Called with the :class:`LogLikelihood` of all examples, whose means are in the result.

    Returns
    -------
    metrics
        Values for JSON: ``recipe``, ``n_components``, ``n_parameters``, ``n``, ``batch_size`` and
        ``seed``; with weights ``weighted``, True; ``bounds``, ``reconstruction`` and ``health``;
        ``image_quality`` of images; ``dependence`` for a joint mixture; ``selection`` with
        component dropout;
        ``log_likelihood``, ``image_scores`` and ``latent_information`` if asked for;
        ``clustering`` with labels of two examples or more, and two clusters or more. Values may be
        infinite or NaN, which ``report.write_metrics`` writes as null.

    Raises
    ------
    MixvaeError
        If the images do not have the recipe's shape, a metric does not exist, or log p(x) is asked
        for and is not defined.

    Examples
    --------
    >>> import mixvae
    >>> data = mixvae.data.load("digits").subset(64)
    >>> recipe = mixvae.build("m-vae", data, n_components=2, hidden=[8], n_latent=3)
    >>> sorted(evaluate(recipe, data.test, metrics=["reconstruction"])["reconstruction"])
    ['rmse', 'sse', 'sse_deterministic']
    """
    is_a(BuiltRecipe, "such as run.recipe", recipe=recipe)
    is_a(Split, "one split of a Dataset, such as data.test", split=split)
    whole(0, likelihood.MAX_SAMPLES, log_likelihood=log_likelihood)
    if method != "defensive" and not log_likelihood:
        raise MixvaeError(
            f"method {method} is a way to estimate log p(x), which is not asked for; give "
            "log_likelihood (--log-likelihood) too."
        )
    whole(1, n_test=len(split) if n_test is None else n_test, batch_size=batch_size)
    whole(0, n_permutations=n_permutations)
    seeds(seed=seed)
    is_a((FeatureNetwork, type(None)), "such as feature_network(data)", features=features)
    some = spaced(split, n_test)
    x, y, weight = some.x, some.y, some.relative_weight
    model = recipe.model
    read = model.labels.of(some)
    if tuple(x.shape[1:]) != recipe.x_shape:
        raise MixvaeError(
            f"the recipe {recipe.name} was built for x of shape {recipe.x_shape}, and the data "
            f"have {tuple(x.shape[1:])}; evaluate on the data set that it was trained on."
        )
    check_x(model, x, y)
    check_x(model, x, read)
    if features is not None:
        features.check(recipe.x_shape)
    subject = Subject(
        recipe=recipe,
        x=x,
        y=y,
        weight=weight,
        read=read,
        log_likelihood=log_likelihood,
        method=method,
        n_steps=n_steps,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        keep=keep,
        features=features,
        n_permutations=n_permutations,
    )
    accumulators = {metric.name: metric.compute(subject) for metric in chosen(subject, metrics)}
    each = list(accumulators.values())
    accumulate(model, x, read, each, batch_size=batch_size, seed=seed, weight=weight)
    return {
        "recipe": recipe.name,
        "n_components": recipe.n_components,
        "n_parameters": recipe.n_parameters,
        "n": len(x),
        "batch_size": batch_size,
        "seed": seed,
        **({} if weight is None else {"weighted": True}),
        **{name: accumulator.result() for name, accumulator in accumulators.items()},
    }

"""List of the metrics of a run.

``evaluate``, the report, the tables of experiments and the command line read this list, so that a
metric that is added to it is in all of them:

    METRICS.append(
        Metric("mae", mean_of(absolute_error), label="absolute error", higher_is_better=False)
    )
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from mixvae.errors import MixvaeError

from .batches import n_clusters
from .bounds import Bounds
from .clustering import Clustering
from .dependence import Dependence
from .feature_network import FeatureNetwork
from .health import Health
from .image_quality import ImageQuality, is_image
from .image_scores import ImageScores
from .latent_information import LatentInformation
from .log_partition import LogPartition
from .marginal_likelihood.log_likelihood import LogLikelihoods
from .metric import Figure, Metric, Subject, by_key
from .reconstruction import Reconstruction
from .selection import Selection


def has_clustering(s: Subject) -> bool:
    """Whether there are labels of two examples or more, and clusters to compare them with."""
    return s.y is not None and len(s.x) > 1 and n_clusters(s.recipe.model) > 1


METRICS: list[Metric] = [
    Metric(
        "bounds",
        lambda s: Bounds(s.recipe, s.x, n_samples=None, batch_size=s.batch_size),
        "objective and bounds, nats, means over x",
        figures={
            "objective": Figure("objective (maximised)", True, "objective"),
            "elbo": Figure("ELBO", True, "elbo"),
        },
        weighted=True,
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
        weighted=True,
    ),
    Metric(
        "image_quality",
        lambda s: ImageQuality(),
        "PSNR and SSIM of deterministic reconstructions, means over images",
        applies=lambda s: is_image(s.recipe.x_shape),
        figures={
            "psnr": Figure("PSNR (dB)", True, "psnr"),
            "ssim": Figure("SSIM", True, "ssim", 3),
        },
        weighted=True,
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
        weighted=True,
    ),
    Metric(
        "log_partition",
        lambda s: LogPartition(cast(Any, s.recipe.model.prior).log_partition),
        "log Z of the prior, by sampling, nats",
        applies=lambda s: hasattr(s.recipe.model.prior, "log_partition"),
        figures={
            "value": Figure("log Z", digits=3),
            "standard_error": Figure("its standard error", digits=4),
        },
        weighted=True,
    ),
    Metric(
        "selection",
        lambda s: Selection(s.recipe.model),
        "component dropout",
        applies=lambda s: s.recipe.model.dropout is not None,
        figures={
            "n_kept": Figure("components kept", column="kept", digits=0),
            "n_selected": Figure("expected number selected", column="selected"),
            "rate": Figure(column="rate"),
        },
        weighted=True,
    ),
    Metric(
        "latent_information",
        lambda s: LatentInformation(s.recipe.model),
        "mutual information of x and codes, nats",
        figures={
            "kl": Figure("KL(q(z|x) || p(z)), mean over x", column="information_kl"),
            "mutual_information": Figure("mutual information I_q(x; z)", column="information"),
            "aggregate_kl": Figure("KL(q(z) || p(z)), aggregate", column="aggregate_kl"),
        },
        by_default=False,
    ),
    Metric(
        "dependence",
        lambda s: Dependence(s.n_permutations, s.seed),
        "dependence of the codes",
        applies=lambda s: s.recipe.model.family.n_codes(s.recipe.n_components) > 1,
        figures={
            "dhsic": Figure("dHSIC", column="dhsic", digits=4),
            "permuted": Figure("the same, rows shuffled", column="dhsic_independent", digits=4),
            "p_value": Figure("p-value of independence", column="dhsic_p_value", digits=3),
        },
    ),
    Metric(
        "log_likelihood",
        lambda s: LogLikelihoods(
            *(s.recipe.model, s.x, s.log_likelihood, s.keep, s.weight),
            y=s.read,
            seed=s.seed,
            method=s.method,
            n_steps=s.n_steps,
            progress=s.progress,
        ),
        "log p(x), estimated example by example",
        applies=lambda s: s.log_likelihood > 0,
        figures={
            "mean": Figure("log p(x)", True, "log_px"),
            "mean_error": Figure(column="log_px_error"),
            "bits_per_dim": Figure("  bits per dimension", False, "bits_per_dim", 3),
            "k_hat_above": Figure(column="bad_k_hat", digits=3),
        },
        needs="Ask for samples: log_likelihood=5000, on the command line --log-likelihood.",
        weighted=True,
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
    Metric(
        "image_scores",
        lambda s: ImageScores(cast(FeatureNetwork, s.features), s.y),
        "Inception Score (IS) and FID",
        applies=lambda s: s.features is not None,
        figures={
            "data.inception_score": Figure("IS of the test images", True, "inception_score_data"),
            "reconstructions.inception_score": Figure(
                "IS of reconstructions", True, "inception_score"
            ),
            "reconstructions.fid": Figure("FID of reconstructions", False, "fid"),
            "samples.inception_score": Figure("IS of samples", True, "inception_score_samples"),
            "samples.fid": Figure("FID of samples", False, "fid_samples"),
        },
        needs="Give a network: features=feature_network(data), on the command line --image-scores.",
    ),
]


def chosen(subject: Subject, names: Sequence[str] | None) -> list[Metric]:
    """Metrics that apply to a subject, in the list's order; of these, those that are named.

    Raises
    ------
    MixvaeError
        For a name that is not in the list, or of a metric that does not apply.
    """
    applicable = {m.name: m for m in METRICS if m.applies(subject) and _counts(m, subject)}
    if names is None:
        return [metric for metric in applicable.values() if metric.by_default]
    check_names(names)
    for metric in METRICS:
        if metric.name in names and metric.name not in applicable:
            advice = f" {metric.needs}".rstrip()
            if not _counts(metric, subject):
                advice = (
                    " It has no weighted form; leave it out, or evaluate without the weights of "
                    "rows: dataclasses.replace(split, weight=None)."
                )
            raise MixvaeError(f"there is no {metric.name} of this model and these data.{advice}")
    return [metric for name, metric in applicable.items() if metric.needs or name in names]


def _counts(metric: Metric, subject: Subject) -> bool:
    """Whether a metric takes weights into account where there are any."""
    return metric.weighted or subject.weight is None


def check_names(names: Sequence[str]) -> None:
    """Raise `MixvaeError` for a name that no metric has."""
    known = [metric.name for metric in METRICS]
    for name in names:
        if name not in known:
            raise MixvaeError(f"metrics must be some of {', '.join(known)}; got {name!r}.")


def listing() -> str:
    """Text with a line for every metric: its name, its label, and which direction is better."""
    width = max(len(metric.name) for metric in METRICS) + 2
    lines = []
    for metric in METRICS:
        when = "only if asked for" if metric.needs else "" if metric.by_default else "only if named"
        text = "; ".join(filter(None, [metric.label, metric.direction(), when]))
        lines.append(f"  {metric.name:{width}s}{text}")
    return "\n".join(lines)


def columns(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Cells of the figures that have a column in the tables of experiments; "" where missing."""
    return {
        figure.column: figure.cell(values.get(key))
        for metric, values in _values(metrics)
        for key, figure in metric.all_figures.items()
        if figure.column is not None
    }


def _values(metrics: Mapping[str, Any]) -> Iterator[tuple[Metric, Mapping[str, Any]]]:
    """Every metric and its values by key, from the content of ``metrics.json``."""
    for metric in METRICS:
        value = metrics.get(metric.name)
        yield metric, by_key(value) if isinstance(value, Mapping) else {metric.name: value}

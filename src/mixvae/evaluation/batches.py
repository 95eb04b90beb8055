"""Batches of data for a model in evaluation mode, and its responsibilities and clusters."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.data.dataset import Split
from mixvae.data.rows import Rows, TensorOrRows
from mixvae.errors import MixvaeError, is_a, seeds, whole
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.parts.priors import ClusterPrior
from mixvae.seeding import Noise

from .mode import evaluation_mode

N_CODES = 64  # samples of one code, over which a cluster's probability is averaged


@contextmanager
def evaluating(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Context of evaluation mode, without gradients, whose random numbers depend on ``seed`` alone.

    Several threads can evaluate one model: none uses the global generator, and the model returns
    to its earlier mode when the last of them leaves.
    """
    check_model(model)
    seeds(seed=seed)
    with evaluation_mode(model), torch.no_grad(), Noise(seed):
        yield


def batches(
    model: MixtureVAE, x: TensorOrRows, y: Classes | None, batch_size: int
) -> Iterator[tuple[Tensor, Classes | None]]:
    """Batches of x in order, on the model's device, with y if the model is conditional.

    Their sizes differ by one at most, since some statistics of a batch (dHSIC) depend on its size.
    """
    check_x(model, x, y)
    whole(1, batch_size=batch_size)
    n_batches, device = -(-len(x) // batch_size), device_of(model)
    labels: Sequence[Classes | None] = [None] * n_batches
    if model.labels.n_classes is not None and y is not None:
        labels = y.to(device).tensor_split(n_batches)
    start = 0
    for rows, y_batch in zip(torch.arange(len(x)).tensor_split(n_batches), labels, strict=True):
        yield x[start : start + len(rows)].to(device), y_batch
        start += len(rows)


def map_batches(
    function: Callable[[Tensor, Classes | None], Tensor],
    model: MixtureVAE,
    x: TensorOrRows,
    y: Classes | None,
    batch_size: int,
) -> Tensor:
    """Values of a function of x and y for all batches, concatenated on the CPU."""
    with evaluating(model):
        return torch.cat([function(*b).cpu() for b in batches(model, x, y, batch_size)])


def check_model(model: nn.Module) -> None:
    """Raise `MixvaeError` for what is not a model, such as a run or a recipe."""
    if not isinstance(model, nn.Module):
        raise MixvaeError(
            f"model must be a model, such as run.recipe.model; got {type(model).__name__}."
        )


def check_x(model: MixtureVAE, x: TensorOrRows, y: Tensor | None = None) -> None:
    """Raise `MixvaeError` for x or y of a type or shape that the model does not take."""
    check_model(model)
    expected = model.decoder.likelihood.x_shape
    for name, value in {"x": x, "y": y}.items():
        if value is not None or name == "x":
            advice = "torch.from_numpy makes one of an array, data.test.x is one"
            is_a((Tensor, Rows) if name == "x" else Tensor, advice, **{name: value})
    dtype = next(model.parameters()).dtype
    if x.layout is not torch.strided or x.dtype != dtype:
        raise MixvaeError(
            f"x must be a dense tensor of {dtype}, as the model is; got {x.dtype} in {x.layout}. "
            "Use x.to_dense(), or x.float(), its values being in [0, 1]."
        )
    if tuple(x.shape[1:]) != expected or not len(x):
        raise MixvaeError(
            f"the model takes x of shape (N, {', '.join(map(str, expected))}), N at least 1; got "
            f"{tuple(x.shape)}."
        )
    check_labels(x, y)


def check_labels(x: TensorOrRows, y: Tensor | None) -> None:
    """Raise `MixvaeError` for labels that are not one whole number for each row of x."""
    if y is not None and (y.dtype != torch.int64 or y.shape != x.shape[:1]):
        raise MixvaeError(
            f"y must have the class of each of the {len(x)} x; got {len(y)} in {y.dtype} of shape "
            f"{tuple(y.shape)}, where int64 of shape ({len(x)},) was expected."
        )


def responsibilities(
    model: MixtureVAE,
    x: TensorOrRows,
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> Float[Tensor, "N K"]:
    """Responsibility of each component for each x.

    Codes and weights are at their means, so that nothing is random.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns.
    x
        (N, *X), data as in training.
    y
        (N,), the classes of x, for a conditional model; other models ignore them.
    batch_size
        Rows at a time.

    Returns
    -------
    responsibilities
        (N, K), on the CPU; rows sum to one.

    Raises
    ------
    MixvaeError
        For x or y of another type or shape than the model's.

    Examples
    --------
    >>> import mixvae, torch
    >>> model = mixvae.build("m-vae", (4,), n_components=2, n_latent=3).model
    >>> responsibilities(model, torch.zeros(5, 4)).shape
    torch.Size([5, 2])
    """
    return map_batches(
        lambda x, y: model.family.responsibilities(model.mean_trace(x, y)), model, x, y, batch_size
    )


def cluster_probabilities(
    model: MixtureVAE,
    x: TensorOrRows,
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> Float[Tensor, "N C"]:
    r"""Probability of each cluster for each x.

    The clusters are the components, and their probabilities the :func:`responsibilities`. A model
    of one component has the C clusters of its prior, if that is a
    :class:`~mixvae.parts.ClusterPrior`: :math:`q(c|x) = E_{q(z|x)}\, p(c|z)` (Jiang et al., IJCAI
    2017), the mean over 64 samples of z whose noise is the same for all x.

    Parameters
    ----------
    model, x, y, batch_size
        As in :func:`responsibilities`.

    Returns
    -------
    probabilities
        (N, C), or (N, K) where components are the clusters, on the CPU; rows sum to one.

    Raises
    ------
    MixvaeError
        For x or y of another type or shape than the model's.
    """
    prior = prior_of_clusters(model)
    if prior is None:
        return responsibilities(model, x, y, batch_size=batch_size)
    return map_batches(
        lambda x, y: clusters_of_prior(prior, model.infer(x, y)[0]), model, x, y, batch_size
    )


def clusters_of_prior(prior: ClusterPrior, q_z: Distribution) -> Float[Tensor, "B C"]:
    """Probabilities q(c | x) of the prior's clusters, from the posterior of the one component."""
    return clusters_of_noise(prior, q_z, noise_of_clusters(q_z.event_shape[0]))


def noise_of_clusters(n_latent: int) -> Float[Tensor, "S 1 L"]:
    """The noise over which a cluster's probability is averaged, the same for all x."""
    return torch.randn(N_CODES, 1, n_latent, generator=torch.Generator().manual_seed(0))


def clusters_of_noise(
    prior: ClusterPrior, q_z: Distribution, noise: Float[Tensor, "S 1 L"]
) -> Float[Tensor, "B C"]:
    """As :func:`clusters_of_prior`, by this noise."""
    z = q_z.mean[:, 0] + q_z.stddev[:, 0] * noise.to(q_z.mean)
    return prior.responsibilities(z).mean(0)


def n_clusters(model: MixtureVAE) -> int:
    """Number of columns of :func:`cluster_probabilities`."""
    prior = prior_of_clusters(model)
    return model.n_components if prior is None else prior.n_clusters


def prior_of_clusters(model: MixtureVAE) -> ClusterPrior | None:
    """The prior if its components are the clusters, and None if the components are."""
    check_model(model)
    prior = model.prior
    return prior if model.n_components == 1 and isinstance(prior, ClusterPrior) else None


def weighted_sum(
    values: Shaped[Tensor, "B *X"], weight: Float[Tensor, " B"] | None
) -> Float64[Tensor, "*X"]:
    """Sum over rows, each times its weight, in float64 on the CPU."""
    values = values.cpu().double()
    if weight is not None:
        values = weight.cpu().double().reshape(-1, *[1] * (values.dim() - 1)) * values
    return values.sum(0)


def spaced(split: Split, n: int | None) -> Split:
    """At most ``n`` rows of a split, evenly spaced since data may be sorted; all if n is None."""
    is_a(Split, "such as data.test", split=split)
    whole(1, n=len(split) if n is None else n)
    if n is None or n >= len(split):
        return split
    return split.take(torch.arange(n) * len(split) // n)


def device_of(model: nn.Module) -> torch.device:
    """Device of the model's parameters."""
    return next(model.parameters()).device

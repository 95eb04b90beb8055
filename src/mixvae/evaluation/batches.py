"""How data goes through a model that is judged: in evaluation mode, in even batches."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError, is_a, seeds, whole
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.parts.priors import GaussianMixturePrior
from mixvae.seeding import Noise

from .mode import evaluation_mode

N_CODES = 64  # of one x, over which a cluster's probability is averaged


@contextmanager
def evaluating(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Evaluation mode, no gradients, and random numbers of the call's own, from ``seed``.

    Several threads can be in here with one model: none draws from the global generator, and the
    model goes back to the mode that it came in when the last one leaves.
    """
    check_model(model)
    seeds(seed=seed)
    with evaluation_mode(model), torch.no_grad(), Noise(seed):
        yield


def batches(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None, batch_size: int
) -> Iterator[tuple[Tensor, Classes | None]]:
    """All of x in order on the model's device, with y if the model is conditional.

    The batches' sizes differ by one at most: no remnant is left, as some statistics of a batch
    (dHSIC) depend on its size.
    """
    check_x(model, x, y)
    whole(1, batch_size=batch_size)
    n, device = -(-len(x) // batch_size), device_of(model)
    if model.labels.n_classes is None or y is None:
        labels: list[Classes | None] = [None] * n
    else:
        labels = [part.to(device) for part in y.tensor_split(n)]
    for part, its_labels in zip(x.tensor_split(n), labels, strict=True):
        yield part.to(device), its_labels


def check_model(model: nn.Module) -> None:
    """Raise a MixvaeError for what is no model, as a run or a recipe that has one."""
    if not isinstance(model, nn.Module):
        raise MixvaeError(
            f"model must be a model, such as run.recipe.model; got {type(model).__name__}."
        )


def check_x(model: MixtureVAE, x: Tensor, y: Tensor | None = None) -> None:
    """Raise a MixvaeError for data that the model cannot read: of another kind, type or shape."""
    check_model(model)
    expected = model.decoder.likelihood.x_shape
    for name, value in {"x": x, "y": y}.items():
        if value is not None or name == "x":
            advice = "torch.from_numpy makes one of an array, data.test.x is one"
            is_a(Tensor, advice, **{name: value})
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
    if y is not None and (y.dtype != torch.int64 or y.shape != x.shape[:1]):
        raise MixvaeError(
            f"y must have the class of each of the {len(x)} x; got {len(y)} in {y.dtype} of shape "
            f"{tuple(y.shape)}, where int64 of shape ({len(x)},) was expected."
        )


def responsibilities(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> Float[Tensor, "N K"]:
    """How far each component answers for each x, nothing random; rows sum to one. On the CPU."""
    with evaluating(model):
        each = [
            model.family.responsibilities(model.mean_trace(*batch)).cpu()
            for batch in batches(model, x, y, batch_size)
        ]
    return torch.cat(each)


def cluster_probabilities(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> Float[Tensor, "N C"]:
    r"""How likely each x is to be of each cluster; rows sum to one. On the CPU.

    The clusters are the components, and these their :func:`responsibilities`. Only where there is
    one component, under a prior that is a mixture of C normals, they are those of the prior:
    :math:`q(c|x) = E_{q(z|x)}\, p(c|z)`, the mean over 64 draws whose noise is the same for all x.
    """
    prior = prior_of_clusters(model)
    if prior is None:
        return responsibilities(model, x, y, batch_size=batch_size)
    with evaluating(model):
        each = [
            clusters_of_prior(prior, model.infer(*batch)[0]).cpu()
            for batch in batches(model, x, y, batch_size)
        ]
    return torch.cat(each)


def clusters_of_prior(prior: GaussianMixturePrior, q_z: Distribution) -> Float[Tensor, "B C"]:
    """q(c | x) of the prior's clusters, from the posterior of the one component."""
    noise = torch.randn(N_CODES, 1, prior.loc.shape[1], generator=torch.Generator().manual_seed(0))
    z = q_z.mean[:, 0] + q_z.stddev[:, 0] * noise.to(q_z.mean)
    return prior.responsibilities(z).mean(0)


def n_clusters(model: MixtureVAE) -> int:
    """The columns of :func:`cluster_probabilities`."""
    prior = prior_of_clusters(model)
    return model.n_components if prior is None else len(prior.logits)


def prior_of_clusters(model: MixtureVAE) -> GaussianMixturePrior | None:
    """The prior, where its normals are the clusters."""
    check_model(model)
    prior = model.prior
    return prior if model.n_components == 1 and isinstance(prior, GaussianMixturePrior) else None


def spaced(split: Split, n: int | None) -> tuple[Tensor, Classes | None]:
    """n rows of a split at even distances, as data may be in an order; or all of them."""
    is_a(Split, "such as data.test", split=split)
    whole(1, n=len(split) if n is None else n)
    if n is None or n >= len(split):
        return split.x, split.y
    rows = torch.arange(n) * len(split) // n
    return split.x[rows], None if split.y is None else split.y[rows]


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are."""
    return next(model.parameters()).device

r"""The split of one VAE into K components that share most of their layers.

Clusters of the VAE's codes become components. Component k codes by
:math:`z' = C_k^{-1/2} (z - m_k)`, in which its cluster has mean 0 and covariance 1, as its prior
has, and decodes z' as the VAE decodes z: each starts on data of its own, with all that was learned.
That is exact for means and decoders. Scales are multiplied by the diagonal of :math:`C_k^{-1/2}`,
and a softplus allows that only approximately; correlations are left out.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.nn.layers import StackedLinear
from mixvae.objectives import Objective, Terms
from mixvae.parts.component_sampler import ComponentGate
from mixvae.parts.priors import ComponentMixturePrior
from mixvae.parts.weights import CategoricalWeights, SharedStickWeights
from mixvae.seeding import noise
from mixvae.trace import Scale

from .phase import Initialization, Phase, check_enough, posteriors, sampled

ENOUGH = 20_000  # codes to find clusters among
NORMALS = 5  # in a cluster, at most
ENOUGH_EACH = 20  # codes for each of a normal's axes
TRIES = 4  # starts of the clusters where each is one normal; the likeliest counts
LIGHT = 0.5  # of an even share: less is no cluster of its own
MIN_VARIANCE = 1e-3  # of a cluster, along any axis; the prior's is 1
GATE_STEPS = 300  # at least, to learn the components that the training data begin in


class Split(Initialization):
    """Training of one VAE and its split by clusters of its codes, which a gate then learns.

    Parameters
    ----------
    epochs
        Epochs of the one VAE.
    single
        Builds that VAE and its objective: of the mixture's own networks, with one component.
    """

    def __init__(self, epochs: int, single: Callable[[], tuple[MixtureVAE, Objective]]) -> None:
        self.epochs, self.single = epochs, single

    def check(self, model: MixtureVAE, data: Dataset) -> None:
        check_enough("components", model.n_components, data)

    def phases(
        self, model: MixtureVAE, objective: Objective, data: Dataset, *, seed: int, n_batches: int
    ) -> list[Phase]:
        with noise(seed, torch.device("cpu")):
            one, objective = self.single()
        gate = None if model.gate is None else Gate(model, model.gate, len(data.train))

        def divide() -> None:
            mean, scale = posteriors(one, sampled(data, data.train.x))
            k = clusters(mean, model.n_components, seed)
            z = mean + scale * torch.randn_like(scale)
            split(one.cpu(), model.cpu(), z, k, seed % 2**32)
            if gate is not None:
                gate.component.copy_(k)

        phases = [
            Phase("vae", one, objective, self.epochs, lambda step, n: step / n, at_end=divide)
        ]
        if gate is not None:
            phases.append(gate.phase(passes=-(-GATE_STEPS // n_batches)))
        return phases


class Gate(nn.Module):
    """A model's gate, and the component (N,) that each of the training data begins in."""

    component: Tensor

    def __init__(self, model: MixtureVAE, net: ComponentGate, n: int) -> None:
        super().__init__()
        self.net = net
        self.model = (model,)  # in a tuple, so that its parameters are not the gate's
        self.register_buffer("component", torch.zeros(n, dtype=torch.long))

    def _apply(self, fn: Any, recurse: bool = True) -> "Gate":
        self.model[0]._apply(fn, recurse)  # goes to the device that the gate goes to
        return super()._apply(fn, recurse)

    def phase(self, passes: int) -> Phase:
        """The phase in which the gate learns these components."""
        return Phase("gate", self, cross_entropy, 1, labels=lambda: self.component, passes=passes)


def cross_entropy(
    gate: Gate,
    x: Float[Tensor, "B *X"],
    _: Scale,
    k: Int64[Tensor, " B"],
    weight: Float[Tensor, " B"] | None = None,
) -> Terms:
    """log q(k | x) of the component k that each x is in, nats; the features get no gradient."""
    (model,) = gate.model
    with torch.no_grad():
        h = model.features(x)
    if weight is None:
        return {"log_gate": -F.nll_loss(gate.net(h), k)}
    return {"log_gate": -(weight * F.nll_loss(gate.net(h), k, reduction="none")).mean()}


def clusters(mean: Float[Tensor, "N L"], n: int, seed: int) -> Int64[Tensor, " N"]:
    """Which of ``n`` clusters each code belongs to.

    Five times as many normals of full covariance as clusters are fitted, or as few as there are
    codes for, and merged where they overlap, so that a cluster may have any shape (after Baudry et
    al. 2010, who merge by entropy).

    Raises
    ------
    MixvaeError
        For fewer codes than clusters, or codes that are not finite.
    """
    from sklearn.mixture import GaussianMixture

    from mixvae.evaluation.health import ACTIVE_VARIANCE

    if len(mean) < n:
        raise MixvaeError(f"{n} components cannot be started from {len(mean)} training data.")
    if not mean.isfinite().all():
        raise MixvaeError("the codes to start from are not finite; try a smaller lr.")
    variance = mean.var(0)
    used = mean[:, variance >= min(ACTIVE_VARIANCE, float(variance.max()))].double().numpy()
    pick = torch.randperm(len(used), generator=torch.Generator().manual_seed(seed))[:ENOUGH]
    n_normals = max(n, min(NORMALS * n, len(pick) // (ENOUGH_EACH * used.shape[1])))
    fit = GaussianMixture(
        n_normals,
        reg_covar=MIN_VARIANCE,
        n_init=TRIES if n_normals == n else 1,
        random_state=seed % 2**32,
    )
    r = torch.from_numpy(fit.fit(used[pick]).predict_proba(used))
    return (r @ merged(r, n).T).argmax(1)


def merged(r: Float[Tensor, "N M"], n: int) -> Float[Tensor, "n M"]:
    r"""Which of M soft clusters make up each of ``n``, zeros and ones.

    The two with the most overlap for their size become one,
    :math:`\sum_x r_i(x) r_j(x) / \sum_x r_i(x) \sum_x r_j(x)`, until n are left. So that none of
    these is a handful of outliers, light ones are merged first while n or fewer are not light.
    """
    group = torch.eye(r.shape[1], dtype=r.dtype)
    overlap, size = r.T @ r, r.sum(0)
    light = LIGHT * len(r) / n
    while len(group) > n:
        likeness = overlap / size.clamp_min(1e-12).outer(size.clamp_min(1e-12))
        likeness.fill_diagonal_(-1)
        if (size >= light).sum() <= n:
            likeness[size >= light] = -1
        i, j = divmod(int(likeness.argmax()), len(group))
        join = torch.eye(len(group), dtype=r.dtype)
        join[j, i] = 1
        join = join[torch.arange(len(group)) != i]
        group, overlap, size = join @ group, join @ overlap @ join.T, join @ size
    return group


@torch.no_grad()
def split(
    one: MixtureVAE,
    many: MixtureVAE,
    z: Float[Tensor, "N L"],
    k: Int64[Tensor, " N"],
    seed: int = 0,
) -> None:
    """Give component k of ``many`` the weights of ``one``, a VAE, moved to cluster k of codes z.

    Where components have priors of their own, these are fitted to their codes.
    """
    state = one.state_dict()
    for name, part in many.state_dict().items():
        if name in state and not name.startswith(("weights.", "prior.")):
            part.copy_(state[name].expand_as(part))
    assert isinstance(many.weights, CategoricalWeights | SharedStickWeights)
    many.weights.start_from(torch.bincount(k, minlength=many.n_components))
    own = [z[k == i] for i in range(many.n_components)]
    means = [codes.mean(0) if len(codes) else z.mean(0) for codes in own]
    away = [codes - mean for codes, mean in zip(own, means, strict=True)]
    within = torch.cat(away).T.cov(correction=0)  # counts as L codes more in every cluster
    n_latent = z.shape[1]
    for i, (mean, d) in enumerate(zip(means, away, strict=True)):
        inverse = _standardise(many, i, mean, (d.T @ d + n_latent * within) / (len(d) + n_latent))
        if isinstance(many.prior, ComponentMixturePrior):
            many.prior.start_from(i, (d @ inverse.T)[:ENOUGH], seed)


def _standardise(
    model: MixtureVAE, k: int, mean: Float[Tensor, " L"], covariance: Float[Tensor, "L L"]
) -> Float[Tensor, "L L"]:
    """Change component k to encode z' = C^(-1/2) (z - m), and to decode z from it.

    Returns C^(-1/2).
    """
    variance, axes = torch.linalg.eigh(covariance)
    stddev = variance.clamp_min(MIN_VARIANCE).sqrt()
    root, inverse = axes * stddev @ axes.T, axes / stddev @ axes.T
    head, n_latent = _first_linear(model.posterior), len(mean)
    head.weight[k, :n_latent] = inverse @ head.weight[k, :n_latent]
    head.bias[k, :n_latent] = inverse @ (head.bias[k, :n_latent] - mean)
    head.bias[k, n_latent:] += inverse.diagonal().log()  # of a scale that is softplus
    first = _first_linear(model.decoder.branch)
    first.bias[k] += first.weight[k] @ mean
    first.weight[k] = first.weight[k] @ root
    return inverse


def _first_linear(module: nn.Module) -> StackedLinear:
    """The layer whose output, or input, is a component's code."""
    return next(part for part in module.modules() if isinstance(part, StackedLinear))

r"""The latent of one example: its joint density with x, and the proposals to sample it from.

What the latent is depends on the family. Weights that only say which component a code is of are
summed out in closed form, so that they are no part of it:

- exact mixture: a component k and its code z, :math:`p(x, k, z) = \pi_k p(z | k) p_k(x | z)`;
- mixture posterior: one code z, :math:`p(x, z) = p(x | z) \sum_k E[w_k] p(z | k)`;
- joint: all K codes and, where they are random, the weights w.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.distributions import Distribution, constraints

from mixvae.distributions import (
    Face,
    NormalMixture,
    components_at,
    diagonal_normal,
    log_prob_each,
    log_prob_widened,
    mixture,
    widened,
)
from mixvae.distributions.pairs import is_diagonal_normal, loc_and_scale
from mixvae.families import ExactMixture, Joint, MixturePosterior
from mixvae.model import MixtureVAE
from mixvae.parts.flows import ComponentFlow
from mixvae.parts.labels import Classes

from .local_normal import LocalNormals, local_normals

MAX_LOCAL = 4  # components with a normal about a mode of their own
LEAST = 0.02  # of p(x): a component that finds less has none


@dataclass(frozen=True)
class Latents:
    """S values of the latent of each of B rows."""

    z: Float[Tensor, "S B *K L"]  # a code, or K of them where the family is joint
    component: Int64[Tensor, "S B"] | None = None  # of the code, in an exact mixture
    w: Float[Tensor, "S B K"] | None = None  # the weights, where the family is joint


@dataclass(frozen=True)
class LogDensities:
    """Of S values of the latent of one row, nats."""

    joint: Float64[Tensor, " S"]  # log p(x, latent)
    proposals: Float64[Tensor, "S P"]  # under each proposal; -inf where it cannot have made it


class LatentSpace(ABC):
    """The latent of rows of x under a model.

    Parameters
    ----------
    model : MixtureVAE
        In evaluation mode.
    x : Tensor
        (B, *X). Proposals are for one row alone, B = 1.
    y : Tensor or None
        (B,), the classes, for a conditional model.
    p_z : Distribution
        The model's prior, ``model.prior(model.encode)``.
    factors : sequence of float
        How many times as wide as the posterior each proposal is.
    from_prior : bool
        Whether the prior is a proposal too.
    """

    def __init__(
        self,
        model: MixtureVAE,
        x: Float[Tensor, "B *X"],
        y: Classes | None,
        p_z: Distribution,
        factors: Sequence[float] = (1.0,),
        from_prior: bool = False,
    ) -> None:
        self.model, self.x, self.y, self.p_z = model, x, y, p_z
        self.factors, self.from_prior = factors, from_prior
        self.n_rows, self.n_factors = len(x), len(factors)
        self.q_z, self.q_w = model.infer(x, y)
        self.q_w = model.without_dropped(self.q_w)
        self.p_w = self._prior_of_weights()
        self.posteriors = [widened(self.q_z, factor) for factor in factors]
        self.local: LocalNormals | None = None

    @abstractmethod
    def groups(self) -> Int64[Tensor, " P"]:
        """Which part of the space each proposal samples: the parts' sums add up to p(x).

        Those of :attr:`local` are not among them.
        """

    @abstractmethod
    def shares(self, of_factors: Sequence[float], of_prior: float) -> Float64[Tensor, " P"]:
        """The part of the samples that each proposal has to begin with; they add up to one."""

    @abstractmethod
    def sample(self, proposal: Int64[Tensor, " S"]) -> Latents:
        """A value of the latent from each of the proposals that are named, in ascending order."""

    @abstractmethod
    def log_densities(self, latents: Latents) -> LogDensities:
        """Log p(x, latent), and the log density under every proposal."""

    @abstractmethod
    def add_local(self, n_codes: int) -> None:
        """Add normals about modes of p(latent | x) to the proposals; n_codes at a time."""

    @abstractmethod
    def log_lik(self, latents: Latents) -> Float[Tensor, "S B"]:
        """log p(x | latent)."""

    @abstractmethod
    def log_prior(self, latents: Latents) -> Float[Tensor, "S B"]:
        """log p(latent); of an exact mixture given its component, without log pi_k."""

    def _local_log_prob(self, z: Float[Tensor, "S D"]) -> list[Float64[Tensor, "S P"]]:
        """The log density under the normals about modes, if there are any."""
        return [] if self.local is None else [self.local.log_prob(z)]

    def _prior_of_weights(self) -> Distribution | None:
        p_w = self.model.weights.prior()
        return None if p_w is None else self.model.without_dropped(p_w)

    def _spread(self, of_factors: Sequence[float], of_prior: float) -> Float64[Tensor, " J"]:
        """The shares of the widths and, if it is a proposal, of the prior; they add up to one."""
        parts = [*of_factors, of_prior] if self.from_prior else list(of_factors)
        share = torch.tensor(parts, dtype=torch.float64)
        return share / share.sum()


class OneCode(LatentSpace):
    """One code, of a component that is part of the latent (exact mixture) or is summed out.

    The proposals are numbered width by width, each with K components, and end with the prior's:
    one for each component of an exact mixture, else one in all.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.exact = isinstance(self.model.family, ExactMixture)
        self.n_components = self.model.n_components
        share = self.q_w.mean if self.exact or self.p_w is None else self.p_w.mean
        self.log_share = share.double().log().expand(self.n_rows, -1)  # pi, or E[w]
        if not self.exact and self.p_z.batch_shape:
            self.whole_prior: Distribution = mixture(self.log_share[0].exp().to(share), self.p_z)
        else:
            self.whole_prior = self.p_z
        self.stacked = _stacked(self.posteriors)

    def groups(self) -> Int64[Tensor, " P"]:
        n = self.n_factors * self.n_components
        if not self.exact:
            return torch.zeros(n + self.from_prior, dtype=torch.int64)
        return torch.arange(self.n_components).repeat(self.n_factors + self.from_prior)

    def shares(self, of_factors: Sequence[float], of_prior: float) -> Float64[Tensor, " P"]:
        spread, weights = self._spread(of_factors, of_prior), self.q_w.mean[0].double().cpu()
        if self.exact:
            weights = (weights > 0).double()
        weights = weights / weights.sum()
        if self.exact or not self.from_prior:
            return (spread.unsqueeze(1) * weights).flatten()
        return torch.cat([(spread[:-1].unsqueeze(1) * weights).flatten(), spread[-1:]])

    def sample(self, proposal: Int64[Tensor, " S"]) -> Latents:
        base, local = _parted(proposal, len(self.groups()))
        width, k = base // self.n_components, base % self.n_components
        k = k.to(self.x.device)
        widths = width.unique().tolist()  # in ascending order, as the samples are
        z = [self._sample(j, k[(width == j).to(k.device)]) for j in widths]
        components = [k]
        if self.local is not None and len(local):
            z.append(self.local.sample(local, self.x.dtype))
            components.append(self.local.components()[local.to(k.device)])
        component = torch.cat(components).unsqueeze(1) if self.exact else None
        return Latents(torch.cat(z).unsqueeze(1), component)

    def _sample(self, width: int, k: Int64[Tensor, " n"]) -> Float[Tensor, "n L"]:
        if width < self.n_factors:
            return _of_components(self.posteriors[width], k)
        if self.exact and self.p_z.batch_shape:
            return _of_components(self.p_z.expand((1, self.n_components)), k)
        return self.whole_prior.sample((len(k),))

    def log_densities(self, latents: Latents) -> LogDensities:
        if self.stacked is not None:
            q = log_prob_each(self.stacked, latents.z).squeeze(1)
        else:
            widths = log_prob_widened(self.q_z, self.factors, latents.z.unsqueeze(2))
            q = widths.transpose(-1, -2).flatten(2).squeeze(1)
        log_prior = self.log_prior(latents)
        log_joint = (self.log_lik(latents).double() + log_prior.double()).squeeze(1)
        local = self._local_log_prob(latents.z.squeeze(1))
        if not self.exact:
            found = [q, log_prior] if self.from_prior else [q]
            return LogDensities(log_joint.cpu(), torch.cat([*found, *local], -1).double().cpu())
        k = latents.component
        assert k is not None
        log_joint = log_joint + self.log_share[0].to(log_joint)[k.squeeze(1)]
        if self.from_prior:
            q = torch.cat([q, log_prior.expand(-1, self.n_components)], -1)
        components = self.groups().to(k.device)
        if self.local is not None:
            components = torch.cat([components, self.local.components()])
        log_q = torch.cat([q, *local], -1).double().masked_fill(components != k, -torch.inf)
        return LogDensities(log_joint.cpu(), log_q.cpu())

    def add_local(self, n_codes: int) -> None:
        if support_of(self.q_z) is not constraints.real:  # on a simplex, say, where no normal is
            return
        mean, scale = self.q_z.mean[0], self.q_z.variance[0].sqrt()
        every = torch.arange(self.n_components, device=mean.device)
        mass = self._log_joint(mean, every).double() + scale.log().sum(1)  # but for a constant
        if self.exact:
            mass += self.log_share[0]
        found = mass.masked_fill(self.q_w.mean[0] == 0, -torch.inf).softmax(0)
        k = every[found >= LEAST]
        k = k[found[k].argsort(descending=True)[:MAX_LOCAL]]
        if len(k):
            self.local = local_normals(self._log_joint, mean[k], scale[k], k, n_codes)

    def _log_joint(self, z: Float[Tensor, "n L"], k: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """log p(x, z), of an exact mixture given the component."""
        latents = Latents(z.unsqueeze(1), k.unsqueeze(1) if self.exact else None)
        return (self.log_lik(latents) + self.log_prior(latents)).squeeze(1)

    def log_prior(self, latents: Latents) -> Float[Tensor, "S B"]:
        if not (self.exact and self.p_z.batch_shape):
            return self.whole_prior.log_prob(latents.z)
        assert latents.component is not None
        if isinstance(self.p_z, NormalMixture | ComponentFlow):
            return components_at(self.p_z, latents.component).log_prob(latents.z)
        each = log_prob_each(self.p_z.expand((self.n_rows, self.n_components)), latents.z)
        return each.gather(2, latents.component.unsqueeze(2)).squeeze(2)

    def log_lik(self, latents: Latents) -> Float[Tensor, "S B"]:
        z, k = latents.z, latents.component
        if k is None or self.n_components == 1:  # one decoder for all
            return self._log_lik(z, 0, self.x, self.y)
        decoder, labels = self.model.decoder, self.model.labels
        if decoder.decodes_components:
            codes = labels.condition_z(z.transpose(0, 1).unsqueeze(0), self.y)
            p_x = decoder.decode_components(codes, k.T)  # (1, B, S)
            return p_x.log_prob(self.x.unsqueeze(1)).squeeze(0).T
        found = [torch.zeros_like(z[..., 0])]
        for component in k.unique().tolist():
            its = k == component
            rows = its.nonzero()[:, 1]
            y = None if self.y is None else self.y[rows]
            log_lik = self._log_lik(z[its].unsqueeze(0), component, self.x[rows], y)
            found.append(torch.zeros_like(found[0]).masked_scatter(its, log_lik))
        return torch.stack(found).sum(0)

    def _log_lik(
        self, z: Float[Tensor, "S B L"], component: int, x: Tensor, y: Classes | None
    ) -> Float[Tensor, "S B"]:
        codes = self.model.labels.condition_z(z.unsqueeze(2), y)
        p_x = self.model.decoder.of_component(codes, component)
        return p_x.log_prob(x.unsqueeze(1)).squeeze(2)


class JointCodes(LatentSpace):
    """All K codes and, where they are random, the weights.

    A proposal is a width, of codes and weights at once; the last is the prior.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.p_z = self.p_z.expand((self.n_rows, self.model.n_components))
        self._kept: Any = self.q_w.kept if isinstance(self.q_w, Face) else slice(None)
        self.weights = [widened(self.q_w, factor) for factor in self.factors]

    def groups(self) -> Int64[Tensor, " P"]:
        return torch.zeros(self.n_factors + self.from_prior, dtype=torch.int64)

    def shares(self, of_factors: Sequence[float], of_prior: float) -> Float64[Tensor, " P"]:
        return self._spread(of_factors, of_prior)

    def sample(self, proposal: Int64[Tensor, " S"]) -> Latents:
        z, w = [], []
        base, local = _parted(proposal, len(self.groups()))
        for j, n in _counted(base):
            prior = j == self.n_factors
            z.append((self.p_z if prior else self.posteriors[j]).sample((n,)))
            w.append(self._sample_weights(self.p_w if prior else self.weights[j], n))
        if self.local is not None and len(local):
            z.append(self._codes(self.local.sample(local, self.x.dtype)))
            w.append(self._sample_weights(self.q_w, len(local)))
        return Latents(torch.cat(z), w=torch.cat(w))

    def log_densities(self, latents: Latents) -> LogDensities:
        codes = log_prob_widened(self.q_z, self.factors, latents.z)[:, :, self._kept].sum(2)
        weights = [self._log_prob_of_weights(q_w, latents) for q_w in self.weights]
        of_each = (codes + torch.stack(weights, -1)).squeeze(1)
        log_prior = self.log_prior(latents)
        if self.from_prior:
            of_each = torch.cat([of_each, log_prior], -1)
        log_joint = (self.log_lik(latents).double() + log_prior.double()).squeeze(1)
        local = self._local_log_prob(latents.z[:, 0, self._kept].flatten(1))
        local = [log_q + weights[0] for log_q in local]
        return LogDensities(log_joint.cpu(), torch.cat([of_each.double(), *local], -1).cpu())

    def add_local(self, n_codes: int) -> None:
        if support_of(self.q_z) is not constraints.real:
            return
        mean, scale = (t[0, self._kept].flatten() for t in (self.q_z.mean, self.q_z.stddev))
        zero = torch.zeros(1, dtype=torch.int64, device=mean.device)
        self.local = local_normals(self._log_joint, mean[None], scale[None], zero, n_codes)

    def _log_joint(self, z: Float[Tensor, "n D"], _: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """log p(x, codes, w) with the weights at their mean."""
        latents = Latents(self._codes(z), w=self.q_w.mean.expand(len(z), -1, -1))
        return (self.log_lik(latents) + self.log_prior(latents)).squeeze(1)

    def _codes(self, z: Float[Tensor, "n D"]) -> Float[Tensor, "n 1 K L"]:
        """All codes, of those that count in a row; the others do nothing."""
        own = z.unflatten(1, (-1, self.q_z.event_shape[0])).unsqueeze(1)
        if isinstance(self._kept, slice):
            return own
        every = self.q_z.mean.expand(len(z), -1, -1, -1).clone()
        every[:, :, self._kept] = own
        return every

    def log_prior(self, latents: Latents) -> Float[Tensor, "S B"]:
        codes = self.p_z.log_prob(latents.z)[..., self._kept].sum(-1)
        return codes if self.p_w is None else codes + self._log_prob_of_weights(self.p_w, latents)

    def log_lik(self, latents: Latents) -> Float[Tensor, "S B"]:
        assert latents.w is not None
        p_x = self.model.decode(latents.z, latents.w, self.y)
        log_lik = p_x.log_prob(self.x.unsqueeze(1))
        if log_lik.shape[-1] == 1:  # one output, or one component
            return log_lik.squeeze(-1)
        return (log_lik + _positive(latents.w).log()).logsumexp(-1)

    def _sample_weights(self, q_w: Distribution | None, n: int) -> Float[Tensor, "n 1 K"]:
        if self.p_w is None:
            return self.q_w.mean.expand(n, -1, -1)
        assert q_w is not None
        w = q_w.sample((n,))
        return w if q_w.batch_shape else w.unsqueeze(1)  # the prior is the same for all rows

    def _log_prob_of_weights(self, q_w: Distribution, latents: Latents) -> Float[Tensor, "S B"]:
        """Zero where the weights are not random."""
        assert latents.w is not None
        if self.p_w is None:
            return torch.zeros_like(latents.w[..., 0])
        log_prob: Tensor = q_w.log_prob(_positive(latents.w))
        return log_prob


def _parted(proposal: Int64[Tensor, " S"], n: int) -> tuple[Tensor, Tensor]:
    """The numbers of the proposals under n, and those from n on, counted from there."""
    return proposal[proposal < n], proposal[proposal >= n] - n


def _counted(index: Int64[Tensor, " S"]) -> Iterator[tuple[int, int]]:
    """Each number that is there, in ascending order, and how often it is."""
    values, counts = index.unique(return_counts=True)
    return zip(values.tolist(), counts.tolist(), strict=True)


def _stacked(posteriors: Sequence[Distribution]) -> Distribution | None:
    """All widths' normals, batch (B, J K), whose densities are then one product; None if others."""
    if not all(map(is_diagonal_normal, posteriors)):
        return None
    pairs = [loc_and_scale(q) for q in posteriors]
    loc, scale = (torch.cat(t, 1) for t in zip(*pairs, strict=True))
    return diagonal_normal(loc, scale)


def _of_components(q: Distribution, k: Int64[Tensor, " n"]) -> Float[Tensor, "n L"]:
    """A sample from each of the components in k, of q with batch (1, K)."""
    if is_diagonal_normal(q):
        loc, scale = loc_and_scale(q)
        return torch.addcmul(loc[0, k], scale[0, k], torch.randn_like(loc[0, k]))
    every = q.sample((len(k),)).squeeze(1)
    return every[torch.arange(len(k), device=k.device), k]


def _positive(w: Tensor) -> Tensor:
    """Weights of which none underflowed to 0."""
    return w.clamp_min(torch.finfo(w.dtype).tiny)


def support_of(p: Distribution) -> Any:
    """The constraint on one value, its axes left aside; None where none is stated."""
    try:
        support: Any = p.support
    except NotImplementedError:
        return None
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def space_of(model: MixtureVAE) -> type[LatentSpace] | None:
    """The kind of space that the model's family has; None for a family of one's own."""
    if isinstance(model.family, Joint):
        return JointCodes
    return OneCode if isinstance(model.family, ExactMixture | MixturePosterior) else None

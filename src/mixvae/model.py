"""The model: one forward pass that every recipe shares."""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn
from torch.distributions import Categorical, Distribution

from .distributions import Delta, Face, mixture, rsample_and_log_prob
from .errors import LARGEST, MixvaeError, whole
from .families import Family
from .parts.component_dropout import ComponentDropout, reweigh, without_dropped
from .parts.component_sampler import ComponentGate, ComponentSubset
from .parts.decoders import Decoder
from .parts.labels import NO_LABELS, Classes, Labels
from .parts.weights import Weights
from .seeding import noise_from
from .trace import Trace


class MixtureVAE(nn.Module):
    """A deep mixture VAE: small modules that return distributions, and a family.

    Args:
        trunk: x (B, *X) to features h (B, K, H).
        posterior: h to q(z | x, k), batch (B, K), event (L,).
        weights: h to q(w | x), batch (B,), event (K,).
        decoder: z (S, B, K, L) and w (S, B, K) to p(x | z, w).
        prior: ``encode`` to p(z | k), batch (K,) or (), event (L,).
        family: whether there is one code or K.
        dropout: masks on the components; None keeps all.
        labels: how class labels join x and z. A conditional model's methods need ``y`` (B,), the
            class of each x.
        sampler: which components a pass in training mode decodes: a subset, drawn for the whole
            batch, or a few for each x, drawn by a gate; None is all of them.

    Methods that draw take a ``generator``, on the model's device, for calls in several threads or
    numbers of one's own; by default it is the global one.

    Raises:
        MixvaeError: where labels are missing, not wanted, or of a class never seen.
    """

    def __init__(
        self,
        *,
        trunk: nn.Module,
        posterior: nn.Module,
        weights: Weights,
        decoder: Decoder,
        prior: nn.Module,
        family: Family,
        dropout: ComponentDropout | None = None,
        labels: Labels = NO_LABELS,
        sampler: ComponentSubset | ComponentGate | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.posterior = posterior
        self.weights = weights
        self.decoder = decoder
        self.prior = prior
        self.family = family
        self.dropout = dropout
        self.labels = labels
        self.sampler = sampler

    @property
    def n_components(self) -> int:
        """K."""
        return self.weights.n_components

    @property
    def gate(self) -> ComponentGate | None:
        """The sampler, if it is a gate: then the decoder can decode components one by one."""
        return self.sampler if isinstance(self.sampler, ComponentGate) else None

    @property
    def kept(self) -> Bool[Tensor, " K"]:
        """The components that take part once training is over: all, but for component dropout."""
        if self.dropout is None:
            return torch.ones(self.n_components, dtype=torch.bool)
        return self.dropout.kept().cpu()

    def forward(
        self,
        x: Float[Tensor, "B *X"],
        n_samples: int = 1,
        y: Classes | None = None,
        *,
        generator: Generator | None = None,
    ) -> Trace:
        """Infer, sample ``n_samples`` codes and weights, and decode them."""
        if self.training and isinstance(self.sampler, ComponentSubset):
            return self._draw_subset(self.sampler, x, n_samples, y, generator)
        if self.training and isinstance(self.sampler, ComponentGate):
            return self._draw_gated(self.sampler, x, n_samples, y, generator)
        return self.draw(x, *self.infer(x, y), n_samples, y, generator=generator)

    def infer(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> tuple[Distribution, Distribution]:
        """q(z | x, k), batch (B, K), and q(w | x), batch (B,)."""
        h = self.features(x, y)
        return self.posterior(h), self.weights(h)

    def features(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> Float[Tensor, "B K H"]:
        """What the trunk makes of x, and the posterior and the weights read."""
        features: Tensor = self.trunk(self.labels.condition_x(x, y))
        return features

    def draw(
        self,
        x: Float[Tensor, "B *X"],
        q_z: Distribution,
        q_w: Distribution,
        n_samples: int = 1,
        y: Classes | None = None,
        p_z: Distribution | None = None,
        *,
        generator: Generator | None = None,
    ) -> Trace:
        """Sample from what :meth:`infer` gave, and decode.

        ``p_z`` is ``prior(encode)``; a prior of pseudo-inputs is worth handing in where one model
        draws many times.
        """
        masks = self.dropout if self.dropout is not None and self.dropout.training else None
        q_w = q_w if masks else self.without_dropped(q_w)
        with noise_from(generator):
            z, log_q = rsample_and_log_prob(q_z, (n_samples,))
            w = q_w.rsample((n_samples,))
            b = reweigh(w, masks(w)) if masks else w
        return self._trace(x, y, q_z, q_w, z, w, b, p_z, log_q=log_q)

    def sample_components(
        self,
        x: Float[Tensor, "B *X"],
        h: Float[Tensor, "B K H"],
        component_index: Int64[Tensor, "B M"],
        counts: Int64[Tensor, "B M"],
        n_samples: int = 1,
        y: Classes | None = None,
        p_z: Distribution | None = None,
        *,
        generator: Generator | None = None,
    ) -> Trace:
        """Sample M codes of each x, whose features are h, of the components in ``component_index``.

        One that is there several times for an x counts for 1 / ``counts`` of its weight each time.
        For models with a ``gate``, whose decoder can decode components one by one.
        """
        rows = torch.arange(len(x), device=x.device).unsqueeze(1)
        q_z = self.posterior(h, component_index)
        w = self.weights(h).mean[rows, component_index] / counts
        with noise_from(generator):
            z, log_q = rsample_and_log_prob(q_z, (n_samples,))
        p_x = self.decoder.decode_components(self.labels.condition_z(z, y), component_index)
        w_each = w.expand(n_samples, -1, -1)
        return self._trace(x, y, q_z, Delta(w), z, w_each, w_each, p_z, p_x, log_q)

    def encode(self, x: Float[Tensor, "B *X"], y: Classes | None = None) -> Distribution:
        """The aggregated posterior q(z | x) = sum_k w_k q(z | x, k), batch (B,), event (L,)."""
        q_z, q_w = self.infer(x, y)
        return mixture(self.without_dropped(q_w).mean, q_z)

    def decode(
        self,
        z: Float[Tensor, "S B K L"],
        w: Float[Tensor, "S B K"],
        y: Classes | None = None,
    ) -> Distribution:
        """p(x | z, w): batch (S, B, K), or (S, B, 1) where the decoder blends."""
        return self.decoder(self.labels.condition_z(z, y), w)

    def decode_each(self, z: Float[Tensor, "S B K L"], y: Classes | None = None) -> Distribution:
        """p(x | z_k) of every component by itself, batch (S, B, K): all the weight on one."""
        return self.decoder.each(self.labels.condition_z(z, y))

    def mean_trace(self, x: Float[Tensor, "B *X"], y: Classes | None = None) -> Trace:
        """The pass with codes and weights at their means: S = 1, nothing random."""
        return self.at_means(x, *self.infer(x, y), y)

    def at_means(
        self,
        x: Float[Tensor, "B *X"],
        q_z: Distribution,
        q_w: Distribution,
        y: Classes | None = None,
        p_z: Distribution | None = None,
    ) -> Trace:
        """:meth:`mean_trace` from what :meth:`infer` gave; ``p_z`` as in :meth:`draw`."""
        q_w = self.without_dropped(q_w)
        z, w = q_z.mean.unsqueeze(0), q_w.mean.unsqueeze(0)
        return self._trace(x, y, q_z, q_w, z, w, w, p_z)

    def reconstruct(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> Float[Tensor, "B *X"]:
        """The mixture's deterministic reconstruction."""
        t = self.mean_trace(x, y)
        return self.family.mean(t).squeeze(0)

    def reconstruct_each(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> Float[Tensor, "B K *X"]:
        """Every component's reconstruction by itself: all the weight on one."""
        q_z, _ = self.infer(x, y)
        return self.decode_each(q_z.mean.unsqueeze(0), y).mean.squeeze(0)

    def sample(
        self,
        n: int,
        component: int | None = None,
        y: Classes | None = None,
        *,
        generator: Generator | None = None,
    ) -> Float[Tensor, "n *X"]:
        """n new x: from the whole mixture, or from one component (counted from 0).

        They are means given the codes; draws, where pixels depend on each other.

        Raises:
            MixvaeError: for a component that does not exist.
        """
        whole(1, n=n)
        if component is not None:
            each = self.sample_each(n, y, generator=generator)
            return each[:, self.check_component(component)]
        with noise_from(generator):
            w = self._kept_weights(n)
            p_x = self.decode(self._prior_codes(n), w.unsqueeze(0), y)
            made = self.decoder.likelihood.render(p_x)[0]  # (n, K or 1, *X)
            if made.shape[1] == 1:
                return made.squeeze(1)
            index = Categorical(w, validate_args=False).sample()
        return made[torch.arange(n, device=w.device), index]

    def sample_each(
        self, n: int, y: Classes | None = None, *, generator: Generator | None = None
    ) -> Float[Tensor, "n K *X"]:
        """n new x by every component, from the same random input (MVAE, Fig. 17)."""
        whole(1, n=n)
        with noise_from(generator):
            z = self._prior_codes(n)
            if not self.prior(self.encode).batch_shape:  # one prior for all components
                z = z[:, :, :1].expand_as(z)
            return self.decoder.likelihood.render(self.decode_each(z, y))[0]

    def check_component(self, component: int, what: str = "component") -> int:
        """The component's index; raises a MixvaeError for one that does not exist."""
        whole(-LARGEST, **{what: component})
        if not 0 <= component < self.n_components:
            raise MixvaeError(
                f"{what} must be in 0 ... {self.n_components - 1}, as the model has "
                f"{self.n_components}; got {component}."
            )
        return component

    def _draw_subset(
        self,
        subset: ComponentSubset,
        x: Float[Tensor, "B *X"],
        n_samples: int,
        y: Classes | None,
        generator: Generator | None,
    ) -> Trace:
        """A pass whose components are a subset of the model's, drawn for the whole batch."""
        assert self.dropout is None
        assert self.weights.prior() is None
        h = self.features(x, y)
        with noise_from(generator):
            component_index = subset.draw(self.n_components).to(x.device)
        w = self.weights(h).mean
        even = Delta(w[:, component_index] / w[:, component_index].sum(-1, keepdim=True))
        t = self.draw(
            x, self.posterior(h, component_index), even, n_samples, y, generator=generator
        )
        return replace(t, q_all=mixture(w, self.posterior(h))) if subset.whole else t

    def _draw_gated(
        self,
        gate: ComponentGate,
        x: Float[Tensor, "B *X"],
        n_samples: int,
        y: Classes | None,
        generator: Generator | None,
    ) -> Trace:
        """A pass whose components a gate chose for each x; their weights are those they have."""
        assert self.dropout is None
        assert self.weights.prior() is None
        h = self.features(x, y)
        log_gate = gate(h)
        with noise_from(generator):
            component_index, counts = gate.draw(log_gate)
        t = self.sample_components(x, h, component_index, counts, n_samples, y, generator=generator)
        return replace(t, log_gate=log_gate.gather(1, component_index) - counts.log())

    def _prior_codes(self, n: int) -> Float[Tensor, "1 n K L"]:
        return self.prior(self.encode).expand((1, n, self.n_components)).sample()

    def _kept_weights(self, n: int) -> Float[Tensor, "n K"]:
        """Weights to generate with, none of them on components that dropout took out."""
        w, p_w = self.weights.generate(n), self.weights.prior()
        if self.dropout is None:
            return w
        if p_w is None:
            return self.without_dropped(Delta(w)).mean
        return self.without_dropped(p_w).sample((n,))

    def without_dropped(self, w: Distribution) -> Distribution:
        """Weights, given that the components that dropout took out have none."""
        return w if self.dropout is None else without_dropped(w, self.dropout.kept())

    def _trace(
        self,
        x: Tensor,
        y: Classes | None,
        q_z: Distribution,
        q_w: Distribution,
        z: Tensor,
        w: Tensor,
        b: Tensor,
        p_z: Distribution | None = None,
        p_x: Distribution | None = None,
        log_q: Tensor | None = None,
    ) -> Trace:
        p_w, kept = self.weights.prior(), None
        if isinstance(q_w, Face) and p_w is not None:
            p_w, kept = without_dropped(p_w, q_w.kept), q_w.kept
        return Trace(
            x=x,
            z=z,
            w=w,
            b=b,
            q_z=q_z,
            p_z=self.prior(self.encode) if p_z is None else p_z,
            q_w=q_w,
            p_w=p_w,
            p_x=self.decode(z, b, y) if p_x is None else p_x,
            decode=partial(self.decode, y=y),
            family=self.family,
            kept=kept,
            lik_name=self.decoder.likelihood.term,
            kl_mask=None if self.dropout is None else self.dropout.penalty(),
            log_q_drawn=log_q,
        )

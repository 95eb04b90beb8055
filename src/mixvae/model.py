"""The model class of all recipes, with its forward pass."""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn
from torch.distributions import Categorical, Distribution

from .distributions import (
    Delta,
    Face,
    components_at,
    mean_and_log_prob,
    mixture,
    rsample_and_log_prob,
)
from .errors import LARGEST, MixvaeError, whole
from .families import Family
from .parts.component_dropout import ComponentDropout, reweigh, without_dropped
from .parts.component_sampler import ComponentGate, ComponentSubset
from .parts.decoders import Decoder
from .parts.labels import NO_LABELS, Classes, Labels
from .parts.posteriors import PointPosterior
from .parts.weights import Weights
from .seeding import noise_from
from .trace import Trace


class MixtureVAE(nn.Module):
    """A deep mixture VAE: modules that return distributions, and a family.

    Shapes are in S samples, B rows of a batch, K components, L latent dimensions, and X, the shape
    of one x. Methods that sample take a ``generator``, on the model's device, for reproducible
    numbers or calls in several threads; by default they use PyTorch's global generator. A
    conditional model's methods need ``y`` (B,), the class of each x, and raise a MixvaeError where
    it is missing or has an unknown class; so do other models' where ``y`` is given. To a model with
    batch labels (mfa-vae), ``y`` is the number of the batch of each x.

    Parameters
    ----------
    trunk
        x (B, *X) to features h (B, K, H).
    posterior
        h to q(z | x, k), batch (B, K), event (L,).
    weights
        h to q(w | x), batch (B,), event (K,).
    decoder
        z (S, B, K, L) and w (S, B, K) to p(x | z, w).
    prior
        The function ``encode`` to p(z | k), batch (K,) or (), event (L,). A prior of pseudo-inputs
        calls ``encode``; others ignore it.
    family
        What the latent variables are: one code or K.
    dropout
        Component dropout, random masks on the mixing weights; None is none.
    labels
        How class labels join x and z.
    sampler
        Which components a forward pass in training mode decodes: a subset, sampled for the whole
        batch, or a few for each x, sampled by a gate. None is all of them.

    Examples
    --------
    >>> import mixvae
    >>> model = mixvae.build("m-vae", (1, 8, 8), n_components=3, n_latent=2).model
    >>> trace = model(torch.rand(5, 1, 8, 8), n_samples=4)
    >>> trace.z.shape, trace.w.shape
    (torch.Size([4, 5, 3, 2]), torch.Size([4, 5, 3]))
    >>> model.reconstruct(torch.rand(5, 1, 8, 8)).shape, model.sample(2).shape
    (torch.Size([5, 1, 8, 8]), torch.Size([2, 1, 8, 8]))
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
        """The number of components K."""
        return self.weights.n_components

    @property
    def is_deterministic(self) -> bool:
        """Whether the encoder maps x to a point, so that there is no density q(z | x)."""
        return isinstance(self.posterior, PointPosterior)

    @property
    def gate(self) -> ComponentGate | None:
        """The sampler if it is a gate, with which the decoder can decode single components."""
        return self.sampler if isinstance(self.sampler, ComponentGate) else None

    @property
    def kept(self) -> Bool[Tensor, " K"]:
        """Mask of the components that are in use after training: all, but for component dropout."""
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
        """Encode x, sample codes and weights from their posteriors, and decode them.

        Parameters
        ----------
        x
            A batch.
        n_samples
            Samples S of the latent variables.
        y
            Class labels (B,) of a conditional model; otherwise None.
        generator
            Source of random numbers, on the model's device; None is the global generator.
        """
        if self.training and isinstance(self.sampler, ComponentSubset):
            return self._draw_subset(self.sampler, x, n_samples, y, generator)
        if self.training and isinstance(self.sampler, ComponentGate):
            return self._draw_gated(self.sampler, x, n_samples, y, generator)
        return self.draw(x, *self.infer(x, y), n_samples, y, generator=generator)

    def infer(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> tuple[Distribution, Distribution]:
        """Posteriors: q(z | x, k), batch (B, K), event (L,), and q(w | x), batch (B,), event (K,).

        Parameters
        ----------
        x
            A batch.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        h = self.features(x, y)
        return self.posterior(h), self.weights(h)

    def features(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> Float[Tensor, "B K H"]:
        """The trunk's features of x, from which both posteriors are computed."""
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
        """Sample from the posteriors that :meth:`infer` returned, and decode.

        Parameters
        ----------
        x
            The batch that was encoded.
        q_z, q_w
            Its posteriors.
        n_samples
            Samples S of the latent variables.
        y
            Class labels (B,) of a conditional model; otherwise None.
        p_z
            The prior, ``prior(encode)``. Passing it saves time where the prior has pseudo-inputs
            and the model is called many times.
        generator
            Source of random numbers, on the model's device; None is the global generator.
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
        """Sample M codes of each x, of given components, and decode them: for models with a gate.

        Parameters
        ----------
        x
            A batch.
        h
            Its features.
        component_index
            Which component each of the M codes of an x is of; one may occur several times.
        counts
            How often that component occurs for the x. Each occurrence has 1 / ``counts`` of the
            component's weight.
        n_samples
            Samples S of these M codes.
        y
            Class labels (B,) of a conditional model; otherwise None.
        p_z
            The prior, as in :meth:`draw`.
        generator
            Source of random numbers, on the model's device; None is the global generator.
        """
        rows = torch.arange(len(x), device=x.device).unsqueeze(1)
        q_z = self.posterior(h, component_index)
        q_w = self.weights(h)
        with noise_from(generator):
            z, log_q = rsample_and_log_prob(q_z, (n_samples,))
            w_each = q_w.rsample((n_samples,))[:, rows, component_index] / counts
        p_x = self.decoder.decode_components(self.labels.condition_z(z, y), component_index)
        p_z = self.prior(self.encode) if p_z is None else p_z
        p_z = components_at(p_z, component_index) if p_z.batch_shape else p_z
        mean = Delta(q_w.mean[rows, component_index] / counts)
        return self._trace(x, y, q_z, mean, z, w_each, w_each, p_z, p_x, log_q)

    def encode(self, x: Float[Tensor, "B *X"], y: Classes | None = None) -> Distribution:
        """Posterior of all components, q(z | x) = sum_k w_k q(z | x, k), batch (B,), event (L,).

        The w_k are the mean weights.

        Parameters
        ----------
        x
            A batch.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        q_z, q_w = self.infer(x, y)
        return mixture(self.without_dropped(q_w).mean, q_z)

    def decode(
        self,
        z: Float[Tensor, "S B K L"],
        w: Float[Tensor, "S B K"],
        y: Classes | None = None,
    ) -> Distribution:
        """p(x | z, w): batch (S, B, K), or (S, B, 1) where the decoder merges the components.

        Parameters
        ----------
        z
            Codes.
        w
            Mixing weights.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        return self.decoder(self.labels.condition_z(z, y), w)

    def decode_each(self, z: Float[Tensor, "S B K L"], y: Classes | None = None) -> Distribution:
        """p(x | z_k) of every component with a one-hot mixing weight, batch (S, B, K).

        Parameters
        ----------
        z
            Codes.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        return self.decoder.each(self.labels.condition_z(z, y))

    def mean_trace(self, x: Float[Tensor, "B *X"], y: Classes | None = None) -> Trace:
        """Deterministic pass, with codes and weights at their posterior means; S = 1.

        Parameters
        ----------
        x
            A batch.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        return self.at_means(x, *self.infer(x, y), y)

    def at_means(
        self,
        x: Float[Tensor, "B *X"],
        q_z: Distribution,
        q_w: Distribution,
        y: Classes | None = None,
        p_z: Distribution | None = None,
    ) -> Trace:
        """:meth:`mean_trace` from the posteriors that :meth:`infer` returned.

        Parameters
        ----------
        x
            The batch that was encoded.
        q_z, q_w
            Its posteriors.
        y
            Class labels (B,) of a conditional model; otherwise None.
        p_z
            The prior, as in :meth:`draw`.
        """
        q_w = self.without_dropped(q_w)
        mean, log_q = mean_and_log_prob(q_z)
        z, w = mean.unsqueeze(0), q_w.mean.unsqueeze(0)
        log_q = None if log_q is None else log_q.unsqueeze(0)
        return self._trace(x, y, q_z, q_w, z, w, w, p_z, log_q=log_q)

    def reconstruct(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> Float[Tensor, "B *X"]:
        """Deterministic reconstruction: the mean of x given the means of codes and weights.

        Parameters
        ----------
        x
            A batch.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        t = self.mean_trace(x, y)
        return self.family.mean(t).squeeze(0)

    def reconstruct_each(
        self, x: Float[Tensor, "B *X"], y: Classes | None = None
    ) -> Float[Tensor, "B K *X"]:
        """Reconstruction by every component with a one-hot mixing weight.

        Parameters
        ----------
        x
            A batch.
        y
            Class labels (B,) of a conditional model; otherwise None.
        """
        q_z, _ = self.infer(x, y)
        return self.decode_each(q_z.mean.unsqueeze(0), y).mean.squeeze(0)

    def sample(
        self,
        n: int,
        component: int | None = None,
        y: Classes | None = None,
        *,
        weights: Float[Tensor, " K"] | None = None,
        noise: bool = False,
        generator: Generator | None = None,
    ) -> Float[Tensor, "n *X"]:
        """Generate new x: by default their means given codes from the prior.

        Where pixels depend on each other (PixelCNN), they are samples of x.

        Parameters
        ----------
        n
            How many.
        component
            Which component generates them, counted from 0; None is the whole mixture.
        y
            Class labels (n,) of a conditional model; otherwise None.
        weights
            Mixing weights (K,) of the whole mixture, adding up to 1; None are those of the prior.
        noise
            Sample x from p(x | z), as the rows of a table, instead of taking its mean.
        generator
            Source of random numbers, on the model's device; None is the global generator.

        Raises
        ------
        MixvaeError
            For a component that does not exist, or fewer than one x.
        """
        whole(1, n=n)
        if component is not None:
            samples = self.sample_each(n, y, noise=noise, generator=generator)
            return samples[:, self.check_component(component)]
        with noise_from(generator):
            w = self._kept_weights(n) if weights is None else weights.expand(n, -1)
            p_x = self.decode(self._prior_codes(n), w.unsqueeze(0), y)
            samples = self._shown(p_x, noise)  # (n, K or 1, *X)
            if samples.shape[1] == 1:
                return samples.squeeze(1)
            index = Categorical(w, validate_args=False).sample()
        return samples[torch.arange(n, device=w.device), index]

    def sample_each(
        self,
        n: int,
        y: Classes | None = None,
        *,
        noise: bool = False,
        generator: Generator | None = None,
    ) -> Float[Tensor, "n K *X"]:
        """Generate n new x with every component, from the same code where they share one prior.

        As in MVAE, Fig. 17.

        Parameters
        ----------
        n
            How many with each component.
        y
            Class labels (n,) of a conditional model; otherwise None.
        noise
            Sample x from p(x | z) instead of taking its mean.
        generator
            Source of random numbers, on the model's device; None is the global generator.
        """
        whole(1, n=n)
        with noise_from(generator):
            z = self._prior_codes(n)
            if not self.prior(self.encode).batch_shape:  # one prior for all components
                z = z[:, :, :1].expand_as(z)
            return self._shown(self.decode_each(z, y), noise)

    def check_component(self, component: int, what: str = "component") -> int:
        """Check that a component exists.

        Parameters
        ----------
        component
            Its index, from 0.
        what
            The argument's name, for the message.

        Raises
        ------
        MixvaeError
            For a number that is not in 0 ... K - 1.
        """
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
        """Forward pass with a subset of the components, sampled for the whole batch."""
        assert self.dropout is None
        assert self.weights.prior() is None
        h = self.features(x, y)
        with noise_from(generator):
            component_index = subset.draw(self.n_components).to(x.device)
        w = self.weights(h).mean
        q_w = Delta(w[:, component_index] / w[:, component_index].sum(-1, keepdim=True))
        t = self.draw(x, self.posterior(h, component_index), q_w, n_samples, y, generator=generator)
        return replace(t, q_all=mixture(w, self.posterior(h))) if subset.whole else t

    def _draw_gated(
        self,
        gate: ComponentGate,
        x: Float[Tensor, "B *X"],
        n_samples: int,
        y: Classes | None,
        generator: Generator | None,
    ) -> Trace:
        """Forward pass with components that a gate samples for each x, at their own weights."""
        assert self.dropout is None
        assert self.weights.prior() is None
        h = self.features(x, y)
        log_gate = gate(h)
        with noise_from(generator):
            component_index, counts = gate.draw(log_gate)
        t = self.sample_components(x, h, component_index, counts, n_samples, y, generator=generator)
        return replace(t, log_gate=log_gate.gather(1, component_index) - counts.log())

    def _shown(self, p_x: Distribution, noise: bool) -> Float[Tensor, "n _K *X"]:
        """A sample of p(x | z), or what is shown for it; of the first of S."""
        x: Tensor = p_x.sample() if noise else self.decoder.likelihood.render(p_x)
        return x[0]

    def _prior_codes(self, n: int) -> Float[Tensor, "1 n K L"]:
        """Codes from the prior, for every component."""
        return self.prior(self.encode).expand((1, n, self.n_components)).sample()

    def _kept_weights(self, n: int) -> Float[Tensor, "n K"]:
        """Weights to generate with; 0 for components that dropout removed."""
        w, p_w = self.weights.generate(n), self.weights.prior()
        if self.dropout is None:
            return w
        if p_w is None:
            return self.without_dropped(Delta(w)).mean
        return self.without_dropped(p_w).sample((n,))

    def without_dropped(self, w: Distribution) -> Distribution:
        """Distribution of the weights, given that those of dropped components are 0."""
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
        """The record of a pass, decoded here unless ``p_x`` is given."""
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
            kl_shared=self.weights.shared_kl(),
            log_q_drawn=log_q,
        )

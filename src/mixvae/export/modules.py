"""The encoder, the decoder and the sampler of a model as functions of tensors, in data units.

Nothing in them is random: noise is an input. Their parameters are the model's own.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from mixvae.distributions import Hierarchical, NormalMixture
from mixvae.distributions.pairs import is_diagonal_normal, loc_and_scale
from mixvae.errors import MixvaeError
from mixvae.evaluation.batches import clusters_of_noise, noise_of_clusters, prior_of_clusters
from mixvae.evaluation.latent_operations import stddev
from mixvae.model import MixtureVAE
from mixvae.parts.flows import Flowed
from mixvae.parts.labels import Classes

from .units import Units


@dataclass(frozen=True)
class Value:
    """An input or output of a function of tensors.

    Attributes
    ----------
    name, about
        Its name, and what it is.
    shape
        Its shape after the axis of rows.
    dtype
        Its type.
    rounding
        How far it may be from the model's where operations are in another order, relative to 1 +
        its value. Responsibilities are of differences of log densities of thousands of nats.
    """

    name: str
    about: str
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    rounding: float = 1e-3


class Function(nn.Module, ABC):
    """A part of a model as a function of tensors with N rows; the base class.

    Outputs are NaN for rows with a class or batch that the model does not know.

    Parameters
    ----------
    model
        The model, in evaluation mode.
    units
        Of the data.
    label
        What the integer is that the model reads besides x; None where it reads none.
    """

    def __init__(self, model: MixtureVAE, units: Units, label: Value | None = None) -> None:
        super().__init__()
        self.model, self.units, self.label = model, units, label

    @property
    @abstractmethod
    def own_inputs(self) -> tuple[Value, ...]:
        """The inputs without the label."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Value, ...]:
        """The outputs in order."""

    @abstractmethod
    def compute(self, *values: Tensor, y: Classes | None) -> tuple[Tensor, ...]:
        """The outputs."""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The inputs in order, of which the label is the last."""
        return self.own_inputs if self.label is None else (*self.own_inputs, self.label)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        if self.label is None:
            return self.compute(*values, y=None)
        *own, y = values
        n = self.model.labels.n_classes
        assert n is not None
        known = (y >= 0) & (y < n)
        found = self.compute(*own, y=torch.where(known, y, 0))
        return tuple(torch.where(_rows(known, t), t, torch.nan) for t in found)

    @property
    def sizes(self) -> tuple[int, int]:
        """K and L."""
        k = self.model.n_components
        return k, int(self.model.prior(self.model.encode).event_shape[0])


class Encoder(Function):
    """x to codes and responsibilities."""

    def __init__(self, model: MixtureVAE, units: Units, label: Value | None = None) -> None:
        super().__init__(model, units, label)
        self.clusters = prior_of_clusters(model)
        self.p_z = model.prior(model.encode)
        self.has_scale = _has_variance(model)
        self.register_buffer("noise", noise_of_clusters(self.sizes[1]))

    @property
    def own_inputs(self) -> tuple[Value, ...]:
        return (Value("x", "rows in the units of the data", self.units.shape, self.units.dtype),)

    @property
    def outputs(self) -> tuple[Value, ...]:
        k, n_latent = self.sizes
        values = [Value("code_mean", "means of q(z | x, k)", (k, n_latent))]
        if self.has_scale:
            about = "standard deviations of q(z | x, k)"
            values.append(Value("code_scale", about, (k, n_latent)))
        about = "responsibility of each component for x, at the means of the codes"
        values.append(Value("responsibilities", about, (k,), rounding=0.02))
        if self.clusters is not None:
            about = "probability of each cluster of the prior, a mean over 64 fixed codes"
            n = self.clusters.n_clusters
            values.append(Value("cluster_probabilities", about, (n,), rounding=0.02))
        return tuple(values)

    def compute(self, *values: Tensor, y: Classes | None) -> tuple[Tensor, ...]:
        x = self.units.read(*values)
        q_z, q_w = self.model.infer(x, y)
        trace = self.model.at_means(x, q_z, q_w, y, self.p_z)
        found = [q_z.mean]
        if self.has_scale:
            found.append(q_z.stddev)
        found.append(self.model.family.responsibilities(trace))
        if self.clusters is not None:
            found.append(clusters_of_noise(self.clusters, q_z, self.get_buffer("noise")))
        return tuple(found)


class Decoder(Function):
    """Codes and weights to the mean of x."""

    @property
    def own_inputs(self) -> tuple[Value, ...]:
        k, n_latent = self.sizes
        about = "weights of the components, such as responsibilities; rows sum to 1"
        return (
            Value("code", "a code of every component, such as code_mean", (k, n_latent)),
            Value("weights", about, (k,)),
        )

    @property
    def outputs(self) -> tuple[Value, ...]:
        shape, dtype = self.units.shape, self.units.dtype
        k = self.model.n_components
        return (
            Value("mean", "mean of x given codes and weights", shape, dtype),
            Value("component_means", "mean of x by every component alone", (k, *shape), dtype),
        )

    def compute(self, *values: Tensor, y: Classes | None) -> tuple[Tensor, ...]:
        code, weights = values
        mean, each = self.means(code, weights, y)
        return self.units.write(mean), self.units.write(each)

    def means(
        self, code: Float[Tensor, "B K L"], weights: Float[Tensor, "B K"], y: Classes | None
    ) -> tuple[Float[Tensor, "B *X"], Float[Tensor, "B K *X"]]:
        """In the model's units, the mean of x and that by every component."""
        p_x = self.model.decode(code.unsqueeze(0), weights.unsqueeze(0), y)
        if p_x.batch_shape[-1] < self.model.n_components:  # the decoder blends
            return p_x.mean[0, :, 0], self.model.decode_each(code.unsqueeze(0), y).mean[0]
        each = p_x.mean[0]
        return self.units.average(each, weights), each


class Sampler(Function):
    """Noise to new x.

    Raises
    ------
    MixvaeError
        For a model whose noise is not normal.
    """

    def __init__(self, model: MixtureVAE, units: Units, label: Value | None = None) -> None:
        super().__init__(model, units, label)
        if model.weights.prior() is not None:
            raise MixvaeError(
                "its mixing weights are random; sample them, and codes from the prior, and call "
                "the decoder"
            )
        self.decoder = Decoder(model, units)
        self.p_z = model.prior(model.encode)
        self.n_uniform = _n_uniform(self.p_z)
        self.register_buffer("w", model._kept_weights(1)[0].detach())

    @property
    def own_inputs(self) -> tuple[Value, ...]:
        k, n_latent = self.sizes
        about = "independent samples from the uniform distribution on [0, 1)"
        shape = (1 + k * self.n_uniform,)
        return (
            Value("noise", "independent samples from N(0, 1)", (k, n_latent)),
            Value("uniform", about, shape),
        )

    @property
    def outputs(self) -> tuple[Value, ...]:
        k, n_latent = self.sizes
        about = "mean of p(x | z) for the sampled code, by the sampled component where one decodes"
        return (
            Value("x", about, self.units.shape, self.units.dtype),
            Value("code", "a code of every component, sampled from the prior", (k, n_latent)),
            Value("component", "the sampled component, counted from 0", (), torch.int64),
        )

    def compute(self, *values: Tensor, y: Classes | None) -> tuple[Tensor, ...]:
        noise, uniform = values
        w = self.get_buffer("w")
        k = _chosen(w, uniform[:, 0])
        more = uniform[:, 1:].unflatten(1, (len(w), -1)) if self.n_uniform else uniform[:, :0]
        z = _transformed(self.p_z, noise, more)
        weights = w.expand(noise.shape[0], -1)
        p_x = self.model.decode(z.unsqueeze(0), weights.unsqueeze(0), y)
        x = p_x.mean[0]
        x = x[:, 0] if x.shape[1] == 1 else x[torch.arange(k.shape[0], device=k.device), k]
        return self.units.write(x), z, k


def _rows(known: Tensor, like: Tensor) -> Tensor:
    return known.reshape(-1, *[1] * (like.dim() - 1))


def _has_variance(model: MixtureVAE) -> bool:
    """Whether the codes' posterior has a variance; stick-breaking ones have none in torch."""
    x_shape = model.decoder.likelihood.x_shape
    labels = None if model.labels.n_classes is None else torch.zeros(1, dtype=torch.int64)
    q_z, _ = model.infer(torch.zeros(1, *x_shape), labels)
    return bool(stddev(q_z).isfinite().all())


def _chosen(probs: Float[Tensor, "*n C"], uniform: Float[Tensor, "*m"]) -> Tensor:
    """Indices with these probabilities, by the inverse of their cumulative sums."""
    below = probs.cumsum(-1) <= uniform.unsqueeze(-1)  # ONNX has no sum over no numbers
    return below.sum(-1).clamp_max(probs.shape[-1] - 1)


def _n_uniform(p: Distribution) -> int:
    """How many uniform numbers a code takes; raises for what normal noise does not give."""
    if isinstance(p, Flowed):
        return _n_uniform(p.base)
    if isinstance(p, NormalMixture):
        return 1
    if isinstance(p, Hierarchical):
        return _n_uniform(p.first) + _n_uniform(p.second(p.first.mean))
    if is_diagonal_normal(p):
        return 0
    raise MixvaeError(f"its prior, {type(p).__name__}, is not made of normal distributions")


def _transformed(
    p: Distribution, noise: Float[Tensor, "B K L"], uniform: Tensor
) -> Float[Tensor, "B K L"]:
    """Samples of p, batch () or (K,) or that of the noise."""
    if isinstance(p, Flowed):
        return p._inverse(_transformed(p.base, noise, uniform))
    if isinstance(p, NormalMixture):
        index = p.mixture_distribution
        assert isinstance(index, Categorical)
        loc, scale = loc_and_scale(p.component_distribution)  # (*n, C, L)
        own = nn.functional.one_hot(_chosen(index.probs, uniform[..., 0]), loc.shape[-2])
        own = own.to(loc.dtype).unsqueeze(-1)
        return (own * loc).sum(-2) + (own * scale).sum(-2) * noise
    if isinstance(p, Hierarchical):
        n = _n_uniform(p.first)
        above = _transformed(p.first, noise[..., : -p.n_second], uniform[..., :n])
        second = p.second(above)
        return torch.cat(
            [above, _transformed(second, noise[..., -p.n_second :], uniform[..., n:])], -1
        )
    loc, scale = loc_and_scale(p)
    return loc + scale * noise

"""Priors and posteriors by name, for recipes of one code."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from mixvae.data.dataset import Dataset
from mixvae.parts.exemplars import ExemplarPrior
from mixvae.parts.flow_layers import (
    Layers,
    additive_coupling,
    autoregressive,
    coupling,
    spline_coupling,
)
from mixvae.parts.flows import FlowPosterior, FlowPrior, InverseAutoregressivePosterior
from mixvae.parts.planar import PlanarPosterior
from mixvae.parts.resampled_prior import ResampledPrior

from .options import LatentOptions
from .recipe import Recipe, Shape

MOST_EXEMPLARS = 1000
PriorName = Literal["normal", "flow", "neural-spline", "maf", "lars", "exemplar"]
PosteriorName = Literal["normal", "flow", "nice", "neural-spline", "iaf", "planar"]


@dataclass(frozen=True, kw_only=True)
class FlowOptions(Recipe):
    """The size of flows."""

    n_transforms: int = 4
    """Number of layers of a flow."""
    flow_hidden: Sequence[int] = (64, 64)
    """Widths of the network of a flow's layer."""

    @property
    def flow_sizes(self) -> dict[str, Any]:
        """The same as arguments of a part."""
        return {"n_transforms": self.n_transforms, "hidden": self.flow_hidden}


@dataclass(frozen=True, kw_only=True)
class DensityOptions(FlowOptions, LatentOptions):
    """A choice of the prior and of the posterior of one code."""

    prior: PriorName = "normal"
    """Prior. normal: N(0, I); or a learned flow of it. flow: coupling layers that scale and shift
    (RealNVP); neural-spline: coupling layers of splines; maf: masked autoregressive layers, which
    take as many passes as the code has dimensions to sample. lars: samples of N(0, I), accepted
    with a learned probability; exemplar: a mixture of normals about codes of training examples."""
    posterior: PosteriorName = "normal"
    """Posterior: normal, or a flow of that normal. flow, neural-spline: as the prior's; nice:
    coupling layers that shift; iaf: inverse autoregressive layers; planar: planar layers. The last
    two know the density of their own samples only."""
    n_planar: int = 80
    """Number T of layers of a planar flow, in place of n_transforms."""
    truncation: int = 100
    """With prior lars: number T of attempts, the last of which is always accepted."""
    n_exemplars: int | None = None
    """With prior exemplar: number C of training examples in evaluation; in training they are the
    other rows of the batch. By default all, at most 1,000."""

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        n = MOST_EXEMPLARS if data is None else min(len(data.train), MOST_EXEMPLARS)
        n_exemplars = n if self.prior == "exemplar" else None
        return super().decided_by(data) | {"n_exemplars": n_exemplars}

    def make_prior(self, x_shape: Shape) -> nn.Module:
        make = PRIORS.get(self.prior)
        return super().make_prior(x_shape) if make is None else make(self, x_shape)

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        normal = super().make_posterior(x_shape)
        make = POSTERIORS.get(self.posterior)
        return normal if make is None else make(self, x_shape, normal)


def _flow_prior(r: DensityOptions, _: Shape, *, layers: Layers) -> nn.Module:
    return FlowPrior(r.n_latent, layers=layers, **r.flow_sizes)


def _flow_posterior(
    r: DensityOptions, x_shape: Shape, normal: nn.Module, *, make: Callable[..., nn.Module]
) -> nn.Module:
    return make(normal, r.encoder_features(x_shape), r.n_latent, **r.flow_sizes)


def _planar(r: DensityOptions, x_shape: Shape, normal: nn.Module) -> nn.Module:
    return PlanarPosterior(normal, r.encoder_features(x_shape), r.n_latent, n_layers=r.n_planar)


def _lars(r: DensityOptions, _: Shape) -> nn.Module:
    return ResampledPrior(r.n_latent, truncation=r.truncation)


def _exemplar(r: DensityOptions, x_shape: Shape) -> nn.Module:
    return ExemplarPrior(x_shape, r.n_exemplars or MOST_EXEMPLARS)


# By the name of the option; the normal ones are those of LatentOptions.
PRIORS: Mapping[str, Callable[[Any, Shape], nn.Module]] = {
    "flow": partial(_flow_prior, layers=coupling),
    "neural-spline": partial(_flow_prior, layers=spline_coupling),
    "maf": partial(_flow_prior, layers=autoregressive),
    "lars": _lars,
    "exemplar": _exemplar,
}
POSTERIORS: Mapping[str, Callable[[Any, Shape, nn.Module], nn.Module]] = {
    "flow": partial(_flow_posterior, make=FlowPosterior),
    "nice": partial(_flow_posterior, make=partial(FlowPosterior, layers=additive_coupling)),
    "neural-spline": partial(_flow_posterior, make=partial(FlowPosterior, layers=spline_coupling)),
    "iaf": partial(_flow_posterior, make=InverseAutoregressivePosterior),
    "planar": _planar,
}

"""Layers of normalising flows, from zuko, which is imported when they are built.

Each function composes layers of one kind, and returns a module: of the context (*n, C), or of
nothing, to a transform of zuko. Layers are near the identity at first. A coupling layer transforms
half of the dimensions, the even or the odd ones, given the others; of an odd number of dimensions
the halves differ by one. A code of one dimension is transformed given the context alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn
from torch.distributions import Distribution

from mixvae.errors import MixvaeError, at_least

MIN_SLOPE = 0.1  # a layer's slopes are between this and its inverse
N_BINS = 8  # of a spline
SHRINK = 0.1  # factor of the last layers' initial weights: flows start near the identity
Layers = Callable[[int, int, int, Sequence[int]], nn.Module]  # the functions below


def coupling(n_latent: int, n_context: int, n_transforms: int, hidden: Sequence[int]) -> nn.Module:
    """Coupling layers that scale and shift (RealNVP: Dinh et al., ICLR 2017)."""
    zuko = zuko_for(n_latent, n_transforms, hidden)
    scaled = partial(zuko.transforms.MonotonicAffineTransform, slope=MIN_SLOPE)
    return _couplings(zuko, n_latent, n_context, n_transforms, hidden, univariate=scaled)


def additive_coupling(
    n_latent: int, n_context: int, n_transforms: int, hidden: Sequence[int]
) -> nn.Module:
    """Coupling layers that shift alone, and keep volumes (NICE: Dinh et al. 2014)."""
    zuko = zuko_for(n_latent, n_transforms, hidden)
    shifted = {"univariate": zuko.transforms.AdditiveTransform, "shapes": [()]}
    return _couplings(zuko, n_latent, n_context, n_transforms, hidden, **shifted)


def spline_coupling(
    n_latent: int, n_context: int, n_transforms: int, hidden: Sequence[int]
) -> nn.Module:
    """Coupling layers of rational-quadratic splines with 8 bins, the identity outside [-5, 5].

    Neural spline flows (Durkan et al., NeurIPS 2019).
    """
    zuko = zuko_for(n_latent, n_transforms, hidden)
    spline = {
        "univariate": partial(zuko.transforms.MonotonicRQSTransform, slope=MIN_SLOPE / 10),
        "shapes": [(N_BINS,), (N_BINS,), (N_BINS - 1,)],
    }
    return _couplings(zuko, n_latent, n_context, n_transforms, hidden, **spline)


def autoregressive(
    n_latent: int, n_context: int, n_transforms: int, hidden: Sequence[int]
) -> nn.Module:
    """Layers that scale and shift each dimension given those before it, then those after it.

    One pass of a masked network (MADE); the inverse takes as many passes as there are dimensions.
    From codes to noise it is masked autoregressive (MAF: Papamakarios et al., NeurIPS 2017), from
    noise to codes inverse autoregressive (IAF: Kingma et al., NeurIPS 2016).
    """
    zuko = zuko_for(n_latent, n_transforms, hidden)
    scaled = partial(zuko.transforms.MonotonicAffineTransform, slope=MIN_SLOPE)
    flow = zuko.flows.MAF(
        n_latent, n_context, transforms=n_transforms, **_networks(hidden), univariate=scaled
    )
    return _near_identity(flow)


def _couplings(
    zuko: Any, n_latent: int, n_context: int, n_transforms: int, hidden: Sequence[int], **kind: Any
) -> nn.Module:
    """Coupling layers of a kind; zuko's class has the name NICE for all kinds."""
    flow = zuko.flows.NICE(
        n_latent, n_context, transforms=n_transforms, **_networks(hidden), **kind
    )
    return _near_identity(flow)


def _networks(hidden: Sequence[int]) -> dict[str, Any]:
    return {"hidden_features": list(hidden), "activation": nn.ELU}


def _near_identity(flow: Any) -> nn.Module:
    """The layers of a flow of zuko, the last weights of their networks shrunk."""
    for layer in flow.transform.transforms:
        last = layer.phi if hasattr(layer, "phi") else layer.hyper[-1]
        for p in last.parameters():
            p.data *= SHRINK
    layers: nn.Module = flow.transform
    return layers


def zuko_for(n_latent: int, n_transforms: int, hidden: Sequence[int]) -> Any:
    """The module zuko, and a check of sizes.

    Its import switches torch's argument checks off; they are restored.
    """
    at_least(1, n_latent=n_latent, n_transforms=n_transforms)
    for width in hidden:
        at_least(1, hidden=width)
    checks = Distribution._validate_args
    try:
        import zuko
    except ImportError as error:
        raise MixvaeError(
            "flows need the package zuko, which is not installed: pip install 'mixvae[flows]'."
        ) from error
    finally:
        Distribution.set_default_validate_args(checks)
    return zuko

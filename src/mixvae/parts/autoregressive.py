"""Masked autoregressive flows as priors, from zuko, which is imported when one is built."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.distributions import Distribution

from mixvae.errors import at_least

from .flows import MIN_SLOPE, SHRINK, Flowed, _zuko
from .priors import Encode, NormalPrior


class AutoregressivePrior(nn.Module):
    r"""A prior whose dimensions depend on those before them: batch (), event (L,).

    The density is that of affine autoregressive layers, each :math:`u_l = s_l(z_{<l}) z_l +
    m_l(z_{<l})` by a masked network (MADE), in alternating order of the dimensions, to N(0, I). It
    takes one pass; a sample takes L. By the change of variables it gives the VAE the bound of one
    whose posterior has the same layers as an inverse autoregressive flow, and whose prior is
    N(0, I), for each pair of decoder and base posterior.

    Parameters
    ----------
    n_latent
        Size L of the code.
    n_transforms
        Number of layers.
    hidden
        Widths of a layer's masked network.

    Raises
    ------
    MixvaeError
        Without zuko, or for sizes under 1.

    References
    ----------
    Chen et al., Variational lossy autoencoder, ICLR 2017; masked autoregressive flow:
    Papamakarios et al., NIPS 2017.
    """

    def __init__(
        self, n_latent: int, *, n_transforms: int = 4, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__()
        at_least(1, n_latent=n_latent, n_transforms=n_transforms)
        for width in hidden:
            at_least(1, hidden=width)
        self.base = NormalPrior(torch.zeros(n_latent))
        zuko = _zuko()
        self.flow = zuko.flows.MAF(
            n_latent,
            transforms=n_transforms,
            hidden_features=list(hidden),
            activation=nn.ELU,
            univariate=partial(zuko.transforms.MonotonicAffineTransform, slope=MIN_SLOPE),
        ).transform
        for layer in self.flow.transforms:
            hyper = getattr(layer, "hyper", None)
            for p in hyper[-1].parameters() if hyper is not None else layer.parameters():
                p.data *= SHRINK

    def forward(self, encode: Encode) -> Distribution:
        return Flowed(self.base(encode), self.flow())

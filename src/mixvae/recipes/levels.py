"""A level of codes under another."""

from collections.abc import Sequence

from torch import nn

from mixvae.nn.networks import NetworkName, network_of
from mixvae.parts.posteriors import ConditionalNormal


def level(
    network: NetworkName,
    n_inputs: int,
    hidden: Sequence[int],
    n_latent: int,
    n_components: int | None = None,
) -> ConditionalNormal:
    """A level given a row, by layers of the kind that the other networks have.

    With ``n_components``, a batch (*n, K) of as many.
    """
    kind: NetworkName = "gated-mlp" if network.startswith("gated") else "mlp"
    net = network_of(kind, (n_inputs,), hidden, (), "none")
    if n_components is None:
        return ConditionalNormal(net.decoder(n_inputs, 2 * n_latent), n_latent)
    each = nn.Unflatten(-1, (n_components, 2 * n_latent))
    heads = net.decoder(n_inputs, n_components * 2 * n_latent)
    return ConditionalNormal(nn.Sequential(heads, each), n_latent)

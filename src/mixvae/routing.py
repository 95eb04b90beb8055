"""Sparse training: a pass over a few components for each x, which a gate chooses."""

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from .layers import StackedLinear
from .nn import ReLU, full_precision
from .products import Linear, linear

Rows = Float[Tensor, "B M I"]


class Routing(nn.Module):
    r"""A gate q(k | x), and the ``n_active`` components of x that it draws for a step.

    A component that is drawn c times makes as many codes, each of which counts for 1/c of it. The
    exact mixture's sum over those drawn is a bound as the whole sum is, lower by what the others
    would add: next to nothing once the gate knows the responsibilities. An x that the gate is sure
    of has the bound of IWAE for its one component.

    The gate reads the features of x and sends no gradient to them.

    Args:
        n_features: H.
        n_components: K.
        n_active: M.
        width: of the gate's hidden layer.
    """

    def __init__(
        self, n_features: int, n_components: int, n_active: int, *, width: int = 100
    ) -> None:
        super().__init__()
        self.n_active = n_active
        self.net = nn.Sequential(Linear(n_features, width), ReLU(), Linear(width, n_components))

    def forward(self, h: Float[Tensor, "B K H"]) -> Float[Tensor, "B K"]:
        """log q(k | x); all components' features are the same."""
        return full_precision(self.net(h[:, 0].detach())).log_softmax(-1)

    def draw(
        self, log_gate: Float[Tensor, "B K"]
    ) -> tuple[Int64[Tensor, "B M"], Int64[Tensor, "B M"]]:
        """Components of each x, counted from 0, and how often each was drawn for it."""
        some = log_gate.detach().exp().multinomial(self.n_active, replacement=True)
        return some, (some.unsqueeze(-1) == some.unsqueeze(-2)).sum(-1)


def by_component(
    layer: StackedLinear, x: Rows, some: Int64[Tensor, "B M"]
) -> Float[Tensor, "B M O"]:
    """What K stacked layers make of rows for some components each: x[b, m] is read by some[b, m].

    All are read by one wide layer, (K I) to O, of which a row fills its own component's part and
    zeros the others: K times the arithmetic of a small layer is less than the time to sort rows.
    """
    mine = F.one_hot(some, len(layer.weight)).to(x.dtype)
    wide = (mine.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)
    weight = layer.weight.transpose(0, 1).flatten(1)
    return linear(wide, weight) + mine @ layer.bias

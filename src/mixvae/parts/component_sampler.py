"""Sparse training: a pass over a few components for each x, which a gate chooses."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mixvae.nn import ReLU, full_precision
from mixvae.nn.layers import StackedLinear
from mixvae.nn.linear import Linear, linear

Rows = Float[Tensor, "B M I"]


class ComponentGate(nn.Module):
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
        component_index = log_gate.detach().exp().multinomial(self.n_active, replacement=True)
        return component_index, (
            component_index.unsqueeze(-1) == component_index.unsqueeze(-2)
        ).sum(-1)


def by_component(
    layer: StackedLinear, x: Rows, component_index: Int64[Tensor, "B M"]
) -> Float[Tensor, "B M O"]:
    """What K stacked layers make of rows for some components each: x[b, m] is read by some[b, m].

    All are read by one wide layer, (K I) to O, of which a row fills its own component's part and
    zeros the others: K times the arithmetic of a small layer is less than the time to sort rows.
    """
    mine = F.one_hot(component_index, len(layer.weight)).to(x.dtype)
    wide = (mine.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)
    weight = layer.weight.transpose(0, 1).flatten(1)
    return linear(wide, weight) + mine @ layer.bias


@dataclass(frozen=True)
class ComponentSubset:
    """The components that a pass in training mode is made of: ``n``, drawn for the whole batch.

    Weights must be known and uniform. The posterior is asked for some of its components by
    ``posterior(h, component_index)``, index (S,). Codes of the subset are weighed under

    - the mixture of all components if ``whole`` (Some-to-All): unbiased for the bound of them all;
    - the mixture of the subset otherwise (Some-to-Some): that mixture's own bound, a looser one.
    """

    n: int
    whole: bool = True

    def draw(self, n_components: int) -> Int64[Tensor, " n"]:
        """Components, counted from 0, without replacement."""
        return torch.randperm(n_components)[: self.n]

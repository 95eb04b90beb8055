"""Component samplers: a training step that uses a few components, instead of all of them."""

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
    r"""A gate q(k | x), which samples the ``n_active`` components that a step uses for each x.

    Components are sampled with replacement. One that is sampled c times has c codes, each of weight
    1/c. The exact mixture's bound, summed over the sampled components alone, is still a lower
    bound; it is lower by what the others would add, which is little once the gate approximates the
    responsibilities. An x for which the gate is certain has the IWAE bound of that component.

    The gate reads the features of x and sends no gradient to them.

    Parameters
    ----------
    n_features
        Number H of features.
    n_components
        Number K of components.
    n_active
        Number M of samples for each x.
    width
        Width of the gate's hidden layer.
    """

    def __init__(
        self, n_features: int, n_components: int, n_active: int, *, width: int = 100
    ) -> None:
        super().__init__()
        self.n_active = n_active
        self.net = nn.Sequential(Linear(n_features, width), ReLU(), Linear(width, n_components))

    def forward(self, h: Float[Tensor, "B K H"]) -> Float[Tensor, "B K"]:
        """log q(k | x), from the first component's features; all components' are the same."""
        return full_precision(self.net(h[:, 0].detach())).log_softmax(-1)

    def draw(
        self, log_gate: Float[Tensor, "B K"]
    ) -> tuple[Int64[Tensor, "B M"], Int64[Tensor, "B M"]]:
        """Sample components of each x, counted from 0; also how often each was sampled for it."""
        index = log_gate.detach().exp().multinomial(self.n_active, replacement=True)
        return index, (index.unsqueeze(-1) == index.unsqueeze(-2)).sum(-1)


def by_component(
    layer: StackedLinear, x: Rows, component_index: Int64[Tensor, "B M"]
) -> Float[Tensor, "B M O"]:
    """The outputs of stacked linear layers, where x[b, m] is read by layer component_index[b, m].

    Computed by one wide layer, (K I) to O: a row fills the part of its own component, and zeros the
    others. K times the arithmetic of a small layer takes less time than sorting the rows.
    """
    one_hot = F.one_hot(component_index, len(layer.weight)).to(x.dtype)
    wide = (one_hot.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)
    weight = layer.weight.transpose(0, 1).flatten(1)
    return linear(wide, weight) + one_hot @ layer.bias


@dataclass(frozen=True)
class ComponentSubset:
    """The size of the random subset of components that a training step of ``misvae`` uses.

    The subset is sampled for the whole batch. The mixing weights must be constant and uniform, and
    the posterior must accept the subset as ``posterior(h, component_index)``, index (S,).
    """

    n: int
    """Number of components in the subset."""
    whole: bool = True
    """Under which mixture the subset's codes are weighted. True: that of all components
    (Some-to-All), unbiased for the bound of all; False: that of the subset (Some-to-Some), whose
    own bound is looser."""

    def draw(self, n_components: int) -> Int64[Tensor, " n"]:
        """Sample component indices, counted from 0, without replacement."""
        return torch.randperm(n_components)[: self.n]

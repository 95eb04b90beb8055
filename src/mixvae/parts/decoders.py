"""The decoder: codes z (S, B, K, L) and weights w (S, B, K) in, p(x | z, w) out."""

from collections.abc import Callable

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from mixvae.likelihoods import Likelihood
from mixvae.nn import Shared, Stacked
from mixvae.nn.layers import StackedLayer, StackedLinear

from .component_sampler import by_component

Combine = Callable[[Tensor, Tensor], Tensor]


def separate(h: Float[Tensor, "N K F"], w: Float[Tensor, "N K"]) -> Float[Tensor, "N K F"]:
    """Leave the components apart: the mixture is over likelihoods."""
    return h


def weighted_sum(h: Float[Tensor, "N K F"], w: Float[Tensor, "N K"]) -> Float[Tensor, "N 1 F"]:
    """Merge the components into one: the mixture is over features (MVAE) or means (M-VAE)."""
    return (w.unsqueeze(-1) * h).sum(1, keepdim=True)


class Decoder(nn.Module):
    """branch (per component) -> combine -> head (after combining) -> likelihood.

    The component axis of p(x | z, w) has size K after :func:`separate`, and 1 after
    :func:`weighted_sum`.
    """

    def __init__(
        self,
        branch: nn.Module,
        likelihood: Likelihood,
        combine: Combine = separate,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.combine = combine
        self.head = nn.Identity() if head is None else head
        self.likelihood = likelihood

    def forward(self, z: Float[Tensor, "S B K L"], w: Float[Tensor, "S B K"]) -> Distribution:
        h = self.combine(self.branch(z.flatten(0, 1)), w.flatten(0, 1))
        return self._likelihood(h, z)

    def each(self, z: Float[Tensor, "S B K L"]) -> Distribution:
        """p(x | z_k) of every component by itself, batch (S, B, K): all the weight on one."""
        return self._likelihood(self.branch(z.flatten(0, 1)), z)

    def decode_components(
        self, z: Float[Tensor, "S B M L"], component_index: Int64[Tensor, "B M"]
    ) -> Distribution:
        """p(x | z_m) of M components of each x, named by ``component_index``: batch (S, B, M).

        For a decoder of which components own one linear layer or none, and share the rest.
        """
        codes = z.flatten(0, 1)
        if isinstance(self.branch, Shared):
            return self._likelihood(self.branch(codes), z)
        layer = self.branch.body
        assert isinstance(layer, StackedLinear)
        return self._likelihood(by_component(layer, codes, component_index.repeat(len(z), 1)), z)

    @property
    def decodes_components(self) -> bool:
        """Whether :meth:`decode_components` can be called: components share all but one layer."""
        branch = self.branch
        if self.combine is not separate:
            return False
        return isinstance(branch, Shared) or (
            isinstance(branch, Stacked) and isinstance(branch.body, StackedLinear)
        )

    def of_component(self, z: Float[Tensor, "S B 1 L"], component: int) -> Distribution:
        """p(x | z) by one component's decoder: batch (S, B, 1).

        The others' layers are not used. For a decoder that keeps the components apart.
        """
        own = {
            f"{path}.{name}": value[component : component + 1]
            for path, layer in self.branch.named_modules()
            if isinstance(layer, StackedLayer)
            for name, value in (*layer.named_parameters(), *layer.named_buffers())
        }
        return self._likelihood(functional_call(self.branch, own, z.flatten(0, 1)), z)

    def _likelihood(self, h: Tensor, z: Tensor) -> Distribution:
        return self.likelihood(self.head(h).unflatten(0, z.shape[:2]))

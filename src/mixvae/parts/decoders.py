"""Decoders: codes z (S, B, K, L) and mixing weights w (S, B, K) to p(x | z, w)."""

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
    """The components' outputs, unchanged, for a mixture of likelihoods.

    Parameters
    ----------
    h
        Outputs of the components, (N, K, F).
    w
        Mixing weights, (N, K), which are not used.

    Returns
    -------
        ``h``.
    """
    return h


def weighted_sum(h: Float[Tensor, "N K F"], w: Float[Tensor, "N K"]) -> Float[Tensor, "N 1 F"]:
    """The average of the components' outputs, features (MVAE) or means (M-VAE), by their weights.

    Parameters
    ----------
    h
        Outputs of the components, (N, K, F).
    w
        Mixing weights, (N, K).

    Returns
    -------
        The weighted sum, (N, 1, F).

    Examples
    --------
    >>> import torch
    >>> weighted_sum(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0.25, 0.75]]))
    tensor([[[2.5000]]])
    """
    return (w.unsqueeze(-1) * h).sum(1, keepdim=True)


class LowerLevel(nn.Module):
    """The lower level z1 of codes z = (z2, z1), for a decoder that does not read the upper one.

    Parameters
    ----------
    n_latent
        Size of z1.
    """

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        self.n_latent = n_latent

    def forward(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n M"]:
        return z[..., -self.n_latent :]


class Decoder(nn.Module):
    """A decoder in four steps: branch, combine, head, likelihood.

    p(x | z, w) has batch (S, B, K) with :func:`separate` and (S, B, 1) with :func:`weighted_sum`.

    Parameters
    ----------
    branch
        Networks of the components: codes (N, K, L) to features (N, K, F).
    likelihood
        The head's output (..., n_params) to p(x | z).
    combine
        What joins the components' features: :func:`separate` or :func:`weighted_sum`.
    head
        A network after ``combine``, the same for all components. None: none.
    """

    needs_codes = True  # False: a component is a distribution of its own even if it ignores z

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
        """p(x | z_k) of every component alone, with a one-hot mixing weight: batch (S, B, K)."""
        return self._likelihood(self.branch(z.flatten(0, 1)), z)

    def decode_components(
        self, z: Float[Tensor, "S B M L"], component_index: Int64[Tensor, "B M"]
    ) -> Distribution:
        """p(x | z_m) of M components of each x, batch (S, B, M), given by ``component_index``.

        Only for a decoder whose components have one linear layer of their own, or none.
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

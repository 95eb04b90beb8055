"""Networks, and the tool that turns one network into K independent copies of it."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .errors import MixvaeError, at_least

Make = Callable[[], nn.Module]
POINTWISE = (
    *(nn.Identity, nn.ReLU, nn.ELU, nn.LeakyReLU, nn.SiLU, nn.GELU),
    *(nn.Tanh, nn.Sigmoid, nn.Softplus),
)


class MLP(nn.Sequential):
    """Linear layers with an activation after each but the last: (*, in) to (*, out)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (),
        activations: Make | Sequence[Make] = nn.ReLU,
    ) -> None:
        at_least(1, in_features=in_features, out_features=out_features)
        for width in hidden:
            at_least(1, hidden=width)
        if callable(activations):
            activations = [activations] * len(hidden)
        sizes = [in_features, *hidden, out_features]
        layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1])]
        for activation, ends in zip(activations, pairwise(sizes[1:]), strict=True):
            layers += [activation(), nn.Linear(*ends)]
        super().__init__(*layers)


class Stacked(nn.Module):
    """K independent copies of one network, evaluated in batched calls.

    Write the network once, for one component; every parameter gains a leading axis of size K.
    Maps (N, K, *in) to (N, K, *out), or, with ``share_input``, (N, *in) to (N, K, *out): every
    copy reads the same input, and the first layer is one wide matrix product.

    Example:
        >>> net = Stacked(lambda: nn.Linear(3, 2), n_copies=4)
        >>> net(torch.zeros(5, 4, 3)).shape
        torch.Size([5, 4, 2])

    Raises:
        MixvaeError: if the network has a layer of which no batched form is known.
    """

    def __init__(self, make: Make, n_copies: int, *, share_input: bool = False) -> None:
        super().__init__()
        at_least(1, n_copies=n_copies)
        self.n_copies = n_copies
        self.body, unread = _stack([make() for _ in range(n_copies)], share_input)
        if unread:
            raise MixvaeError("share_input needs a network with a linear layer; it has none.")

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class StackedLinear(nn.Module):
    """K linear layers at once. The fast path inside :class:`Stacked`."""

    def __init__(self, copies: Sequence[nn.Linear], *, share_input: bool) -> None:
        super().__init__()
        self.share_input = share_input
        self.weight = nn.Parameter(torch.stack([c.weight.detach() for c in copies]))
        bias = torch.stack([c.bias.detach() for c in copies])
        self.bias = nn.Parameter(bias)

    def forward(self, x: Float[Tensor, "N *K I"]) -> Float[Tensor, "N K O"]:
        if self.share_input:
            wide = F.linear(x, self.weight.flatten(0, 1), self.bias.flatten())
            return wide.unflatten(-1, self.bias.shape)
        by_copy = torch.baddbmm(self.bias.unsqueeze(1), x.transpose(0, 1), self.weight.mT)
        return by_copy.transpose(0, 1)


class Means(nn.Module):
    """Logits to means in (0, 1), in full precision: bfloat16 rounds 0.998 to 1."""

    def forward(self, logits: Tensor) -> Tensor:
        return full_precision(logits).sigmoid()


def full_precision(x: Tensor) -> Tensor:
    """Float32 where autocast left half precision: densities and KLs are never taken in half."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _stack(copies: Sequence[nn.Module], share_input: bool) -> tuple[nn.Module, bool]:
    """Batch the copies; also says whether the shared input is still to be read."""
    first = copies[0]
    if isinstance(first, nn.Linear) and first.bias is not None:
        return StackedLinear(copies, share_input=share_input), False  # type: ignore[arg-type]
    if isinstance(first, nn.Sequential):
        layers = []
        for same_layer in zip(*copies, strict=True):
            layer, share_input = _stack(same_layer, share_input)
            layers.append(layer)
        return nn.Sequential(*layers), share_input
    if isinstance(first, POINTWISE):
        return first, share_input
    raise MixvaeError(
        f"Stacked has no batched form of {type(first).__name__}; it knows Linear (with bias), "
        "Sequential and pointwise activations. Add a stacked layer to mixvae/nn.py for it."
    )

"""Whether the codes of a joint mixture depend on each other."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import MixvaeError
from ..kernels import dhsic, pairwise_hsic
from ..labels import Classes
from ..model import MixtureVAE
from .bounds import ONE_ROW
from .passes import batches, check_x, evaluating


def dependence(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """dHSIC of the K codes and HSIC of every pair, one sample of each code (MVAE, Fig. 12).

    The V-statistics over a batch are biased upward, so a value means little alone: beside each is
    the statistic after every code's rows were shuffled, which makes the codes independent.

    Args:
        model: a joint mixture of two components or more; it is left in the mode that it came in.
        x: (N, *X).
        y: (N,), the classes of x, for a conditional model.
        batch_size: rows at a time; all values depend on it.
        seed: of the samples and shuffles.

    Returns:
        ``dhsic`` and ``permuted``, means over x, kernel bandwidth in closed form; ``pairs`` and
        ``pairs_permuted``, the same of HSIC, K lists of K numbers. Where a batch is a single row
        there are none: ``dhsic`` and ``permuted`` are None, and ``note`` says why.
    """
    check_x(model, x, y)
    if model.n_components < 2:
        raise MixvaeError(
            f"the dependence of codes needs two components at least; got {model.n_components}."
        )
    if any(len(part) < 2 for part, _ in batches(model, x, y, batch_size)):
        return {"dhsic": None, "permuted": None, "note": ONE_ROW}
    sums: dict[str, Tensor] = {}
    with evaluating(model, seed):
        for part, labels in batches(model, x, y, batch_size):
            z = model.infer(part, labels)[0].sample()  # (B, K, L)
            shuffled = torch.stack([code[torch.randperm(len(code))] for code in z.unbind(1)], 1)
            values = {
                "dhsic": dhsic(z, "gaussian"),
                "permuted": dhsic(shuffled, "gaussian"),
                "pairs": pairwise_hsic(z, "gaussian"),
                "pairs_permuted": pairwise_hsic(shuffled, "gaussian"),
            }
            for name, value in values.items():
                sums[name] = sums.get(name, torch.zeros(())) + value.cpu().double() * len(part)
    return {name: (total / len(x)).tolist() for name, total in sums.items()}

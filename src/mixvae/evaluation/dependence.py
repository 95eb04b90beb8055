"""Whether the codes of a joint mixture depend on each other."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..kernels import dhsic
from ..model import MixtureVAE
from .passes import batches, evaluating


def dependence(
    model: MixtureVAE, x: Float[Tensor, "N *X"], *, batch_size: int = 500, seed: int = 0
) -> dict[str, float]:
    """dHSIC of the K codes, one sample of each, beside what independence would give.

    The V-statistic over a batch is biased upward, so a value means little alone: ``permuted`` is
    the statistic after each code's rows were shuffled, which makes the codes independent.

    Args:
        model: a joint mixture of two components or more; it is left in the mode that it came in.
        x: (N, *X), at least two rows.
        batch_size: rows at a time; both values depend on it.
        seed: of the samples and shuffles.

    Returns:
        ``dhsic`` and ``permuted``, means over x, kernel bandwidth in closed form.
    """
    sums = {"dhsic": 0.0, "permuted": 0.0}
    with evaluating(model, seed):
        for batch in batches(model, x, batch_size):
            z = model.infer(batch)[0].sample()  # (B, K, L)
            shuffled = torch.stack([code[torch.randperm(len(code))] for code in z.unbind(1)], 1)
            for name, codes in {"dhsic": z, "permuted": shuffled}.items():
                sums[name] += float(dhsic(codes, "gaussian")) * len(batch)
    return {name: total / len(x) for name, total in sums.items()}

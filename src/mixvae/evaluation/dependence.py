"""Statistical dependence between the codes of a joint mixture."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.objectives.kernels import dhsic, pairwise_hsic
from mixvae.parts.labels import Classes

from .batches import check_x
from .bounds import ONE_ROW
from .one_pass import Batch, accumulate


def dependence(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """dHSIC of the K codes and HSIC of every pair of codes, from one sample of each code.

    The V-statistics over a batch are biased upward. Each is therefore given beside its value for
    shuffled codes: every code's rows are permuted, which makes the codes independent.

    Parameters
    ----------
    model
        A joint mixture of two components or more, in any mode, to which it returns.
    x
        (N, *X).
    y
        (N,), the classes of x, for a conditional model.
    batch_size
        Rows at a time; all values depend on it.
    seed
        Seed of the samples and permutations.

    Returns
    -------
    statistics
        ``dhsic`` and ``permuted``, means over x, with Gaussian kernels whose bandwidth is in closed
        form; ``pairs`` and ``pairs_permuted``, HSIC of each pair, K lists of K numbers. Where a
        batch is a single row, ``dhsic`` and ``permuted`` are None and ``note`` gives the reason.

    Raises
    ------
    MixvaeError
        For fewer than two components, or data that the model does not take.

    References
    ----------
    dHSIC: Pfister et al. (JRSS-B 2018). The figure: Ye & Bors, MVAE (TNNLS 2021), Fig. 12.
    """
    check_x(model, x, y)
    if model.n_components < 2:
        raise MixvaeError(
            f"the dependence of codes needs two components at least; got {model.n_components}."
        )
    accumulator = Dependence()
    accumulate(model, x, y, [accumulator], batch_size=batch_size, seed=seed)
    return accumulator.result()


class Dependence:
    """Accumulator of :func:`dependence`."""

    def __init__(self) -> None:
        self.n, self.defined = 0, True
        self.sums: dict[str, Tensor] = {}

    def add(self, batch: Batch) -> None:
        self.n += len(batch.x)
        self.defined &= len(batch.x) > 1
        if not self.defined:
            return
        z = batch.posteriors[0].sample()  # (B, K, L)
        shuffled = torch.stack([code[torch.randperm(len(code))] for code in z.unbind(1)], 1)
        values = {
            "dhsic": dhsic(z, "gaussian"),
            "permuted": dhsic(shuffled, "gaussian"),
            "pairs": pairwise_hsic(z, "gaussian"),
            "pairs_permuted": pairwise_hsic(shuffled, "gaussian"),
        }
        for name, value in values.items():
            total = value.cpu().double() * len(batch.x)
            self.sums[name] = self.sums.get(name, torch.zeros(())) + total

    def result(self) -> dict[str, Any]:
        if not self.defined:
            return {"dhsic": None, "permuted": None, "note": ONE_ROW}
        return {name: (total / self.n).tolist() for name, total in self.sums.items()}

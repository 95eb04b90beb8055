"""Whether the codes of a joint mixture depend on each other."""

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
    meter = Dependence()
    accumulate(model, x, y, [meter], batch_size=batch_size, seed=seed)
    return meter.result()


class Dependence:
    """What :func:`dependence` returns, of data that come in batches."""

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

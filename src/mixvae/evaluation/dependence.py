"""Statistical dependence between the codes of a joint mixture, and a test of it."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mixvae.errors import MixvaeError, whole
from mixvae.model import MixtureVAE
from mixvae.objectives.kernels import (
    dhsic,
    dhsic_of,
    gram_matrices,
    pairwise_hsic,
    pairwise_hsic_of,
)
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
    n_permutations: int = 0,
) -> dict[str, Any]:
    """dHSIC of the K codes and HSIC of every pair of codes, from one sample of each code.

    The V-statistics over a batch are biased upward. Each is therefore given beside its value for
    shuffled codes: every code's rows are permuted, which makes the codes independent. With many
    permutations this is a test of independence, whose p-value is the fraction (1 + m) / (1 + P),
    where m of P permutations have a statistic as large as that of the codes. Its level is exact.
    Each permutation takes about as long as the statistic itself.

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
    n_permutations
        Permutations P of the test; 0 leaves it out.

    Returns
    -------
    statistics
        ``dhsic`` and ``permuted``, means over x, with Gaussian kernels whose bandwidth is in closed
        form; ``pairs`` and ``pairs_permuted``, HSIC of each pair, K lists of K numbers. If tested,
        ``p_value``, ``pairs_p_value``, of each pair alone (1 on the diagonal, which is not tested),
        and ``n_permutations``. Where a batch is a single row, ``dhsic``, ``permuted`` and
        ``p_value`` are None and ``note`` gives the reason.

    Raises
    ------
    MixvaeError
        For fewer than two components, or data that the model does not take.

    References
    ----------
    dHSIC and its permutation test: Pfister et al. (JRSS-B 2018). The figure: Ye & Bors,
    MVAE (TNNLS 2021), Fig. 12.
    """
    check_x(model, x, y)
    if model.n_components < 2:
        raise MixvaeError(
            f"the dependence of codes needs two components at least; got {model.n_components}."
        )
    accumulator = Dependence(n_permutations, seed)
    accumulate(model, x, y, [accumulator], batch_size=batch_size, seed=seed)
    return accumulator.result()


class Dependence:
    """Accumulator of :func:`dependence`."""

    def __init__(self, n_permutations: int = 0, seed: int = 0) -> None:
        whole(0, n_permutations=n_permutations)
        self.n, self.defined, self.n_permutations = 0, True, n_permutations
        self.generator = torch.Generator().manual_seed(seed)  # the codes do not depend on the test
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
        if self.n_permutations:
            values |= permuted_statistics(z, self.n_permutations, self.generator)
        for name, value in values.items():
            total = value.cpu().double() * len(batch.x)
            self.sums[name] = self.sums.get(name, torch.zeros(())) + total

    def result(self) -> dict[str, Any]:
        if not self.defined:
            missing = dict.fromkeys(["dhsic", "permuted", *["p_value"] * bool(self.n_permutations)])
            return missing | {"note": ONE_ROW}
        means = {name: total / self.n for name, total in self.sums.items()}
        null = {name: means.pop(f"{name}_under_null", None) for name in ("dhsic", "pairs")}
        found: dict[str, Any] = {name: mean.tolist() for name, mean in means.items()}
        if null["dhsic"] is not None and null["pairs"] is not None:
            found["p_value"] = p_value(means["dhsic"], null["dhsic"]).item()
            of_pairs = p_value(means["pairs"], null["pairs"]).fill_diagonal_(1)
            found["pairs_p_value"] = of_pairs.tolist()
            found["n_permutations"] = self.n_permutations
            found["how"] = f"tested by {self.n_permutations:,} permutations"
        return found


def permuted_statistics(
    z: Float[Tensor, "B K L"], n_permutations: int, generator: Generator
) -> dict[str, Tensor]:
    """dHSIC, (P,), and HSIC of all pairs, (P, K, K), of codes whose rows are permuted P times."""
    gram = gram_matrices(z, "gaussian")
    all_codes, pairs = [], []
    for _ in range(n_permutations):
        rows = [torch.randperm(len(z), generator=generator).to(z.device) for _ in gram]
        moved = torch.stack([g[r][:, r] for g, r in zip(gram, rows, strict=True)])
        all_codes.append(dhsic_of(moved))
        pairs.append(pairwise_hsic_of(moved))
    return {"dhsic_under_null": torch.stack(all_codes), "pairs_under_null": torch.stack(pairs)}


def p_value(value: Float[Tensor, "*n"], under_null: Float[Tensor, "P *n"]) -> Float[Tensor, "*n"]:
    """Fraction of statistics, the value itself among them, that are as large; NaN of a NaN."""
    rounding = 1e-7 + 1e-5 * value.abs()  # in float32; equal statistics count as large
    as_large = under_null >= value - rounding
    p = (1 + as_large.double().sum(0)) / (1 + len(under_null))
    return p.masked_fill(value.isnan(), torch.nan)

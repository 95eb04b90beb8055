"""Means of the terms over many batches, and the check that they are finite."""

from math import isfinite

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError


class NonFiniteError(MixvaeError):
    """A term of the objective became infinite or NaN."""


class RunningMeans:
    """Means of named scalars over the rows of many batches, in float64 where there is one.

    They are added up at the end of an epoch, which costs less than adding at every step.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.values: list[Tensor] = []
        self.rows: list[int] = []

    def __len__(self) -> int:
        return len(self.values)

    def add(self, names: tuple[str, ...], values: Float[Tensor, " V"], n: int) -> None:
        """Add means over ``n`` rows, of the same names every time."""
        self.names = names
        self.values.append(values)
        self.rows.append(n)

    def latest(self) -> dict[str, Tensor]:
        """What was added last, or nothing yet in this epoch."""
        return dict(zip(self.names, self.values[-1], strict=True)) if self.values else {}

    def pop(self) -> dict[str, Tensor]:
        """The means so far; starts afresh."""
        if not self.values:
            return {}
        values = torch.stack(self.values)
        precise = torch.float32 if values.device.type == "mps" else torch.float64
        rows = torch.tensor(self.rows, dtype=precise, device=values.device)
        means = rows @ values.to(precise) / rows.sum()
        self.values, self.rows = [], []
        return dict(zip(self.names, means, strict=True))

    def not_finite(self, n: int) -> tuple[int, str] | None:
        """Of the last n batches the first with a term that is not finite, and that term."""
        if n == 0:
            return None
        values = torch.stack(self.values[-n:])
        if isfinite(values.sum()) or values.isfinite().all():  # a sum of what is not never is
            return None
        i, term = (~values.isfinite()).nonzero()[0].tolist()
        return len(self.values) - n + i, self.names[term]


def with_sum(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The objective, and the terms that it is the sum of, if there are any."""
    return {"objective": torch.stack(list(terms.values())).sum()} | terms if terms else {}

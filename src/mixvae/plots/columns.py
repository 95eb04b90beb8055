"""The columns of a table as pictures show them: names, units, how they tell components apart."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.mixed_columns import MixedColumns
from mixvae.data.standardization import Standardization
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError
from mixvae.evaluation.batches import cluster_probabilities, device_of, evaluating
from mixvae.model import MixtureVAE

MAX_ROWS = 2000
N_SAMPLES = 4000  # in portions, as K copies of each are computed
PORTION = 250
LONGEST = 30  # letters of a name


@dataclass(frozen=True, eq=False)
class Columns:
    """Rows of a table, and how a model's components share them.

    Attributes
    ----------
    model
        The model.
    x
        (N, D), rows as the model sees them.
    r
        (N, K), probabilities of the components, or of the clusters of a prior.
    transform
        That of the data, with names and units; None: columns have numbers, and x's own units.
    own_names
        Names of the columns in place of the transform's.
    """

    model: MixtureVAE
    x: Float[Tensor, "N D"]
    r: Float[Tensor, "N K"]
    transform: AnyTransform | None
    own_names: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        model: MixtureVAE,
        x: Float[Tensor, "N *X"],
        y: Int64[Tensor, " N"] | None,
        transform: AnyTransform | None,
    ) -> "Columns":
        """The first rows of a table; raises `MixvaeError` where x is none."""
        if x.dim() != 2:
            raise MixvaeError(
                f"expected a table, x of shape (N, D), got {tuple(x.shape)}; mixvae.plots.samples "
                "and reconstructions draw images."
            )
        x, y = x[:MAX_ROWS], None if y is None else y[:MAX_ROWS]
        return cls(model, x.cpu(), cluster_probabilities(model, x, y), transform)

    @property
    def names(self) -> list[str]:
        """A name for each column, shortened; its number where there are no names."""
        known = None if self.transform is None else self.transform.kept_columns
        names = self.own_names or known or tuple(f"column {i}" for i in range(self.x.shape[1]))
        return [n if len(n) <= LONGEST else f"{n[: LONGEST - 1]}…" for n in names]

    @property
    def means(self) -> Float[Tensor, "K D"]:
        """Each component's mean less that of all rows, in their standard deviations.

        NaN for a component without rows.
        """
        deviation = self.x - self.x.nanmean(0)
        standard = deviation / deviation.square().nanmean(0).sqrt().clamp_min(1e-6)
        observed = (~self.x.isnan()).to(self.x.dtype)  # missing values are in no mean
        total = self.r.T @ observed
        mean = self.r.T @ standard.nan_to_num(0.0) / total.clamp_min(1e-6)
        return torch.where(total > 1e-3, mean, torch.nan)

    @property
    def told_apart(self) -> Float[Tensor, " D"]:
        """The share of each column's variance that is between components.

        Of unordered categories, the largest share of any category.
        """
        share = self.r.mean(0) @ self.means.nan_to_num(0.0).square()
        for i, categories in enumerate(self._unordered):
            if categories:
                one = replace(self, x=self._indicators(i, len(categories)), transform=None)
                share[i] = one.told_apart.max()
        return share

    @property
    def categories(self) -> list[tuple[Any, ...]]:
        """The categories of each column in the order of their codes; () for numbers."""
        if not isinstance(self.transform, MixedColumns):
            return [()] * self.x.shape[1]
        each = zip(self.transform.categories, self.transform.constant, strict=True)
        return [own for own, constant in each if not constant]

    @property
    def _unordered(self) -> list[tuple[Any, ...]]:
        """The categories of each column, () where they have an order or are two."""
        if not isinstance(self.transform, MixedColumns):
            return [()] * self.x.shape[1]
        kinds = [
            kind
            for kind, constant in zip(self.transform.kinds, self.transform.constant, strict=True)
            if not constant
        ]
        each = zip(self.categories, kinds, strict=True)
        return [own if kind == "categorical" else () for own, kind in each]

    def _indicators(self, i: int, n: int) -> Float[Tensor, "N n"]:
        """Whether each row has each of the n categories of a column, 0 or 1; NaN where missing."""
        code = self.x[:, i, None]
        return (code == torch.arange(n)).to(self.x.dtype).where(~code.isnan(), torch.nan)

    def by_category(self) -> "Columns":
        """The table with a column of 0 and 1 for each category of unordered ones, for means."""
        parts, names = [], []
        for i, (name, categories) in enumerate(zip(self.names, self._unordered, strict=True)):
            parts.append(self._indicators(i, len(categories)) if categories else self.x[:, [i]])
            names += [f"{name} = {c}" for c in categories] or [name]
        return replace(self, x=torch.cat(parts, 1), transform=None, own_names=tuple(names))

    def most_telling(self, n: int) -> list[int]:
        """The n columns that tell the components apart best, the best first."""
        return self.told_apart.argsort(descending=True, stable=True)[:n].tolist()

    def in_data_units(self, x: Float[Tensor, "N D"]) -> np.ndarray:
        """Values as the data's source has them."""
        if self.transform is None:
            return x.numpy()
        if isinstance(self.transform, Standardization):  # x has no constant columns
            stored = self.transform.unscale(x)
            return np.delete(stored, np.flatnonzero(self.transform.constant), 1)
        return self.transform.invert(x)

    def samples(self, seed: int) -> np.ndarray:
        """Samples of the whole mixture with the likelihood's noise, in the data's units."""
        n_classes, device = self.model.labels.n_classes, device_of(self.model)
        y = None if n_classes is None else torch.arange(PORTION, device=device) % n_classes
        with evaluating(self.model, seed):
            drawn = [
                self.model.sample(PORTION, y=y, noise=True).cpu()
                for _ in range(N_SAMPLES // PORTION)
            ]
        return self.in_data_units(torch.cat(drawn))


def span(*values: np.ndarray) -> tuple[float, float]:
    """Limits of an axis that hold all but a four hundredth of each array on either side."""
    ends = np.array([np.nanquantile(v, (0.0025, 0.9975), method="inverted_cdf") for v in values])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin

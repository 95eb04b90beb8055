"""Columns of several kinds as real numbers, for methods that need them."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mixvae.likelihoods import ColumnKinds
from mixvae.parts.column_features import ColumnFeatures


class RealFeatures:
    """Columns of several kinds as real numbers of similar variance, for a Gaussian mixture.

    log(1 + x) of counts, a column of 0 and 1 for each category, and other columns, all centred.
    Each is divided by its standard deviation, the columns of one category together, so that their
    variances add up to 1. A missing entry is NaN in all columns of its features.

    Parameters
    ----------
    kinds
        The likelihood of each column.
    x
        Training rows.
    library_size
        As of :class:`.ColumnLikelihood`.
    """

    def __init__(
        self, kinds: ColumnKinds, x: Float[Tensor, "N D"], library_size: float | None = None
    ) -> None:
        self.features = ColumnFeatures(kinds, library_size)
        values = self._values(x)
        self.mean = values.nanmean(0)
        variance = (values - self.mean).square().nanmean(0)
        column = self.features.get_buffer("_of")
        total = torch.zeros(len(kinds.kinds)).to(variance).index_add(0, column, variance)
        self.kept, self.scale = variance > 0, total[column].sqrt()

    def __call__(self, x: Float[Tensor, "N D"]) -> Float64[np.ndarray, "N F"]:
        """Rows, without the columns of categories that training rows do not have."""
        values = (self._values(x) - self.mean) / self.scale
        return np.asarray(values[:, self.kept].numpy())

    def _values(self, x: Float[Tensor, "N D"]) -> Float64[Tensor, "N F"]:
        missing = x.isnan()[:, self.features.get_buffer("_of")]
        return self.features(x.double()).masked_fill(missing, torch.nan)

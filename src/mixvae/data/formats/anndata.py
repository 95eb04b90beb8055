"""Cells of AnnData, and results written back to it; anndata itself is not imported."""

from typing import Any

import numpy as np

from mixvae.data.dataset import Dataset
from mixvae.data.numbers import to_numpy
from mixvae.data.sources import ArraySource, Source, source_of
from mixvae.errors import MixvaeError, unknown

from .arrays import from_arrays


def from_anndata(
    adata: Any, layer: str | None = None, batch_key: str | None = None, **options: Any
) -> Dataset:
    """Make a `Dataset` of the cells of an AnnData object, which stay sparse where they are.

    Parameters
    ----------
    adata
        An ``anndata.AnnData``: its ``X``, or a layer, has a row for each cell and a column for each
        of ``var_names``.
    layer
        The layer to take instead of ``X``.
    batch_key
        The column of ``obs`` that names each cell's batch (`batch` of
        :func:`mixvae.data.from_arrays`).
    **options
        Other arguments of :func:`mixvae.data.from_arrays`, such as ``y`` or ``seed``.

    Returns
    -------
    Dataset
        With training, validation and test cells; ``Split.index`` says which each is.

    Raises
    ------
    MixvaeError
        For another object, and an unknown layer or column.
    """
    own: dict[str, Any] = {"name": "anndata"}
    x = matrix_of(adata, layer)
    if batch_key is not None:
        if batch_key not in adata.obs:
            raise unknown("column of obs", batch_key, map(str, adata.obs))
        own["batch"] = adata.obs[batch_key]
    return from_arrays(x, **own | options)


def matrix_of(adata: Any, layer: str | None = None) -> Source:
    """The values of an AnnData object, with the names of its variables."""
    if not all(hasattr(adata, name) for name in ("X", "obs", "var_names")):
        raise MixvaeError(
            f"expected an AnnData object, with X, obs and var_names; got {type(adata).__name__}."
        )
    if layer is not None and layer not in adata.layers:
        raise unknown("layer", layer, adata.layers)
    values = adata.X if layer is None else adata.layers[layer]
    source = source_of(values, "anndata") or ArraySource(to_numpy(values, "anndata"))
    source.columns = tuple(map(str, adata.var_names))
    return source


def to_anndata(
    adata: Any, *, codes: Any = None, responsibilities: Any = None, key: str = "mixvae"
) -> None:
    """Write results into an AnnData object, in place.

    Parameters
    ----------
    adata
        An ``anndata.AnnData``, of N cells.
    codes
        (N, L), as from ``DeepMixture.transform``: into ``obsm["X_KEY"]``.
    responsibilities
        (N, K), as from ``DeepMixture.predict_proba``: into ``obsm["KEY_responsibilities"]``, and
        the component of the largest into ``obs["KEY_component"]``.
    key
        The name of the results.

    Raises
    ------
    MixvaeError
        For results that do not have a row for each cell.
    """
    n = len(adata.obs)
    results = {f"X_{key}": codes, f"{key}_responsibilities": responsibilities}
    given = {name: np.asarray(values) for name, values in results.items() if values is not None}
    for name, values in given.items():
        if values.ndim != 2 or len(values) != n:
            raise MixvaeError(f"{name} must have a row for each of {n} cells; got {values.shape}.")
    for name, values in given.items():
        adata.obsm[name] = values
    if responsibilities is not None:
        adata.obs[f"{key}_component"] = given[f"{key}_responsibilities"].argmax(1)

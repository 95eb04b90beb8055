"""AnnData in and results out, with a stand-in that has the attributes that are read."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from mixvae import DeepMixture
from mixvae.data import from_anndata, from_arrays, to_anndata
from mixvae.errors import MixvaeError

X = np.random.default_rng(0).normal(3, 2, (60, 3))
NAMES = ["one", "two", "three"]


def cells(x: Any) -> Any:
    obs = pd.DataFrame({"batch": ["a", "b"] * 30})
    return SimpleNamespace(X=x, obs=obs, obsm={}, var_names=pd.Index(NAMES), layers={"half": x / 2})


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csc_array, np.asarray])
def test_cells_are_rows_and_variables_columns(kind: Any) -> None:
    data = from_anndata(cells(kind(X)), y=[0, 1] * 30)
    assert data.columns == tuple(NAMES)
    assert torch.allclose(data.test.x[:], from_arrays(X, [0, 1] * 30).test.x, atol=1e-6)


def test_a_layer_takes_the_place_of_x() -> None:
    one, other = (from_anndata(cells(scipy.sparse.csr_matrix(X)), n) for n in (None, "half"))
    assert np.array(other.transform.mean) == pytest.approx(np.array(one.transform.mean) / 2)  # type: ignore[union-attr]


def test_a_column_of_obs_names_the_batches() -> None:
    data = from_anndata(cells(scipy.sparse.csr_matrix(X)), batch_key="batch")
    assert data.batch_names == ("a", "b")
    for split in (data.train, data.val, data.test):
        assert torch.equal(split.batch_label, split.index % 2)  # type: ignore[arg-type,operator]


def test_results_are_written_beside_the_cells() -> None:
    adata = cells(scipy.sparse.csr_matrix(X))
    mixture = DeepMixture(n_components=2, max_epochs=0, random_state=0).fit(adata.X)
    codes, proba = mixture.transform(adata.X), mixture.predict_proba(adata.X)
    to_anndata(adata, codes=codes, responsibilities=proba)
    assert np.array_equal(adata.obsm["X_mixvae"], codes)
    assert np.array_equal(adata.obsm["mixvae_responsibilities"], proba)
    assert adata.obs["mixvae_component"].tolist() == mixture.predict(adata.X).tolist()
    with pytest.raises(MixvaeError, match="a row for each of 60 cells"):
        to_anndata(adata, codes=codes[:5])


def test_what_is_not_there_is_refused() -> None:
    adata = cells(scipy.sparse.csr_matrix(X))
    with pytest.raises(MixvaeError, match="unknown layer 'hal'"):
        from_anndata(adata, "hal")
    with pytest.raises(MixvaeError, match="unknown column of obs 'bath'"):
        from_anndata(adata, batch_key="bath")
    with pytest.raises(MixvaeError, match="expected an AnnData object"):
        from_anndata(X)

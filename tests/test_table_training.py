"""Training of the deep mixture for tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

import mixvae
from mixvae.data.dataset import Dataset, Split
from mixvae.initialization.gaussian_mixture import Mixture

START = {"covariance": "tied", "reg_covar": 1e-3}


def table(x: np.ndarray, n_val: int) -> Dataset:
    rows = np.random.default_rng(0).permutation((x - x.mean(0)) / x.std(0))
    parts = [Split(torch.from_numpy(part).float()) for part in np.split(rows, [n_val, 2 * n_val])]
    return Dataset("table", train=parts[2], val=parts[0], test=parts[1])


def test_the_start_is_kept_where_training_gains_nothing(tmp_path: Path):
    data = table(load_iris().data, n_val=30)
    recipe = mixvae.build("mfa-vae", data, seed=0, n_components=2, n_latent=3, **START)
    options: dict[str, Any] = {"max_epochs": 3, "batch_size": 30, "lr": 1.0, "precision": "32"}
    run = mixvae.fit(
        recipe, data, out=tmp_path / "run", seed=0, progress=False, pictures=False, **options
    )
    mixture = Mixture(2, "tied").fit(data.train.x.double().numpy())
    expected = mixture.score_samples(data.val.x.double().numpy())
    values = [row["val/objective"] for row in run.history]
    assert values[0] == pytest.approx(expected.mean(), abs=1e-3)
    assert max(values) == values[0]
    with torch.no_grad():
        found = run.recipe.model.eval()(data.val.x).log_weight[0]
    np.testing.assert_allclose(found, expected, atol=1e-2)

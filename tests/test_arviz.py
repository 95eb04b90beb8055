"""Draws of a run as ArviZ's InferenceData, against the library's own figures."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import mixvae
from cases import FLAT, KINDS, Case
from mixvae.data import Standardization, Transform
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.evaluation.batches import responsibilities
from mixvae.export import to_arviz
from mixvae.run import DATA, Run, write_json

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    arviz = pytest.importorskip("arviz")
AS_STORED = {"transform": {"scale": 1.0}}
pytestmark = pytest.mark.usefixtures("unchecked")


def run_of(case: Case, folder: Path, described: dict[str, object]) -> tuple[Run, Split]:
    recipe = case.build()
    recipe.model.eval()
    write_json(folder / DATA, described)
    x = case.data()
    return Run(folder, recipe), Split(x, case.labels(x), torch.arange(10, 10 + len(x)))


def test_draws_have_names_and_the_moments_of_the_posterior(tmp_path: Path) -> None:
    described = {"transform": Transform(255.0).to_dict()}
    run, data = run_of(Case("mixture-vae", {"shared_layers": True}), tmp_path, described)
    found = to_arviz(run, data, n_draws=4000)
    assert isinstance(found, arviz.InferenceData)
    model, x = run.recipe.model, data.x
    code = found.posterior.code
    assert code.dims == ("chain", "draw", "row", "component", "latent")
    assert code.row.values.tolist() == list(range(10, 16))
    q_z = model.infer(x)[0]
    np.testing.assert_allclose(code.mean(("chain", "draw")), q_z.mean.detach(), atol=0.1)
    np.testing.assert_allclose(code.std(("chain", "draw")), q_z.stddev.detach(), rtol=0.1)
    r = responsibilities(model, x)
    share = [(found.posterior.component_index == k).mean(("chain", "draw")) for k in range(3)]
    np.testing.assert_allclose(np.stack(share, 1), r, atol=0.04)
    np.testing.assert_allclose(found.constant_data.responsibilities, r, rtol=1e-5)
    np.testing.assert_allclose(found.observed_data.x, 255 * x)
    predicted = found.posterior_predictive.x
    assert set(np.unique(predicted)) <= {0.0, 255.0}
    weight = found.sample_stats.log_weight.values[0]
    estimate = np.log(np.exp(weight).mean(0))  # what the description says
    own = log_likelihood(model, x, 3000)
    np.testing.assert_allclose(estimate, own.log_prob, atol=0.2)
    assert "not log p(x)" in found.log_likelihood.x.attrs["description"]
    mean = arviz.summary(found, var_names=["code"])["mean"]
    assert len(mean) == 6 * 3 * 2


def test_a_table_has_its_columns_and_units(tmp_path: Path) -> None:
    numbers = {"mean": (5.0,) * 11 + (7.0,), "scale": (2.0,) * 11 + (0.0,)}
    columns = tuple(f"c{i}" for i in range(12))
    transform = Standardization(columns, constant=(False,) * 11 + (True,), **numbers)
    case = Case("mfa-vae", {}, (11,))
    run, data = run_of(case, tmp_path, {"transform": transform.to_dict()})
    found = to_arviz(run, data, n_draws=500)
    assert found.observed_data.x.column.values.tolist() == list(columns)
    np.testing.assert_allclose(found.observed_data.x[:, :11], 2 * data.x + 5, rtol=1e-6)
    assert (found.posterior_predictive.x[..., 11] == 7).all()
    own = log_likelihood(run.recipe.model, data.x, 2000).log_prob - 11 * np.log(2)
    weight = found.sample_stats.log_weight.values[0]
    np.testing.assert_allclose(np.log(np.exp(weight).mean(0)), own, atol=0.4)


@pytest.mark.parametrize(
    "case",
    [
        Case("mvae", {"conditional": True, "n_classes": 3}),
        Case("dlgmm"),
        Case("wae-mmd"),
        Case("vae", {"likelihood": "cross-entropy"}),
        Case("mfa-vae", {"columns": KINDS}, FLAT),
    ],
    ids=str,
)
def test_models_of_other_families(case: Case, tmp_path: Path) -> None:
    run, data = run_of(case, tmp_path, AS_STORED)
    found = to_arviz(run, data, n_draws=4)
    has_density = case.recipe != "wae-mmd" and "likelihood" not in case.options
    assert ("log_likelihood" in found.groups()) == has_density
    assert ("y" in found.observed_data) == bool(case.options.get("conditional"))
    again = to_arviz(run, data, n_draws=4)
    assert found.posterior.equals(again.posterior)
    assert found.posterior_predictive.x.shape == (1, 4, *data.x.shape)


def test_without_arviz_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = run_of(Case("vae"), tmp_path, AS_STORED)
    with pytest.raises(MixvaeError, match="n_draws"):
        to_arviz(run, data, n_draws=0)
    with pytest.raises(MixvaeError, match="one split"):
        to_arviz(run, data.x)  # type: ignore[arg-type]
    monkeypatch.setattr("mixvae.export.inference_data.find_spec", lambda name: None)
    with pytest.raises(MixvaeError, match=r"pip install 'mixvae\[arviz\]'"):
        mixvae.export.to_arviz(run, data)

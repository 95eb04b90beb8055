"""Tables on the command line, from a .csv file to clusters, log p(x) and new rows."""

import json
import re
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from sklearn.datasets import load_wine

import mixvae
from mixvae import MixvaeError
from mixvae.cli import main
from mixvae.data import Standardization
from mixvae.evaluation import component_health
from mixvae.evaluation.data_units import in_data_units
from mixvae.likelihoods import bits_per_dim, likelihood
from mixvae.report import table
from mixvae.training.precision import chosen_precision

TRAIN = ["train", "mfa-vae", "--label-column", "class", "--n-components", "3", "--hidden", "8"]
START = ["--covariance", "diag", "--reg-covar", "0.01", "--max-epochs", "1", "--progress", "false"]
TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorials" / "cluster_a_table.md"
BLOCKS = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def frame() -> pandas.DataFrame:
    wine = load_wine(as_frame=True)
    return wine.data.assign(**{"class": wine.target_names[wine.target]})


@pytest.fixture(scope="module")
def run(tmp_path_factory, frame) -> Path:
    folder = tmp_path_factory.mktemp("table")
    frame.to_csv(folder / "wine.csv", index=False)
    out = folder / "run"
    assert main([*TRAIN, *START, "--data", str(folder / "wine.csv"), "--out", str(out)]) == 0
    return out


def test_a_run_ends_with_pictures_of_columns(run):
    pictures = {path.name for path in run.glob("*.png") if not path.name.startswith("log_")}
    expected = {"codes.png", "curves.png", "weights.png"}
    assert pictures == expected | {"marginals.png", "pairs.png", "profiles.png"}
    assert json.loads((run / "training.json").read_text())["precision"] == "32"


def test_bounds_and_log_p_are_shown_in_both_units_without_bits(run, frame, capsys):
    assert main(["evaluate", str(run), "--log-likelihood", "20", "--out", str(run / "m.json")]) == 0
    text, metrics = capsys.readouterr().out, json.loads((run / "m.json").read_text())
    assert "columns standardised" in text
    assert text.count("in the units of the data") == 2
    assert not re.search("pixel|image|SSE|bits", text)
    transform = mixvae.load(run).transform
    shift = np.log(np.array(transform.scale)).sum()
    units = metrics["data_units"]
    assert units["elbo"] == pytest.approx(metrics["bounds"]["elbo"] - shift)
    assert units["log_likelihood"] == pytest.approx(metrics["log_likelihood"]["mean"] - shift)
    assert "bits_per_dim" not in metrics["log_likelihood"]
    arrays = np.load(next(run.glob("log_likelihood*.npz")))
    np.testing.assert_allclose(arrays["log_prob_data_units"], arrays["log_prob"] - shift)


def test_log_p_in_the_units_of_the_data_is_that_of_the_stored_density():
    scale = (10.0, 0.1)
    one = Standardization(("a", "b"), (1.0, 2.0), scale, (False, False))
    stored = torch.tensor([[13.0, 2.05]])
    x = one.apply(stored.numpy())
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum().item()
    expected = torch.distributions.Normal(torch.tensor([1.0, 2.0]), torch.tensor(scale))
    found = in_data_units({"log_likelihood": {"mean": log_p, "bits_per_dim": 3.0}}, one)
    own = expected.log_prob(stored).sum().item()
    assert found["data_units"]["log_likelihood"] == pytest.approx(own, abs=1e-4)
    assert "bits_per_dim" not in found["log_likelihood"]


def test_an_unreliable_estimate_is_marked_in_both_units():
    estimate = {"mean": -3.0, "mean_error": 0.1, "reliable": False, "k_hat_above": 0.5}
    estimate |= {"n_samples": 200, "ess_mean": 2.0, "ess_min": 1.0}
    units = {"log_scale": 1.0, "log_likelihood": -4.0}
    text = table({"bounds": {}, "log_likelihood": estimate, "data_units": units})
    line = next(line for line in text.splitlines() if "units of the data" in line)
    assert "UNRELIABLE" in line


def test_samples_are_rows_of_the_data_with_the_likelihoods_noise(run, frame):
    out = run / "new.csv"
    assert main(["sample", str(run), "--n", "2000", "--out", str(out)]) == 0
    new, old = pandas.read_csv(out), frame.drop(columns="class")
    assert list(new.columns) == list(old.columns)
    error = 5 * old.std() / np.sqrt(len(old))
    assert ((new.mean() - old.mean()).abs() < error).all()
    assert (np.abs(np.log(new.std() / old.std())) < 0.25).all()
    array = run / "new.npy"
    assert main(["sample", str(run), "--n", "2000", "--out", str(array)]) == 0
    np.testing.assert_allclose(np.load(array), new, rtol=1e-6)


def test_codes_have_the_rows_numbers(run, frame):
    out = run / "clusters.csv"
    assert main(["encode", str(run), "--split", "all", "--out", str(out)]) == 0
    found = pandas.read_csv(out)
    assert found["row"].tolist() == list(range(len(frame)))
    weights = found.filter(regex=r"^weight_")
    assert (weights.to_numpy().argmax(1) == found["cluster"]).all()
    assert found["label"].tolist() == pandas.factorize(frame["class"], sort=True)[0].tolist()
    assert main(["reconstruct", str(run), "--n", "5", "--out", str(out)]) == 0
    rows = pandas.read_csv(out)
    assert rows["row"].isin(range(len(frame))).all()
    near = (rows.drop(columns="row") - frame.iloc[rows["row"], :-1].reset_index(drop=True)).abs()
    assert (near.mean() < 1.5 * frame.iloc[:, :-1].std()).all()


@pytest.mark.parametrize(
    ("command", "lines", "first"),
    [
        (["interpolate", "--n", "2", "--steps", "3"], 6, ["step", "pair"]),
        (["interpolate", "--n", "2", "--crossed"], 36, ["crossed", "step", "pair"]),
        (["traverse", "--steps", "4"], 12, ["component", "value"]),
        (["cross", "--n", "2"], 18, ["row", "code", "decoder"]),
    ],
)
def test_decoded_codes_are_rows_in_the_units_of_the_data(run, frame, command, lines, first):
    out = run / "decoded.csv"
    assert main([command[0], str(run), *command[1:], "--out", str(out)]) == 0
    found = pandas.read_csv(out)
    assert len(found) == lines
    assert list(found.columns) == [*first, *frame.columns[:-1]]
    assert found["proline"].between(0, 3000).all()


def test_pictures_of_a_tables_samples_are_refused(run, capsys):
    assert main(["sample", str(run), "--out", str(run / "new.png")]) == 2
    assert "a .csv or .npy" in capsys.readouterr().err


def test_precision_is_float32_for_tables_unless_asked_for():
    cpu = torch.device("cpu")
    assert chosen_precision("auto", cpu, is_table=True) == "32"
    assert chosen_precision("bf16", cpu, is_table=True) == "bf16"


def test_real_values_have_no_bits_per_dimension():
    with pytest.raises(MixvaeError, match="no bits per dimension"):
        bits_per_dim(-3.0, likelihood("normal", (2,)))


def test_a_factor_analyser_without_loadings_is_neither_dead_nor_collapsed():
    model = mixvae.build("mfa-vae", (2,), n_components=3, hidden=[4], seed=0).model
    linear = model.decoder.branch.linear
    loadings = torch.zeros_like(linear.loadings)
    means = torch.tensor([[-5.0, 0.0], [5.0, 0.0], [0.0, 50.0]])
    linear.start_from(means, loadings, torch.ones(3, 2))
    for network in (model.decoder.branch.residual, model.posterior.residual):
        network.start_at_zero()
    x = torch.cat([torch.randn(95, 2) - torch.tensor([5.0, 0.0]), means[[1]].repeat(5, 1)])
    health = component_health(model, x)
    assert health.active_units.tolist() == [0, 0, 0]
    assert health.share[1] < 0.1  # of an even share of 1/3, and alive as it has some x
    assert (health.dead, health.collapsed) == ([2], [])
    assert "most responsible component for no x" in health.warning()


@pytest.mark.filterwarnings("ignore::mixvae.errors.MixvaeWarning")
def test_the_tutorials_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    for block in BLOCKS:
        if "mixture." not in block and "adjusted_rand" not in block:
            exec(block.replace("max_epochs=30", "max_epochs=2"), scope)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        *("profiles.png", "marginals.png", "pairs.png")
    }
    assert scope["new"].shape == (100, 13)
    assert len(scope["cluster"]) == len(scope["log_p"]) == 178


@pytest.mark.filterwarnings("ignore::mixvae.errors.MixvaeWarning")
def test_the_tutorials_estimator_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    for block in BLOCKS[:5]:
        exec(block.replace("random_state=0", "random_state=0, max_epochs=2"), scope)
    assert len(scope["cluster"]) == len(scope["log_p"]) == 178
    assert scope["new"].shape == (100, 13)


def test_the_tutorial_has_its_blocks():
    assert len(BLOCKS) == 10

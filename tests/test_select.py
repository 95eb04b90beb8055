"""From a run to its chosen components: the log, the smaller run, the command line."""

import json

import pytest
import torch

import mixvae
from mixvae import data
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.evaluation import selection
from mixvae.run import Run, save_weights

QUICK = {"batch_size": 128, "progress": False, "pictures": False, "accelerator": "cpu"}
LINE = "train mvae-gs --data digits --n-components 3 --n-latent 2 --hidden 8 --max-epochs 2"
LINE += " --accelerator cpu --subset 256"


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits").subset(256)


@pytest.fixture
def run(digits, tmp_path) -> Run:
    """Three components, of which training is made to drop the first."""
    torch.manual_seed(0)
    recipe = mixvae.build("mvae-gs", digits, n_components=3, n_latent=2, hidden=8)
    run = mixvae.fit(recipe, digits, out=tmp_path / "run", max_epochs=2, **QUICK)
    run.recipe.model.dropout.logits.data[0] = 5.0
    save_weights(run.recipe, run.folder)
    return run


def test_the_log_has_the_rates_and_the_numbers_chosen_by_epoch(run):
    history = mixvae.load(run.folder).history
    for row in history:
        rates = [row[f"val/rate_{k}"] for k in range(3)]
        assert all(0 < rate < 1 for rate in rates)
        assert row["val/kept"] == 3
        assert 2.5 < row["val/selected"] < 3
    assert history[0]["val/rate_0"] != history[1]["val/rate_0"]


def test_selection_says_what_the_rates_choose(run):
    found = selection(run.recipe.model)
    assert found["kept"] == [1, 2]
    assert found["n_kept"] == 2
    assert found["rate"][0] == pytest.approx(torch.tensor(5.0).sigmoid().item())
    assert 1 < found["n_selected"] < 2.1
    with pytest.raises(MixvaeError, match="no component dropout"):
        selection(mixvae.build("mvae", (1, 3, 4)).model)


def test_a_dropped_component_is_not_called_dead(run, digits):
    health = mixvae.evaluation.component_health(run.recipe.model, digits.test.x)
    assert health.dropped == [0]
    assert 0 not in health.dead
    assert health.share[0] == 0


def test_a_run_is_pruned_into_a_run_of_its_own(run, digits):
    whole = mixvae.load(run.folder).recipe.model
    small = mixvae.select(run.folder, digits, progress=False, pictures=False)
    assert small.folder == run.folder / "pruned"
    assert small.metrics["pruned_from"] == {"recipe": "mvae-gs", "n_components": 3, "kept": [1, 2]}
    loaded = mixvae.load(small.folder)
    assert loaded.recipe.name == "mvae"
    x = digits.test.x
    torch.testing.assert_close(loaded.recipe.model.reconstruct(x), whole.reconstruct(x))
    assert loaded.metrics["best_epoch"] is None
    with pytest.raises(MixvaeError, match="never overwritten"):
        mixvae.select(run.folder, digits, progress=False, pictures=False)


def test_a_pruned_run_is_trained_on_if_that_is_asked_for(run, digits, tmp_path):
    small = mixvae.select(
        run.folder,
        digits,
        keep=[0, 2],
        finetune_epochs=2,
        out=tmp_path / "small",
        **{key: QUICK[key] for key in ("progress", "pictures", "accelerator")},
    )
    assert [row["epoch"] for row in small.history] == [0, 1, 2]
    assert {row["phase"] for row in small.history} == {"fine-tuning"}
    assert small.metrics["pruned_from"]["kept"] == [0, 2]
    plain = mixvae.prune(run.recipe, [0, 2]).model
    moved = small.recipe.model.state_dict()
    assert any(not torch.equal(w, moved[name]) for name, w in plain.state_dict().items())


@pytest.mark.slow
def test_train_prunes_in_the_end(tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*LINE.split(), "--out", str(out), "--prune", "--finetune-epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"run: {out}\n" in printed
    assert f"run: {out / 'pruned'}\n" in printed
    assert json.loads((out / "pruned/recipe.json").read_text())["recipe"] == "mvae"
    assert main(["evaluate", str(out / "pruned")]) == 0
    assert main(["train", "--config", str(out / "pruned/config.yaml"), "--max-epochs", "1"]) == 0


def test_finetuning_without_pruning_is_an_error(tmp_path, capsys):
    assert main([*LINE.split(), "--out", str(tmp_path / "r"), "--finetune-epochs", "1"]) == 2
    assert "--finetune-epochs needs --prune" in capsys.readouterr().err


def test_select_prunes_later(tmp_path, capsys):
    out, small = tmp_path / "run", tmp_path / "small"
    assert main([*LINE.split(), "--out", str(out)]) == 0
    assert main(["select", str(out), "--keep", "0", "2", "--out", str(small)]) == 0
    assert json.loads((small / "recipe.json").read_text())["options"]["n_components"] == 2
    assert main(["select", str(out), "--keep", "7"]) == 2
    assert "must be in 0 ... 2" in capsys.readouterr().err
    assert main(["select"]) == 2
    assert "name a run folder" in capsys.readouterr().err

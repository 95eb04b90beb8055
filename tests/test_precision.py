"""Which precision a run is trained in."""

import pytest
import torch

import mixvae
from mixvae.nn import linear as products
from mixvae.training import precision
from mixvae.training.precision import chosen_precision, cpu_gain
from mixvae.training.settings import Settings

QUICK = {"batch_size": 64, "pictures": False, "progress": False, "max_epochs": 1}


@pytest.fixture(scope="module")
def digits():
    return mixvae.data.load("digits")


def recipe(digits):
    torch.manual_seed(0)
    return mixvae.build("vae", digits, hidden=(16,), n_latent=2)


@pytest.mark.parametrize(("gain", "expected"), [(4.6, "bf16"), (1.1, "32"), (0.2, "32")])
def test_auto_is_bfloat16_where_the_processor_gains_by_it(gain, expected, monkeypatch):
    monkeypatch.setattr(precision, "cpu_gain", lambda: gain)
    assert chosen_precision("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize("asked", ["32", "bf16", "16"])
def test_what_is_asked_for_is_not_measured(asked, monkeypatch):
    monkeypatch.setattr(precision, "cpu_gain", lambda: pytest.fail("measured"))
    assert chosen_precision(asked, torch.device("cpu")) == asked


def test_the_gain_is_a_ratio_of_two_times():
    assert 0.01 < cpu_gain() < 100


@pytest.mark.parametrize("gain", [0.5, 5.0])
def test_a_run_remembers_what_was_chosen(digits, tmp_path, gain, monkeypatch):
    monkeypatch.setattr(precision, "cpu_gain", lambda: gain)
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "r", accelerator="cpu", **QUICK)
    assert Settings.load(run.folder).precision == ("bf16" if gain > 1 else "32")


@pytest.mark.parametrize("chosen", ["32", "bf16"])
@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_in_every_precision(digits, tmp_path, chosen, algorithm):
    made = recipe(digits)
    before = {name: w.clone() for name, w in made.model.state_dict().items()}
    options = {"precision": chosen, "clip_by": algorithm, "clip": 1e-12}
    mixvae.fit(made, digits, out=tmp_path / "r", **options, **QUICK)
    for name, w in made.model.state_dict().items():
        # Far below Adam's epsilon a step is that much smaller; unclipped ones are of 0.001 each.
        torch.testing.assert_close(w, before[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("quicker", [True, False])
def test_a_resumed_run_takes_the_float32_library_that_it_began_with(
    quicker, digits, tmp_path, monkeypatch
):
    """Whatever a measurement finds by then, and in all products, be they ever so small."""
    calls = []
    real = products.onednn
    monkeypatch.setattr(products, "MIN_OPERATIONS", 1)
    monkeypatch.setattr(products, "onednn", lambda *args: (calls.append(1), real(*args))[1])
    monkeypatch.setattr(products, "_found", [quicker])
    how = QUICK | {"precision": "32", "accelerator": "cpu"}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "r", **how)
    assert bool(calls) == quicker
    assert Settings.load(run.folder).float32_library == ("onednn" if quicker else "mkl")
    calls.clear()
    monkeypatch.setattr(products, "_found", [not quicker])
    mixvae.resume(run.folder, digits, max_epochs=2, progress=False, pictures=False)
    assert bool(calls) == quicker
    assert products._found == [not quicker]

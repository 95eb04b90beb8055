"""Training: what resumes, what stops, what is kept."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import mixvae
from mixvae import data
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate
from mixvae.evaluation.health import HealthMeter
from mixvae.objectives import Objective
from mixvae.recipes import BuiltRecipe
from mixvae.run import load, save_weights
from mixvae.training import NonFiniteError, TrainingState, callbacks, loop
from mixvae.training.batches import Batches, ShuffledBatches, even_batches
from mixvae.training.estimate import estimate
from mixvae.training.means import RunningMeans, with_sum
from mixvae.training.optimizers import half_cosine

SMALL = {"n_components": 3, "n_latent": 2, "hidden": (8, 8)}
QUICK = {"batch_size": 128, "progress": False, "pictures": False, "accelerator": "cpu"}
ONE_EPOCH = QUICK | {"max_epochs": 1}


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits", binarize="dynamic").subset(512)


def recipe(dataset: data.Dataset, name: str = "m-vae", seed: int = 0) -> BuiltRecipe:
    torch.manual_seed(seed)
    hidden = {"hidden": 8} if name.startswith("mvae") else {}
    return mixvae.build(name, dataset, **SMALL | hidden)


def last(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    return checkpoint["model"]


def epochs(run: Any, phase: str = "main") -> list[int]:
    """Those in a run's history."""
    return [int(row["epoch"]) for row in run.history if row["phase"] == phase]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# -- few data


def few(n_val: int, n_test: int) -> data.Dataset:
    x = torch.rand(40, 1, 5, 4, generator=torch.Generator().manual_seed(1)).round().numpy()
    return data.from_arrays(x, val=x[:n_val], test=x[-n_test:], name="few")


@pytest.mark.parametrize("name", ["m-vae", "mvae-gs", "mixture-vae", "vae"])
def test_a_run_with_a_single_test_image_ends_with_figures_and_pictures(tmp_path, name):
    dataset = few(8, 1)
    options = SMALL | ({"hidden": 8} if name.startswith("mvae") else {})
    options |= {"start_epochs": 1} if name == "mixture-vae" else {}
    options = {k: v for k, v in options.items() if k in mixvae.recipes.options_of(name)}
    one = mixvae.build(name, dataset, **options)
    how = ONE_EPOCH | {"batch_size": 16, "pictures": True}
    run = mixvae.fit(one, dataset, out=tmp_path / "run", **how)
    assert run.metrics["n"] == 1
    assert run.metrics["bounds"]["elbo"] is not None
    assert (tmp_path / "run" / "reconstructions.png").exists()
    if name in ("m-vae", "mvae-gs"):
        assert run.metrics["bounds"]["objective/dhsic"] is None
        assert "single row" in run.metrics["bounds"]["objective_note"]


@pytest.mark.parametrize(("n_val", "batch_size"), [(1, 16), (8, 1), (3, 2)])
def test_penalties_on_batches_of_one_row_are_refused_before_a_folder_is_made(
    tmp_path, n_val, batch_size
):
    how = ONE_EPOCH | {"batch_size": batch_size, "out": tmp_path / "run"}
    with pytest.raises(MixvaeError, match=r"1 row: dhsic needs at least two.* or beta_dhsic=0"):
        mixvae.fit(recipe(few(n_val, 4)), few(n_val, 4), **how)
    assert not (tmp_path / "run").exists()


# -- resuming


@pytest.mark.parametrize("name", ["m-vae", "mixture-vae", "mvae-gs"])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(digits, tmp_path, name):
    options = QUICK | {"warmup_epochs": 3, "seed": 5, "clip": 1.0}
    mixvae.fit(recipe(digits, name), digits, out=tmp_path / "whole", max_epochs=5, **options)
    started = mixvae.fit(
        recipe(digits, name), digits, out=tmp_path / "cut", max_epochs=3, **options
    )
    resumed = mixvae.resume(
        started.folder, digits, max_epochs=5, progress=False, pictures=False, accelerator="cpu"
    )
    assert same(last(tmp_path / "whole"), last(tmp_path / "cut"))
    assert epochs(resumed) == [0, 1, 2, 3, 4, 5]
    whole, cut = (load(tmp_path / name).history for name in ("whole", "cut"))
    assert [row | {"seconds": 0} for row in whole] == [row | {"seconds": 0} for row in cut]


class PowerCut:
    """Raises after a number of steps in an epoch of a phase, counted from 1."""

    def __init__(self, epoch: int, phase: str = "main", batch: int = 1) -> None:
        self.at = (phase, epoch, batch)

    def on_step_end(self, state: TrainingState) -> None:
        if (state.phase, state.epoch + 1, state.batch) == self.at:
            raise RuntimeError("the power is gone")


def test_a_falling_learning_rate_ends_at_nothing_and_goes_on_from_where_it_was(digits, tmp_path):
    """And a mixture that was split from one VAE is not split again."""
    options = QUICK | {"lr_schedule": "cosine", "max_epochs": 4}
    mixvae.fit(recipe(digits, "mixture-vae"), digits, out=tmp_path / "whole", **options)
    cut = options | {"callbacks": [PowerCut(3)]}
    with pytest.raises(RuntimeError, match="the power is gone"):
        mixvae.fit(recipe(digits, "mixture-vae"), digits, out=tmp_path / "cut", **cut)
    mixvae.resume(tmp_path / "cut", digits, progress=False, pictures=False, accelerator="cpu")
    assert same(last(tmp_path / "whole"), last(tmp_path / "cut"))
    assert epochs(load(tmp_path / "cut"), "vae") == list(range(1, 25))
    checkpoint = torch.load(tmp_path / "whole/checkpoints/last.ckpt", weights_only=True)
    optimizer = checkpoint["optimizer"]
    assert optimizer["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-12)


def test_a_learning_rate_falls_along_half_a_cosine():
    assert [half_cosine(step, n_steps=4) for step in range(5)] == pytest.approx(
        [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0]
    )
    assert half_cosine(9, n_steps=4) == pytest.approx(0)


def start(folder: Path) -> subprocess.Popen[str]:
    """A long run from the command line, once it has finished two epochs."""
    line = "train m-vae --data digits --binarize dynamic --n-components 3 --n-latent 2 --hidden 8 8"
    command = [sys.executable, "-m", "mixvae", *line.split(), "--max-epochs", "100000"]
    command += ["--accelerator", "cpu", "--out", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (folder / "log.csv").exists() or len(load_log(folder)) < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.time() < deadline
        time.sleep(0.02)
    return process


def load_log(folder: Path) -> list[str]:
    return (folder / "log.csv").read_text().splitlines()


def test_a_run_killed_at_once_resumes_to_the_weights_of_an_uninterrupted_one(tmp_path):
    killed = start(tmp_path / "killed")
    killed.kill()  # SIGKILL: nothing can be tidied
    killed.communicate()
    checkpoint = torch.load(tmp_path / "killed/checkpoints/last.ckpt", weights_only=True)
    n_epochs = checkpoint["epoch"] + 2
    dataset = data.load("digits", binarize="dynamic")
    quick = {"progress": False, "pictures": False, "accelerator": "cpu"}
    mixvae.resume(tmp_path / "killed", dataset, max_epochs=n_epochs, **quick)
    mixvae.fit(recipe(dataset), dataset, out=tmp_path / "whole", max_epochs=n_epochs, **quick)
    assert same(last(tmp_path / "killed"), last(tmp_path / "whole"))


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path):
    process = start(tmp_path / "run")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"mixvae train --resume {tmp_path / 'run'}" in errors
    assert "Traceback" not in errors
    dataset = data.load("digits", binarize="dynamic")
    done = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["epoch"]
    run = mixvae.resume(
        tmp_path / "run", dataset, max_epochs=done + 1, progress=False, pictures=False
    )
    assert epochs(run)[-1] == done + 1


class CtrlC:
    """Stops the training as Ctrl-C does, in the middle of its first epoch."""

    def on_step_end(self, state: TrainingState) -> None:
        if state.step == 2:
            raise KeyboardInterrupt


def test_there_is_a_checkpoint_before_the_first_epoch_ends(digits, tmp_path):
    options = QUICK | {"max_epochs": 1}
    with pytest.raises(KeyboardInterrupt):
        mixvae.fit(recipe(digits), digits, out=tmp_path / "run", callbacks=[CtrlC()], **options)
    mixvae.resume(tmp_path / "run", digits, progress=False, pictures=False, accelerator="cpu")
    mixvae.fit(recipe(digits), digits, out=tmp_path / "whole", **options)
    assert same(last(tmp_path / "run"), last(tmp_path / "whole"))


def test_nothing_stays_of_a_run_that_diverges_in_its_first_epoch(digits, tmp_path):
    with pytest.raises(NonFiniteError, match="Last good checkpoint: none yet"):
        fit_with_a_nan(digits, tmp_path / "runs" / "run", step=1)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(NonFiniteError):
        fit_with_a_nan(digits, tmp_path / "mine", step=1)
    assert list((tmp_path / "mine").iterdir()) == []


def test_an_epochs_health_is_of_the_first_batches_of_validation_data(digits, tmp_path, monkeypatch):
    """As many as hold the rows that it asks for; the bound is of all."""
    n_val, batch = len(digits.val), 16
    assert n_val > 4 * batch
    monkeypatch.setattr("mixvae.training.validation.HEALTH_ROWS", 2 * batch - 3)
    one = recipe(digits)
    how = QUICK | {"max_epochs": 1, "batch_size": batch, "precision": "32"}
    run = mixvae.fit(one, digits, out=tmp_path / "run", **how)
    shown = evaluate(run.recipe, digits.val, n_test=n_val)
    meter = HealthMeter()
    with torch.no_grad():
        first = torch.cat(list(even_batches(n_val, batch)[:2]))
        meter.add(run.recipe.model.eval(), digits.val.x[first])
    health = meter.pop(run.recipe.model)
    for k, (kl, sse) in enumerate(zip(health.kl, health.sse_alone, strict=True)):
        assert run.history[1][f"val/kl_z_{k}"] == pytest.approx(float(kl), rel=1e-3)
        assert run.history[1][f"val/sse_alone_{k}"] == pytest.approx(float(sse), rel=1e-3)
    assert run.history[1]["val/elbo"] == pytest.approx(shown["bounds"]["elbo"], abs=0.5)


def test_resuming_refuses_other_data_and_a_finished_run(digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", max_epochs=1, **QUICK)
    with pytest.raises(MixvaeError, match="started on other data"):
        mixvae.resume(run.folder, digits.subset(400))
    with pytest.raises(MixvaeError, match="has had 1 epochs"):
        mixvae.resume(run.folder, digits)


def test_a_run_cut_after_its_last_epoch_is_finished_without_training(digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", max_epochs=2, **QUICK)
    weights = run.folder / "model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    mixvae.resume(run.folder, digits, progress=False, pictures=False, accelerator="cpu")
    assert weights.read_bytes() == before
    assert epochs(load(run.folder)) == [0, 1, 2]


class Exploit:
    def __reduce__(self):
        return os.system, ("touch exploited",)


@pytest.mark.parametrize("damage", ["truncated", "pickle", "missing"])
def test_resuming_refuses_a_damaged_checkpoint_and_runs_no_code(
    digits, tmp_path, monkeypatch, damage
):
    monkeypatch.chdir(tmp_path)
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", max_epochs=1, **QUICK)
    checkpoint = run.folder / "checkpoints/last.ckpt"
    if damage == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    elif damage == "pickle":
        checkpoint.write_bytes(pickle.dumps(Exploit()))
    else:
        checkpoint.unlink()
    with pytest.raises(MixvaeError, match=r"last\.ckpt"):
        mixvae.resume(run.folder, digits, max_epochs=2)
    assert not (tmp_path / "exploited").exists()


def test_resuming_refuses_another_recipes_checkpoint(digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", max_epochs=1, **QUICK)
    other = mixvae.fit(
        recipe(digits, "mixture-vae"), digits, out=tmp_path / "other", max_epochs=1, **QUICK
    )
    name = "checkpoints/last.ckpt"
    (run.folder / name).write_bytes((other.folder / name).read_bytes())
    with pytest.raises(MixvaeError, match="the weights of another recipe than m-vae"):
        mixvae.resume(run.folder, digits, max_epochs=2)


# -- what is watched, kept and logged


def fit_with_a_nan(dataset: data.Dataset, folder: Path, step: int, **options: Any) -> None:
    """Train with a penalty that is NaN from a step on (counted from 0)."""
    made = recipe(dataset)
    calls = iter(range(10**9))

    def spoiled(trace):
        value = trace.z.square().mean()
        return value * float("nan") if trace.z.requires_grad and next(calls) >= step else value

    made = BuiltRecipe(
        **{**vars(made), "objective": Objective(made.objective.bound, {"spoiled": spoiled})}
    )
    mixvae.fit(made, dataset, out=folder, max_epochs=3, **QUICK | options)


@pytest.mark.parametrize("every", [2, 3, 4, 50])  # in epochs of 4 steps
def test_a_look_now_and_then_finds_the_same_step_before_anything_is_saved(
    every, digits, tmp_path, monkeypatch
):
    """As on an accelerator, where a look has to wait."""
    monkeypatch.setitem(loop.CHECK_EVERY, "cpu", every)
    with pytest.raises(NonFiniteError, match=r"spoiled term .* step 7 \(epoch 2 "):
        fit_with_a_nan(digits, tmp_path / "run", step=6)
    assert all(w.isfinite().all() for w in last(tmp_path / "run").values())


def test_a_non_finite_term_stops_training_with_its_name_step_and_last_checkpoint(digits, tmp_path):
    with pytest.raises(NonFiniteError, match=r"spoiled term .* step 7 \(epoch 2 ") as error:
        fit_with_a_nan(digits, tmp_path / "run", step=6)
    assert str(tmp_path / "run/checkpoints/last.ckpt") in str(error.value)
    assert all(w.isfinite().all() for w in last(tmp_path / "run").values())
    assert len(load_log(tmp_path / "run")) == 3  # the header, the beginning, the epoch before


def test_the_log_says_which_kl_scale_each_epoch_ended_with(digits, tmp_path):
    run = mixvae.fit(
        recipe(digits), digits, out=tmp_path / "r", max_epochs=3, warmup_epochs=2, **QUICK
    )
    assert [row["kl_scale"] for row in run.history] == [0.0, 0.5, 1.0, 1.0]
    assert [row["step"] for row in run.history] == [0, 4, 8, 12]


def test_no_weights_from_the_warm_up_are_kept_and_no_patience_is_spent_in_it(
    digits, tmp_path, monkeypatch
):
    """The objective falls from epoch to epoch: the best after the warm-up is its last epoch."""
    values = iter(range(0, -100, -1))
    monkeypatch.setattr(loop, "validate", lambda *_: ({"objective": float(next(values))}, None))
    run = mixvae.fit(
        recipe(digits),
        digits,
        out=tmp_path / "r",
        max_epochs=20,
        warmup_epochs=4,
        patience=2,
        **QUICK,
    )
    assert run.metrics["best_epoch"] == 4
    assert epochs(run)[-1] == 4 + 2


def test_of_equal_epochs_the_first_is_the_best_and_patience_is_counted_from_it(
    digits, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "validate", lambda *_: ({"objective": 1.0}, None))
    how = {"max_epochs": 9, "patience": 2}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "r", **how, **QUICK)
    assert run.metrics["best_epoch"] == 0
    assert epochs(run)[-1] == 2


def test_validation_uses_the_objective_at_its_final_weights_whatever_the_warm_up(digits, tmp_path):
    made = recipe(digits)
    seen = {True: set(), False: set()}

    def recorded(trace, kl_scale=1.0):
        seen[torch.is_grad_enabled()].add(kl_scale)
        return made.objective.bound(trace, kl_scale)

    changed = BuiltRecipe(**{**vars(made), "objective": Objective(recorded)})
    mixvae.fit(changed, digits, out=tmp_path / "r", max_epochs=2, warmup_epochs=2, **QUICK)
    assert seen == {True: {n / 8 for n in range(1, 9)}, False: {1.0}}


def test_logged_terms_add_up_to_the_logged_objective(digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "r", max_epochs=2, **QUICK)
    for row in run.history[1:]:
        terms = [row[f"train/{name}"] for name in ("log_lik", "kl_z", "kl_w", "dhsic")]
        assert row["train/objective"] == pytest.approx(sum(terms), abs=1e-4)


def test_the_best_epochs_weights_are_the_ones_kept(digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "r", max_epochs=3, **QUICK)
    best = torch.load(run.folder / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == run.metrics["best_epoch"]
    assert same(load(run.folder).recipe.model.state_dict(), best["model"])
    assert same(run.recipe.model.state_dict(), best["model"])
    assert not any(module.training for module in run.recipe.model.modules())


def test_bfloat16_trains_and_keeps_float32_weights(digits, tmp_path):
    run = mixvae.fit(
        recipe(digits), digits, out=tmp_path / "r", max_epochs=2, precision="bf16", **QUICK
    )
    assert run.history[2]["val/objective"] > run.history[1]["val/objective"]
    assert all(w.dtype == torch.float32 for w in run.recipe.model.state_dict().values())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_training_comes_to_what_it_does_without(tmp_path):
    """In a process of its own, as the checks of shapes that tests switch on are no part of it."""
    line = "train m-vae --data digits --binarize dynamic --n-components 2 --hidden 8 --max-epochs 2"
    found = {}
    for flag in ("false", "true"):
        command = [
            sys.executable,
            "-m",
            "mixvae",
            *line.split(),
            "--subset",
            "256",
            "--compile",
            flag,
        ]
        command += ["--pictures", "false", "--precision", "32", "--out", str(tmp_path / flag)]
        subprocess.run(command, check=True, capture_output=True)
        found[flag] = load(tmp_path / flag)
    plain, compiled = (run.history[-1]["val/objective"] for run in found.values())
    assert compiled == pytest.approx(plain, abs=1.0)


def test_where_nothing_can_be_compiled_no_run_is_begun(digits, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1 ...")

    monkeypatch.setattr(torch, "compile", lambda _: fails)
    with pytest.raises(MixvaeError, match=r"\(No working C\+\+ compiler found\). Install a C\+\+"):
        mixvae.fit(recipe(digits), digits, out=tmp_path / "run", compile=True, **ONE_EPOCH)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("unchecked")
def test_kernels_are_made_in_the_mode_asked_for(digits, tmp_path, monkeypatch):
    modes = []

    def compiled(function, mode=None):
        modes.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    for i, chosen in enumerate((False, True, "reduce-overhead")):
        mixvae.fit(recipe(digits), digits, out=tmp_path / f"{i}", compile=chosen, **ONE_EPOCH)
    assert modes == [None, None, None, "reduce-overhead"]  # each tried first, on something small
    with pytest.raises(MixvaeError, match="compile 'fast'"):
        mixvae.fit(recipe(digits), digits, out=tmp_path / "3", compile="fast", **ONE_EPOCH)
    assert not (tmp_path / "3").exists()


def test_the_bar_is_drawn_by_the_clock(digits, tmp_path, monkeypatch):
    """At an epoch's first step and last, and in between where time has passed."""
    clock, drawn = [100.0], []

    class Slow:
        def on_step_end(self, _):
            clock[0] += 0.4 * callbacks.REDRAWN

    class Seen(callbacks.Bar):
        def terms(self, state):
            drawn.append(state.batch)
            return super().terms(state)

    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    how = ONE_EPOCH | {"batch_size": 36, "callbacks": [Slow(), Seen()]}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    assert sorted(set(drawn)) == [1, 4, 7, 10, 13, 14]


ONE_GRAPH = """
import sys
from functools import partial
import torch, mixvae, mixvae.training.fitting
from torch._dynamo.utils import counters

torch.compile = partial(torch.compile, backend="eager", fullgraph=True)
mixvae.training.fitting.check_compiler = lambda *_: None  # which makes a graph too
data = mixvae.data.load("digits", binarize="dynamic")
for name in sys.argv[2:]:
    how = {"max_epochs": 2, "warmup_epochs": 2, "progress": False, "pictures": False}
    recipe = mixvae.build(name, data)
    counters.clear()
    mixvae.fit(recipe, data, out=f"{sys.argv[1]}/{name}", compile=True, precision="bf16", **how)
    assert counters["stats"]["unique_graphs"] == 1, (name, counters)
"""


@pytest.mark.slow
def test_objectives_compile_as_one_graph(tmp_path):
    """Whether or not anything has looked up the KLs before, and once for the whole warm-up."""
    names = ["vae", "m-vae", "mvae-gs", "gmmp-vae", "dlgmm"]
    subprocess.run([sys.executable, "-c", ONE_GRAPH, str(tmp_path), *names], check=True)


def test_training_leaves_the_callers_random_state_alone(digits, tmp_path):
    made = recipe(digits)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    mixvae.fit(made, digits, out=tmp_path / "r", max_epochs=1, **QUICK)
    assert torch.equal(torch.rand(3), expected)


def test_tensorboard_files_lie_in_the_run_folder(digits, tmp_path):
    run = mixvae.fit(
        recipe(digits), digits, out=tmp_path / "r", max_epochs=1, logger="tensorboard", **QUICK
    )
    assert list((run.folder / "tensorboard").glob("events*"))


def test_two_processes_share_one_run_folder(tmp_path):
    line = "train m-vae --data digits --binarize dynamic --max-epochs 2 --no-pictures"
    if "--no-pictures" not in help_of("train"):
        line = line.replace("--no-pictures", "--pictures false")
    options = "--devices 2 --accelerator cpu --strategy ddp --hidden 8 8 --n-latent 2"
    command = [sys.executable, "-m", "mixvae", *line.split(), *options.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [f.name for f in (tmp_path / "runs").iterdir()] == ["m-vae-digits-001"]
    assert epochs(load(tmp_path / "runs/m-vae-digits-001")) == [0, 1, 2]


def help_of(command: str) -> str:
    line = [sys.executable, "-m", "mixvae", command, "--help"]
    return subprocess.run(line, capture_output=True, text=True).stdout


# -- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 600}, "batch_size 600 is larger than the 512"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"max_epochs": 0}, "max_epochs must be at least 1"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"clip": -1.0}, "clip must be positive"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"warmup_epochs": 9}, r"warmup_epochs \(9\) must not exceed max_epochs"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"logger": "tensorbord"}, "Did you mean 'tensorboard'"),
        ({"accelerator": "abacus"}, "unknown accelerator 'abacus'.*cpu"),
        ({"devices": 0}, "devices must be a number from 1 or 'auto'; got 0"),
        ({"devices": "cuda"}, "devices must be a number from 1 or 'auto'; got 'cuda'"),
        ({"strategy": "fsdp"}, "unknown strategy 'fsdp'.*ddp"),
        ({"max_epoch": 1}, "unknown argument of fit 'max_epoch'. Did you mean 'max_epochs'"),
        ({"no_such_option": 1}, "unknown argument of fit 'no_such_option'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(digits, tmp_path, options, message):
    with pytest.raises(MixvaeError, match=message):
        mixvae.fit(
            recipe(digits), digits, out=tmp_path / "r", **QUICK | {"max_epochs": 1} | options
        )
    assert not (tmp_path / "r").exists()


def nothing_by_name(trace, kl_scale):
    return trace.z.sum()


def a_missing_key(trace, kl_scale):
    return {"z": {"a": trace.z}["b"]}


def a_term_for_every_component(trace, kl_scale):
    return {"z": trace.z.sum((0, -1))}


def torch_refuses(trace, kl_scale):
    return {"z": trace.z @ torch.zeros(99, 99)}


def a_square(trace):
    return trace.z.square().mean()


@pytest.mark.parametrize(
    ("bound", "penalty", "message"),
    [
        (nothing_by_name, None, "its bound must give terms by name; got a Tensor"),
        (a_missing_key, None, "KeyError: 'b'"),
        (a_term_for_every_component, None, r"the term z must be of shape \(8,\); got \(8, 3\)"),
        (torch_refuses, None, "RuntimeError: "),
        (None, lambda trace: trace.z.mean(0), r"the penalty own must be of shape \(\); got \(8, 3"),
        (None, lambda trace: 0.0, r"the penalty own must be of shape \(\); got float"),
    ],
)
def test_an_objective_that_fails_is_refused_by_its_recipes_name_before_a_folder_is_made(
    bound, penalty, message, digits, tmp_path
):
    made = recipe(digits)
    penalties = {} if penalty is None else {"own": penalty}
    objective = Objective(bound or made.objective.bound, penalties)
    changed = BuiltRecipe(**{**vars(made), "objective": objective})
    expected = f"the objective of the recipe m-vae cannot be computed on .* 8 rows: {message}"
    with pytest.raises(MixvaeError, match=expected):
        mixvae.fit(changed, digits, out=tmp_path / "r", **ONE_EPOCH)
    assert not (tmp_path / "r").exists()


def several_rows(trace):
    if trace.z.shape[1] < 2:
        raise IndexError("no second row")
    return trace.z.mean()


def test_batches_of_one_row_are_refused_only_for_penalties_that_cannot_take_them(tmp_path):
    dataset = few(1, 4)
    made = mixvae.build("m-vae", dataset, beta_dhsic=0, n_components=2, hidden=(4,))

    def fit(penalty):
        objective = Objective(made.objective.bound, {"own": penalty})
        one = BuiltRecipe(**{**vars(made), "objective": objective})
        how = ONE_EPOCH | {"batch_size": 16}
        return mixvae.fit(one, dataset, out=tmp_path / penalty.__name__, **how)

    with pytest.raises(MixvaeError, match=r"1 row: IndexError: no second row.* a larger") as error:
        fit(several_rows)
    assert "dhsic" not in str(error.value)
    assert fit(a_square).metrics["n"] == 4


def test_grey_levels_are_refused_by_the_bernoulli_likelihood(tmp_path):
    grey = data.load("digits")
    made = mixvae.build("vae", grey, likelihood="bernoulli", hidden=(8,))
    with pytest.raises(MixvaeError, match="needs pixels that are 0 or 1"):
        mixvae.fit(made, grey, out=tmp_path / "r", max_epochs=1, **QUICK)
    assert not (tmp_path / "r").exists()


def test_a_recipe_for_another_shape_is_refused(digits, tmp_path):
    with pytest.raises(MixvaeError, match=r"built for x of shape \(1, 28, 28\)"):
        mixvae.fit(mixvae.build("vae", (1, 28, 28)), digits, out=tmp_path / "r", **QUICK)


# -- parts


def test_every_row_comes_once_an_epoch_and_processes_share_them():
    world = [ShuffledBatches(100, 10, seed=1, rank=rank, world=2) for rank in range(2)]
    rows = torch.cat([torch.cat(list(batches)) for batches in world])
    assert len(rows) == 100
    assert sorted(rows.tolist()) == list(range(100))


def test_the_order_depends_on_seed_and_epoch_alone():
    a, b = ShuffledBatches(50, 10, seed=1), ShuffledBatches(50, 10, seed=1, epoch=3)
    assert not torch.equal(torch.cat(list(a)), torch.cat(list(b)))
    a.epoch = 3
    assert torch.equal(torch.cat(list(a)), torch.cat(list(b)))
    other = ShuffledBatches(50, 10, seed=2, epoch=3)
    assert not torch.equal(torch.cat(list(other)), torch.cat(list(b)))


def test_even_batches_hold_every_row_and_leave_no_remnant():
    x = torch.arange(101.0).unsqueeze(1)
    batches = list(Batches(x, None, even_batches(101, 50)))
    assert [len(batch.x) for batch in batches] == [34, 34, 33]
    assert torch.equal(torch.cat([batch.x for batch in batches]), x)
    assert all(batch.y is None for batch in batches)


def test_labels_stay_with_their_rows():
    x, y = torch.arange(100.0).unsqueeze(1), torch.arange(100)
    for order, size in ((ShuffledBatches(100, 30, seed=0), 30), (even_batches(100, 30), 25)):
        batches = Batches(x, y, order)
        assert len(batches) == len(list(batches))
        for batch in batches:
            assert torch.equal(batch.x.squeeze(1).long(), batch.y)
            assert len(batch.y) == size


@pytest.mark.parametrize(("room", "there"), [(5000, True), (4000, False)])
def test_data_go_to_a_gpu_with_room_for_them_and_nowhere_else(room, there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (room, 2 * room))
    monkeypatch.setattr(torch.Tensor, "to", lambda t, *where, **how: t + 1 if there else None)
    x, y, gpu = torch.zeros(100), torch.zeros(10), torch.device("cuda")
    on_it = Batches(x, y, [torch.tensor([0])], gpu)
    assert (on_it.x is not x, on_it.y is not y) == (there, there)
    for home in (None, torch.device("cpu")):
        assert Batches(x, y, [], home).x is x


def test_means_are_over_rows_and_start_afresh():
    means = RunningMeans()
    assert (means.latest(), means.pop(), with_sum({})) == ({}, {}, {})
    means.add(("a", "b"), torch.tensor([1.0, 0.1]), 1)
    means.add(("a", "b"), torch.tensor([3.0, 0.5]), 3)
    assert means.latest() == {"a": 3.0, "b": 0.5}
    assert with_sum(means.pop()) == pytest.approx({"objective": 2.9, "a": 2.5, "b": 0.4})
    means.add(("a",), torch.tensor([7.0]), 2)
    assert means.pop() == {"a": 7.0}


def test_an_estimate_leaves_model_and_random_state_as_they_were(digits):
    made = recipe(digits)
    before = {name: w.clone() for name, w in made.model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    told = estimate(made, digits.train.x, batch_size=128, epochs=2)
    assert torch.equal(torch.rand(1), expected)
    assert same(before, made.model.state_dict())
    assert told.n_parameters == sum(p.numel() for p in made.model.parameters())
    assert told.weights == 16 * told.n_parameters  # float32: weight, gradient, two moments
    assert told.seconds_per_epoch > 0
    assert told.activations > 128 * 64 * 4  # the batch itself at least


def test_saved_weights_come_back_bit_for_bit(digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "r", max_epochs=1, **QUICK)
    before = {name: w.clone() for name, w in run.recipe.model.state_dict().items()}
    save_weights(run.recipe, run.folder)
    assert same(before, load(run.folder).recipe.model.state_dict())

"""The training loop: phases, what is told of them, what resumes, and how many may train at once."""

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import mixvae
from mixvae import data
from mixvae.cli import main
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.recipes.recipe import Recipe
from mixvae.seeding import seed_of
from mixvae.training import TrainingState, callbacks
from mixvae.training.batches import ShuffledBatches

QUICK: dict[str, Any] = {"progress": False, "pictures": False, "accelerator": "cpu"}
FULL = QUICK | {
    "batch_size": 50,
    "max_epochs": 4,
    "warmup_epochs": 3,
    "lr_schedule": "cosine",
    "clip": 1.0,
    "seed": 3,
    "precision": "32",
}
N_BATCHES = 9  # of an epoch
SMALL = {
    "vae": {"hidden": (8,)},
    "mixture-vae": {"hidden": (8,), "n_components": 3, "start_epochs": 3},
    "vade": {"hidden": (8,), "n_clusters": 3, "start_epochs": 3},
}


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits", binarize="dynamic").subset(460)


def recipe(digits: data.Dataset, name: str = "vae", **chosen: Any) -> Recipe:
    torch.manual_seed(0)
    return mixvae.build(name, digits, n_latent=2, **SMALL.get(name, {}) | chosen)


def checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
    return kept


def equal(a: Any, b: Any) -> bool:
    """Whether two checkpoints are the same, but for the seconds in their histories."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def same(a: Path, b: Path) -> bool:
    """Weights, the optimizer's state, the history: all that two runs have come to."""
    return all(equal(checkpoint(a, name), checkpoint(b, name)) for name in ("last", "best"))


class Cut:
    """The power goes after a number of steps in an epoch of a phase."""

    def __init__(self, phase: str, epoch: int, batch: int = 2) -> None:
        self.at = (phase, epoch, batch)

    def on_step_end(self, state: TrainingState) -> None:
        if (state.phase, state.epoch + 1, state.batch) == self.at:
            raise KeyboardInterrupt


class Stop:
    """Asks to stop after an epoch of a phase."""

    def __init__(self, epoch: int, phase: str = "main") -> None:
        self.at = (phase, epoch)

    def on_epoch_end(self, state: TrainingState) -> None:
        state.stop = (state.phase, state.epoch) == self.at


class Seen:
    """What a callback was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.epochs: list[tuple[str, int]] = []
        self.steps: list[int] = []

    def on_fit_start(self, state: TrainingState) -> None:
        self.calls.append("start")

    def on_step_end(self, state: TrainingState) -> None:
        self.steps.append(state.step)

    def on_epoch_end(self, state: TrainingState) -> None:
        self.epochs.append((state.phase, state.epoch))
        assert state.history[-1]["epoch"] == state.epoch

    def on_fit_end(self, state: TrainingState) -> None:
        self.calls.append("end")


def cut(made: Recipe, digits: data.Dataset, out: Path, at: Cut, **how: Any) -> None:
    """Train until the power goes."""
    with pytest.raises(KeyboardInterrupt):
        mixvae.fit(made, digits, out=out, callbacks=[at], **how)


# -- steps


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_weights_are_those_of_a_plain_loop(precision, digits, tmp_path):
    """Warm-up, a falling rate, clipping and the noise of each step included, bit for bit."""
    made, own, step = recipe(digits), recipe(digits), 0
    optimizer = torch.optim.Adam(own.model.parameters(), 1e-3, fused=True)
    for epoch in range(4):
        for i, rows in enumerate(ShuffledBatches(460, 50, 3, epoch=epoch)):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / (4 * N_BATCHES)))
            step += 1
            torch.manual_seed(seed_of(3, 1, 0, epoch, i))
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                x, weight = torch.bernoulli(digits.train.x[rows]), step / (3 * N_BATCHES)
                terms = own.objective(own.model, x, min(1.0, weight))
            (-torch.stack(list(terms.values())).sum()).backward()
            torch.nn.utils.clip_grad_norm_(own.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    mixvae.fit(made, digits, out=tmp_path / "run", **FULL | {"precision": precision})
    assert equal(checkpoint(tmp_path / "run")["model"], dict(own.model.state_dict()))


# -- phases

SHORT = FULL | {"max_epochs": 2, "warmup_epochs": 1}


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory) -> Callable[[str], Path]:
    """Runs that nothing interrupted, by recipe."""
    runs: dict[str, Path] = {}

    def find(name: str) -> Path:
        if name not in runs:
            runs[name] = tmp_path_factory.mktemp("whole") / "run"
            mixvae.fit(recipe(digits, name), digits, out=runs[name], **SHORT)
        return runs[name]

    return find


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("mixture-vae", Cut("vae", 1, 1)),
        ("mixture-vae", Cut("vae", 3)),
        ("mixture-vae", Cut("gate", 1, 4)),
        ("mixture-vae", Cut("main", 1)),
        ("vade", Cut("autoencoder", 2)),
        ("vade", Cut("main", 2)),
    ],
)
def test_every_phase_resumes_to_what_the_uninterrupted_run_comes_to(
    name, at, whole, digits, tmp_path
):
    cut(recipe(digits, name), digits, tmp_path / "cut", at, **SHORT)
    before = checkpoint(tmp_path / "cut")
    assert (before["phase"], before["epoch"] + 1) == at.at[:2]
    torch.manual_seed(99)  # the model is built afresh, of other first weights
    mixvae.resume(tmp_path / "cut", digits, **QUICK)
    assert same(whole(name), tmp_path / "cut")


def test_a_run_killed_before_its_own_training_resumes_there(digits, tmp_path):
    """By SIGKILL: nothing can be tidied."""
    line = "train mixture-vae --data digits --binarize dynamic --subset 256 --n-components 3"
    line += " --n-latent 2 --hidden 8 --start-epochs 200 --max-epochs 1 --precision 32"
    line += " --accelerator cpu --pictures false --out"
    command = [sys.executable, "-m", "mixvae", *line.split()]
    log = tmp_path / "killed" / "log.csv"
    process = subprocess.Popen([*command, str(log.parent)], stderr=subprocess.DEVNULL)
    while not log.exists() or len(log.read_text().splitlines()) < 14:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert checkpoint(log.parent)["phase"] == "vae"
    assert 13 <= checkpoint(log.parent)["epoch"] < 200
    assert main(["train", "--resume", str(log.parent), "--progress", "false"]) == 0
    assert main([*command[3:], str(tmp_path / "whole"), "--progress", "false"]) == 0
    assert same(tmp_path / "whole", log.parent)


def test_a_run_resumes_after_a_phase_was_over_and_before_the_next_began(
    whole, digits, tmp_path, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr("mixvae.initialization.split.clusters", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mixvae.fit(recipe(digits, "mixture-vae"), digits, out=tmp_path / "cut", **SHORT)
    mixvae.resume(tmp_path / "cut", digits, **QUICK)
    assert same(whole("mixture-vae"), tmp_path / "cut")


def test_the_history_the_callbacks_and_the_lines_name_every_phase(digits, tmp_path, capsys):
    seen = Seen()
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0, "progress": True, "callbacks": seen}
    run = mixvae.fit(recipe(digits, "mixture-vae"), digits, out=tmp_path / "run", **how)
    expected = [*(("vae", n) for n in (1, 2, 3)), ("gate", 1), ("main", 0), ("main", 1)]
    assert seen.epochs == expected
    assert [(row["phase"], row["epoch"]) for row in run.history] == expected
    assert [(row["phase"], row["epoch"]) for row in mixvae.load(run.folder).history] == expected
    assert seen.calls == ["start", "end"]
    told = capsys.readouterr().err
    assert "for 3 of the phase vae" in told
    assert "for 1 of the phase gate" in told
    for line in ("vae, epoch 2 of 3  train/objective", "gate, epoch 1 of 1", "main, epoch 1 of 1"):
        assert line in told


def test_phases_before_training_have_a_panel_of_the_curves_each(whole, tmp_path, monkeypatch):
    numbers, panels = [], mixvae.plots.history.panels

    def counted(n, *sizes, **named):
        numbers.append(n)
        return panels(n, *sizes, **named)

    monkeypatch.setattr(mixvae.plots.history, "panels", counted)
    history = mixvae.load(whole("mixture-vae")).history
    mixvae.plots.curves(history, tmp_path / "all.png")
    mixvae.plots.curves([r for r in history if r["phase"] == "main"], tmp_path / "main.png")
    assert numbers[0] == numbers[1] + 2


def test_a_nan_before_training_stops_the_run_and_names_the_phase(digits, tmp_path):
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0, "lr": 1e30, "clip": None}
    with pytest.raises(MixvaeError, match=r"not finite at step .* of the phase vae"):
        mixvae.fit(recipe(digits, "mixture-vae"), digits, out=tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()  # it came in the first epoch: nothing is worth keeping


def test_gradients_are_clipped_before_training_too(digits, tmp_path):
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0, "clip": 1e-12, "optimizer": "sgd"}
    weights = []

    class Weights:
        def on_fit_start(self, state: TrainingState) -> None:
            weights.append([p.clone() for p in state.model.parameters()])

        def on_epoch_end(self, state: TrainingState) -> None:
            if state.phase == "autoencoder":
                weights.append([p.clone() for p in state.model.parameters()])

    mixvae.fit(recipe(digits, "vade"), digits, out=tmp_path / "run", callbacks=[Weights()], **how)
    for before, after in zip(weights[0], weights[-1], strict=True):
        torch.testing.assert_close(before, after, atol=1e-9, rtol=0)


# -- a good start, and the best epoch


def test_a_start_that_nothing_betters_is_kept_and_ends_the_patience(digits, tmp_path):
    made = recipe(digits)
    mixvae.fit(made, digits, out=tmp_path / "first", **FULL | {"max_epochs": 20})
    good = {name: w.clone() for name, w in made.model.state_dict().items()}
    worse = {"lr": 1.0, "patience": 2, "warmup_epochs": 0, "clip": None, "max_epochs": 9}
    run = mixvae.fit(made, digits, out=tmp_path / "second", **FULL | worse)
    assert run.metrics["best_epoch"] == 0
    assert run.metrics["epochs"] == 2
    assert [row["epoch"] for row in run.history] == [0, 1, 2]
    assert all(torch.equal(w, good[name]) for name, w in run.recipe.model.state_dict().items())


@pytest.mark.parametrize("place", ["moved", "copied"])
def test_a_run_resumed_elsewhere_comes_to_what_it_does_in_place(
    place, digits, tmp_path, monkeypatch
):
    """And the best epoch of before stays the best: the second part learns nothing."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    values = iter([9.0, 3.0, 5.0, 4.0, 2.0, 1.0] * 2)  # by epoch: the best after warm-up is 2
    real = mixvae.training.loop.validate
    monkeypatch.setattr(
        mixvae.training.loop,
        "validate",
        lambda *a: (real(*a)[0] | {"objective": next(values)}, None),
    )
    how = FULL | {"max_epochs": 3, "warmup_epochs": 1}
    mixvae.fit(recipe(digits), digits, out="run", **how)
    shutil.copytree("run", "stays")
    there = tmp_path / "b" / "elsewhere"
    there.parent.mkdir()
    (shutil.move if place == "moved" else shutil.copytree)("run", there)
    in_place = mixvae.resume("stays", digits, max_epochs=5, **QUICK)
    values = iter([2.0, 1.0])
    monkeypatch.chdir(there.parent)
    run = mixvae.resume("elsewhere", digits, max_epochs=5, **QUICK)
    assert in_place.metrics["best_epoch"] == run.metrics["best_epoch"] == 2
    assert same(tmp_path / "a/stays", there)
    assert (there / "model.safetensors").read_bytes() == (
        tmp_path / "a/stays/model.safetensors"
    ).read_bytes()


def test_a_run_that_patience_ended_says_so_and_goes_on_with_more(digits, tmp_path):
    how = FULL | {"patience": 1, "lr": 1.0, "warmup_epochs": 0, "clip": None, "max_epochs": 30}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    n = run.history[-1]["epoch"]
    assert n < 30
    with pytest.raises(MixvaeError, match=f"stopped early, after {n} epochs.*larger patience"):
        mixvae.resume(run.folder, digits, max_epochs=40, **QUICK)
    more = mixvae.resume(run.folder, digits, patience=5, max_epochs=n + 1, **QUICK)
    assert more.history[-1]["epoch"] == n + 1


def test_the_best_weights_are_kept_if_a_kill_came_between_the_two_checkpoints(digits, tmp_path):
    how = FULL | {"max_epochs": 2, "warmup_epochs": 0}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    assert checkpoint(tmp_path / "run")["history"][-1]["epoch"] == 2
    (tmp_path / "run/checkpoints/best.ckpt").unlink()
    (tmp_path / "run/model.safetensors").unlink()
    run = mixvae.resume(tmp_path / "run", digits, **QUICK)
    assert run.metrics["best_epoch"] == checkpoint(tmp_path / "run", "best")["epoch"] == 2


@pytest.mark.parametrize("damage", ["gone", "cut", "of another epoch"])
def test_a_best_checkpoint_is_never_another_epochs(damage, digits, tmp_path):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **FULL | {"warmup_epochs": 0})
    (run.folder / "model.safetensors").unlink()
    content, best = checkpoint(run.folder), run.folder / "checkpoints/best.ckpt"
    content["history"][-1]["val/objective"] = -1e9  # an earlier epoch is the best
    torch.save(content, run.folder / "checkpoints/last.ckpt")
    if damage == "gone":
        best.unlink()
    elif damage == "cut":
        best.write_bytes(best.read_bytes()[:500])
    with pytest.raises(MixvaeError, match=r"best\.ckpt"):
        mixvae.resume(run.folder, digits, **QUICK)


@pytest.mark.parametrize("damage", ["gone", "of another epoch"])
def test_a_best_checkpoint_that_is_not_the_runs_is_refused_before_training_goes_on(
    damage, digits, tmp_path
):
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **FULL | {"warmup_epochs": 0})
    content, best = checkpoint(run.folder), run.folder / "checkpoints/best.ckpt"
    content["history"][-1]["val/objective"] = -1e9  # an earlier epoch is the best
    torch.save(content, run.folder / "checkpoints/last.ckpt")
    if damage == "gone":
        best.unlink()
    before = content_of(run.folder)
    with pytest.raises(MixvaeError, match=r"best\.ckpt"):
        mixvae.resume(run.folder, digits, max_epochs=6, **QUICK)
    assert content_of(run.folder) == before


def test_a_run_whose_recipe_was_removed_stops_at_once_and_not_with_a_result_that_cannot_be_loaded(
    digits, tmp_path
):
    class Remover(mixvae.training.Callback):
        def on_epoch_end(self, state):
            (state.folder / "recipe.json").unlink(missing_ok=True)

    with pytest.raises(FileNotFoundError, match=r"lost its recipe\.json"):
        mixvae.fit(recipe(digits), digits, out=tmp_path / "run", callbacks=[Remover()], **FULL)


def content_of(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- callbacks and loggers


def test_a_callback_is_told_of_every_step_and_stays_as_it_is(digits, tmp_path, capsys):
    mine = [Seen()]
    mixvae.fit(recipe(digits), digits, out=tmp_path / "several", callbacks=mine, **FULL)
    assert mine[0].steps == list(range(1, 4 * N_BATCHES + 1))
    assert len(mine) == 1
    assert capsys.readouterr().out == capsys.readouterr().err == ""


def test_a_callback_ends_training_and_the_best_epoch_so_far_is_kept(digits, tmp_path):
    how = FULL | {"warmup_epochs": 0, "callbacks": Stop(2)}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    assert [row["epoch"] for row in run.history] == [0, 1, 2]
    assert run.metrics["best_epoch"] in (1, 2)
    mixvae.resume(run.folder, digits, **QUICK)
    mixvae.fit(recipe(digits), digits, out=tmp_path / "whole", **FULL | {"warmup_epochs": 0})
    assert same(run.folder, tmp_path / "whole")


def test_a_run_stopped_before_any_weights_are_kept_says_how_to_go_on(digits, tmp_path):
    how = FULL | {"callbacks": [Stop(2, "vae")]}
    with pytest.raises(MixvaeError, match=r"stopped in epoch 2 of the phase vae.*--resume"):
        mixvae.fit(recipe(digits, "mixture-vae"), digits, out=tmp_path / "run", **how)
    assert mixvae.resume(tmp_path / "run", digits, **QUICK).history[-1]["epoch"] == 4


def test_the_example_of_pruning_by_optuna_works(digits, tmp_path):
    """It is the docstring's, with a trial that is Optuna's in what it is asked."""
    lines = (callbacks.Callback.__doc__ or "").splitlines()
    code = "\n".join(line.strip()[4:] for line in lines if line.strip()[:3] in (">>>", "..."))
    scope: dict[str, Any] = {}
    exec(code, scope)

    class Trial:
        def __init__(self) -> None:
            self.reported: list[int] = []

        def report(self, value: float, step: int) -> None:
            assert value < 0
            self.reported.append(step)

        def should_prune(self) -> bool:
            return len(self.reported) == 3

    trial = Trial()
    how = FULL | {"warmup_epochs": 0, "callbacks": [scope["OptunaPruning"](trial)]}
    mixvae.fit(recipe(digits, "vade"), digits, out=tmp_path / "run", **how)
    assert trial.reported == [0, 1, 2]


class Logger:
    """What a Lightning logger is asked."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.ended = ""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.settings = params

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.rows.append((step, metrics))

    def finalize(self, status: str) -> None:
        self.ended = status


def test_a_logger_is_told_the_settings_and_every_epochs_figures(digits, tmp_path):
    logger = Logger()
    how = FULL | {"max_epochs": 2, "warmup_epochs": 0, "logger": logger}
    run = mixvae.fit(recipe(digits, "vade"), digits, out=tmp_path / "run", **how)
    assert logger.settings["recipe"] == "vade"
    assert logger.settings["n_clusters"] == 3
    assert logger.settings["lr"] == 1e-3
    assert [step for step, _ in logger.rows] == [9, 18, 27, 0, 9, 18]
    assert "autoencoder/train/objective" in logger.rows[0][1]
    assert logger.rows[-1][1]["val/elbo"] == run.history[-1]["val/elbo"]
    assert logger.ended == "success"


def test_lightnings_own_loggers_are_told_too(digits, tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path / "log")
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0, "logger": [logger, "csv"]}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    assert "val/elbo" in (Path(logger.log_dir) / "metrics.csv").read_text()
    assert "n_latent: 2" in (Path(logger.log_dir) / "hparams.yaml").read_text()


class Misspelt:
    def on_train_epoch_end(self, state: TrainingState) -> None: ...


def lightnings(name: str) -> Any:
    from lightning.pytorch import callbacks as theirs

    options = {"EarlyStopping": {"monitor": "val/objective"}}
    options |= {
        "StochasticWeightAveraging": {"swa_lrs": 0.1},
        "ModelPruning": {"pruning_fn": "l1_unstructured"},
    }
    return getattr(theirs, name)(**options.get(name, {}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callbacks": object()}, "the callback object has none of the methods on_fit_start"),
        ({"callbacks": [Misspelt()]}, "'on_train_epoch_end'. Did you mean 'on_"),
        ({"logger": object()}, "needs the methods log_hyperparams"),
        (
            {"accumulate_grad_batches": 2},
            "accumulate_grad_batches is an option .* use accumulate",
        ),
        ({"gradient_clip_val": 1.0}, "use clip"),
        ({"fast_dev_run": True}, "use max_epochs=1 with data.subset"),
        ({"max_time": 0}, "use a callback that sets state.stop"),
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"average": "mean"}, "unknown average 'mean'"),
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'. Did you mean 'adam'"),
        ({"lr_schedule": "cosin"}, "unknown lr_schedule 'cosin'. Did you mean 'cosine'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_would_be_ignored_is_refused_before_a_folder_is_made(
    options, message, digits, tmp_path
):
    with pytest.raises(MixvaeError, match=message):
        mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **FULL | options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("EarlyStopping", "patience"),
        ("ModelCheckpoint", "best.ckpt and last.ckpt"),
        ("EMAWeightAveraging", "average='ema'"),
        ("StochasticWeightAveraging", "average='swa'"),
        ("ModelPruning", "mixvae.select"),
        ("TQDMProgressBar", "progress"),
        ("Timer", "on_epoch_end"),
    ],
)
def test_lightnings_callbacks_are_refused_with_what_is_in_their_place(
    name, instead, digits, tmp_path
):
    with pytest.raises(MixvaeError, match=f"{name} is a callback of Lightning's .*{instead}"):
        mixvae.fit(
            recipe(digits), digits, out=tmp_path / "run", callbacks=[lightnings(name)], **FULL
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("redrawn", [0.0, 1e9])
def test_the_bar_counts_batches_and_names_the_phase(redrawn, digits, tmp_path, monkeypatch):
    """The last look at an epoch is at its end."""
    drawn = []

    class Looked(callbacks.Bar):
        def terms(self, state: TrainingState) -> dict[str, str]:
            drawn.append((state.phase, self.bar.n, self.bar.total, self.bar.desc))
            return super().terms(state)

    monkeypatch.setattr(callbacks, "REDRAWN", redrawn)
    monkeypatch.setattr("mixvae.training.callbacks.Bar", Looked)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0, "progress": True}
    mixvae.fit(recipe(digits, "vade"), digits, out=tmp_path / "run", **how)
    main = [look[1:] for look in drawn if look[0] == "main"]
    expected = range(1, N_BATCHES + 1) if redrawn == 0 else [N_BATCHES]
    assert main == [(n, N_BATCHES, "main 1/1: ") for n in expected]
    assert {look[3] for look in drawn} == {
        *(f"autoencoder {n}/3: " for n in (1, 2, 3)),
        "main 1/1: ",
    }


# -- optimizers, schedules, averages


def test_gradients_of_several_batches_are_averaged_for_one_step(digits, tmp_path):
    """A third as many steps, of which the learning rate, the warm-up and the log know."""
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", accumulate=3, **FULL)
    assert [row["step"] for row in run.history] == [0, 3, 6, 9, 12]
    assert [row["kl_scale"] for row in run.history] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    groups = checkpoint(run.folder)["optimizer"]["param_groups"]
    assert groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_an_accumulated_gradient_is_the_mean_of_its_batches(digits, tmp_path, monkeypatch):
    grads: list[torch.Tensor] = []
    step = torch.optim.SGD.step

    def spied(self: Any, *args: Any) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"]]
        grads.append(torch.cat([p.grad.flatten() for p in parameters]))
        return step(self, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", spied)
    how = FULL | {"optimizer": "sgd", "lr": 1e-30, "max_epochs": 1, "warmup_epochs": 0}
    how |= {"clip": None, "lr_schedule": "constant"}
    for accumulate in (1, 2):
        out = tmp_path / str(accumulate)
        mixvae.fit(recipe(digits), digits, out=out, accumulate=accumulate, **how)
    torch.testing.assert_close(grads[N_BATCHES], (grads[0] + grads[1]) / 2)


def test_a_run_cut_among_accumulated_batches_goes_on(digits, tmp_path):
    how = FULL | {"accumulate": 2}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "whole", **how)
    cut(recipe(digits), digits, tmp_path / "cut", Cut("main", 3, 3), **how)
    mixvae.resume(tmp_path / "cut", digits, **QUICK)
    assert same(tmp_path / "whole", tmp_path / "cut")


def halved(step: int, n_steps: int) -> float:
    return 1.0 if step < n_steps // 2 else 0.5


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", torch.optim.RMSprop])
def test_optimizers_by_name_or_class_train_and_resume(optimizer, digits, tmp_path):
    how = FULL | {"optimizer": optimizer, "lr_schedule": halved}
    own = {"optimizer": optimizer, "lr_schedule": halved}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "whole", **how)
    cut(recipe(digits), digits, tmp_path / "cut", Cut("main", 3), **how)
    mixvae.resume(tmp_path / "cut", digits, **QUICK | own)
    assert same(tmp_path / "whole", tmp_path / "cut")
    rates = [row["lr"] for row in mixvae.load(tmp_path / "cut").history]
    assert rates == [1e-3, 1e-3, 5e-4, 5e-4, 5e-4]


def test_sgd_is_torchs_own(digits, tmp_path):
    """One step from the same gradient."""
    made = recipe(digits)
    how = FULL | {"optimizer": "sgd", "batch_size": 460, "max_epochs": 1, "warmup_epochs": 0}
    grads: list[list[torch.Tensor]] = []
    before = [p.detach().clone() for p in made.model.parameters()]
    after: list[list[torch.Tensor]] = []

    class Look:
        def on_epoch_end(self, state: TrainingState) -> None:
            after.append([p.detach().clone() for p in state.model.parameters()])

    step = torch.optim.SGD.step

    def spied(self: Any, *args: Any) -> Any:
        grads.append([p.grad.clone() for g in self.param_groups for p in g["params"]])
        return step(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", spied)
        mixvae.fit(made, digits, out=tmp_path / "run", callbacks=[Look()], **how)
    for w, g, w_1 in zip(before, grads[0], after[-1], strict=True):
        torch.testing.assert_close(w_1, w - 1e-3 * g)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a function that is not stored: give the same one again"),
        ({"lr_schedule": "cosine"}, "resuming it with cosine would be another run"),
        ({"lr_schedule": lambda step, n: 1.0}, "would be another run"),
        ({"lr_schedule": halved, "optimizer": "sgd"}, "started with optimizer=adam"),
        ({"lr_schedule": halved, "batch_size": 3}, "batch_size cannot be changed"),
        ({"lr_schedule": halved, "seed": 3}, "seed cannot be changed"),
        ({"lr_schedule": halved, "max_epoch": 3}, "Did you mean 'max_epochs'"),
    ],
)
def test_what_would_make_another_run_is_refused_on_resuming(given, message, digits, tmp_path):
    how = FULL | {"lr_schedule": halved, "max_epochs": 3}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    with pytest.raises(MixvaeError, match=message):
        mixvae.resume(tmp_path / "run", digits, max_epochs=4, **QUICK | given)


def test_a_partial_is_told_from_one_of_other_options(digits, tmp_path):
    of = lambda momentum: partial(torch.optim.SGD, momentum=momentum)
    how = FULL | {"max_epochs": 3, "optimizer": of(0.5)}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    with pytest.raises(MixvaeError, match=r"SGD\(momentum=0.5\); resuming it with"):
        mixvae.resume(tmp_path / "run", digits, max_epochs=4, optimizer=of(0.9), **QUICK)
    mixvae.resume(tmp_path / "run", digits, max_epochs=4, optimizer=of(0.5), **QUICK)


def test_rate_clip_and_patience_may_change_on_resuming(digits, tmp_path):
    how = FULL | {"lr_schedule": "constant"}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    changed = {"max_epochs": 6, "lr": 1e-5, "clip": 0.5, "patience": 9}
    again = mixvae.resume(run.folder, digits, **QUICK | changed)
    assert [row["lr"] for row in again.history[-2:]] == [1e-5, 1e-5]
    kept = mixvae.training.settings.Settings.load(run.folder)
    assert {name: getattr(kept, name) for name in changed} == changed


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"lr": 1e30, "clip": 1e30}, {"optimizer": list}])
def test_a_finished_run_that_cannot_go_on_stays_as_it_is(wrong, digits, tmp_path):
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    before = content_of(run.folder)
    with pytest.raises(MixvaeError):
        mixvae.resume(run.folder, digits, max_epochs=3, **QUICK | wrong)
    assert content_of(run.folder) == before
    assert mixvae.load(run.folder).complete


class Broken:
    """A callback that fails after an epoch."""

    def on_epoch_end(self, state):
        if state.epoch == 3:
            raise ValueError


def test_a_finished_run_that_went_on_for_an_epoch_before_it_failed_goes_on_to_the_new_end(
    digits, tmp_path
):
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0}
    run = mixvae.fit(recipe(digits), digits, out=tmp_path / "run", **how)
    with pytest.raises(ValueError):  # noqa: PT011
        mixvae.resume(run.folder, digits, max_epochs=4, callbacks=Broken(), **QUICK)
    with pytest.warns(MixvaeWarning):
        assert not mixvae.load(run.folder).complete
    more = mixvae.resume(run.folder, digits, **QUICK)
    assert more.history[-1]["epoch"] == 4


def test_an_optimizer_that_is_none_is_refused(digits, tmp_path):
    with pytest.raises(MixvaeError, match=r"must give a torch.optim.Optimizer.* gave a list"):
        mixvae.fit(
            recipe(digits),
            digits,
            out=tmp_path / "run",
            optimizer=lambda parameters, lr: list(parameters),
            **FULL,
        )


class Weights:
    """The weights after every step."""

    def __init__(self) -> None:
        self.each: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, state: TrainingState) -> None:
        self.each.append({k: v.detach().clone() for k, v in state.model.state_dict().items()})


def test_swa_keeps_the_mean_of_the_last_quarters_epochs(digits, tmp_path):
    weights, how = Weights(), FULL | {"max_epochs": 8, "lr_schedule": "constant"}
    run = mixvae.fit(
        recipe(digits), digits, out=tmp_path / "run", average="swa", callbacks=[weights], **how
    )
    assert run.metrics["best_epoch"] == 8
    late = [weights.each[n * N_BATCHES - 1] for n in (7, 8)]
    for name, kept in run.recipe.model.state_dict().items():
        torch.testing.assert_close(kept, torch.stack([w[name] for w in late]).mean(0))


def test_ema_follows_the_weights_as_defined(digits, tmp_path):
    weights, how = Weights(), FULL | {"lr_schedule": "constant"}
    run = mixvae.fit(
        recipe(digits), digits, out=tmp_path / "run", average="ema", callbacks=[weights], **how
    )
    first, *rest = weights.each[: run.metrics["best_epoch"] * N_BATCHES]
    mean = dict(first)
    for n, each in enumerate(rest, start=1):
        decay = min(0.999, (1 + n) / (10 + n))
        mean = {name: decay * mean[name] + (1 - decay) * each[name] for name in mean}
    for name, kept in run.recipe.model.state_dict().items():
        torch.testing.assert_close(kept, mean[name], atol=1e-5, rtol=1e-4)
    raw = checkpoint(run.folder)["model"]
    assert any(not torch.equal(raw[name], w) for name, w in mean.items())


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_averages_resume_exactly(average, digits, tmp_path):
    how = FULL | {"average": average, "max_epochs": 6}
    mixvae.fit(recipe(digits), digits, out=tmp_path / "whole", **how)
    cut(recipe(digits), digits, tmp_path / "cut", Cut("main", 6), **how)
    mixvae.resume(tmp_path / "cut", digits, **QUICK)
    assert same(tmp_path / "whole", tmp_path / "cut")
    assert isinstance(checkpoint(tmp_path / "cut")["average"], dict)


def test_float16_trains_and_its_scaler_resumes(digits, tmp_path):
    how = FULL | {"precision": "16"}
    whole = mixvae.fit(recipe(digits), digits, out=tmp_path / "whole", **how)
    cut(recipe(digits), digits, tmp_path / "cut", Cut("main", 3), **how)
    mixvae.resume(tmp_path / "cut", digits, **QUICK)
    assert same(tmp_path / "whole", tmp_path / "cut")
    assert checkpoint(tmp_path / "cut")["scaler"]["scale"] > 0
    assert whole.history[-1]["val/elbo"] > whole.history[0]["val/elbo"]

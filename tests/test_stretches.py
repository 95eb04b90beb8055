"""Steps in stretches, between which Lightning has its turn: the same as one by one."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler
from lightning.pytorch.loggers import CSVLogger

import mixvae
from mixvae import data
from mixvae.recipes import BuiltRecipe
from mixvae.training import callbacks, stretches, trainer
from mixvae.training.module import TrainingModule
from mixvae.training.stretches import STRETCH, Stretches, StretchModule

QUICK: dict[str, Any] = {"progress": False, "pictures": False, "accelerator": "cpu"}
FULL = QUICK | {
    "batch_size": 50,
    "max_epochs": 4,
    "warmup_epochs": 3,
    "lr_schedule": "cosine",
    "clip": 1.0,
    "seed": 3,
}
N_BATCHES = 9  # of an epoch


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits", binarize="dynamic").subset(460)


def recipe(digits: data.Dataset, name: str, **chosen: Any) -> BuiltRecipe:
    torch.manual_seed(0)
    return mixvae.build(name, digits, n_latent=2, **chosen)


class Looks(L.Callback):
    """At every batch; keeps how many steps Lightning has counted by then."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        self.seen.append(trainer.global_step)


class Epochs(L.Callback):
    """Keeps what kind of module it is told of at every epoch."""

    def __init__(self) -> None:
        self.seen: list[type] = []

    def on_train_epoch_start(self, _: L.Trainer, module: L.LightningModule) -> None:
        self.seen.append(type(module))


def checkpoint(folder: Path) -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    return kept


def same(a: Path, b: Path) -> bool:
    """Weights, Adam's moments and rate, and the history but for its seconds."""
    a, b = checkpoint(a), checkpoint(b)
    (adam_a,), (adam_b,) = a["optimizer_states"], b["optimizer_states"]
    assert adam_a["param_groups"] == adam_b["param_groups"]
    for x, y in zip(adam_a["state"].values(), adam_b["state"].values(), strict=True):
        assert all(torch.equal(x[name], y[name]) for name in x)
    for row, other in zip(a["history"], b["history"], strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}
    a, b = a["state_dict"], b["state_dict"]
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("stretch", [0.0, STRETCH, 1e9])
@pytest.mark.parametrize(
    ("name", "chosen", "precision"),
    [
        ("vae", {"hidden": (8,)}, "32"),
        ("vae", {"hidden": (8,)}, "16"),
        ("mvae", {"hidden": 8, "n_components": 3, "conditional": True}, "32"),
        ("mvae-gs", {"hidden": 8, "n_components": 3}, "bf16"),
    ],
)
def test_the_weights_are_those_of_steps_one_by_one(
    name, chosen, precision, stretch, digits, tmp_path, monkeypatch
):
    monkeypatch.setattr(stretches, "STRETCH", stretch)
    looks, epochs, how = Looks(), Epochs(), FULL | {"precision": precision}
    for out, callback in {"one by one": looks, "in stretches": epochs}.items():
        made = recipe(digits, name, **chosen)
        mixvae.fit(made, digits, out=tmp_path / out, callbacks=[callback], **how)
    assert epochs.seen == [StretchModule] * 4
    assert looks.seen == list(range(1, 4 * N_BATCHES + 1))
    assert same(tmp_path / "one by one", tmp_path / "in stretches")


class PowerCut(L.Callback):
    """Raises when the third epoch begins."""

    def on_train_epoch_start(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("the power is gone")


@pytest.mark.parametrize("way", ["one by one, then in stretches", "in stretches, then one by one"])
def test_a_run_goes_on_the_other_way(way, digits, tmp_path):
    """And the KL's weight rises on, and the learning rate falls on, as they did."""
    ways = [[Looks()], []] if way.startswith("one") else [[], [Looks()]]
    small = {"hidden": (8,)}
    mixvae.fit(recipe(digits, "vae", **small), digits, out=tmp_path / "whole", **FULL)
    cut = {"out": tmp_path / "cut", "callbacks": [PowerCut(), *ways[0]]}
    with pytest.raises(RuntimeError, match="the power is gone"):
        mixvae.fit(recipe(digits, "vae", **small), digits, **FULL | cut)
    mixvae.resume(tmp_path / "cut", digits, callbacks=[*ways[1]], **QUICK)
    assert same(tmp_path / "whole", tmp_path / "cut")


class Mine(L.Callback):
    """Looks at epochs alone."""

    def on_train_epoch_end(self, *_: object) -> None: ...


class Stopper(EarlyStopping):
    """Lightning's own, for all that is its user's."""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"callbacks": None}, True),
        ({"callbacks": Mine()}, True),
        ({"callbacks": [Mine(), Epochs()]}, True),
        ({"callbacks": [Mine(), Looks()]}, False),
        ({"callbacks": [Stopper("val/objective")]}, False),
        ({"callbacks": GradientAccumulationScheduler({0: 2})}, False),
        ({"accumulate_grad_batches": 2}, False),
        ({"limit_train_batches": 3}, False),
        ({"max_steps": 5}, False),
        ({"devices": 2, "strategy": "ddp"}, False),
    ],
)
def test_whoever_looks_at_single_steps_finds_them(options, expected):
    options = {"accelerator": "cpu"} | options
    given = {"callbacks": trainer.callbacks_of(options)}  # to which Lightning adds its own
    made = L.Trainer(logger=False, enable_checkpointing=False, **options | given)
    assert stretches.in_stretches(made, options, trainer.callbacks_of(options)) == expected


def test_a_logger_of_lightnings_is_told_of_single_steps(digits, tmp_path):
    epochs, logger = Epochs(), CSVLogger(tmp_path / "log")
    how = FULL | {"out": tmp_path / "run", "logger": logger, "callbacks": [epochs]}
    mixvae.fit(recipe(digits, "vae"), digits, **how | {"max_epochs": 1, "warmup_epochs": 0})
    assert epochs.seen == [TrainingModule]


def test_gradients_of_several_batches_are_accumulated(digits, tmp_path):
    """By Lightning: a third as many steps, of which the learning rate and the log know."""
    how = FULL | {"out": tmp_path / "run", "accumulate_grad_batches": 3}
    run = mixvae.fit(recipe(digits, "vae"), digits, **how)
    assert [row["step"] for row in run.history] == [3, 6, 9, 12]
    (adam,) = checkpoint(run.folder)["optimizer_states"]
    assert adam["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("stretch", [0.0, 1e9])
def test_the_bar_counts_batches(stretch, digits, tmp_path, monkeypatch):
    """As many as an epoch has, whoever takes how many at a time; the last look is at the end."""
    drawn = []

    class Seen(callbacks.Bar):
        def get_metrics(self, *args: Any) -> Any:
            drawn.append((self.train_progress_bar.n, self.train_progress_bar.total))
            return super().get_metrics(*args)

    monkeypatch.setattr(stretches, "STRETCH", stretch)
    monkeypatch.setattr(callbacks, "REDRAWN", 0.0)
    monkeypatch.setattr(trainer, "Bar", Seen)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0, "progress": True}
    mixvae.fit(recipe(digits, "vae"), digits, out=tmp_path / "run", **how)
    expected = range(1, N_BATCHES + 1) if stretch == 0 else [N_BATCHES]
    assert list(dict.fromkeys(drawn)) == [(n, N_BATCHES) for n in expected]


def test_a_users_callbacks_are_left_as_they_are_and_no_bar_is_drawn(digits, tmp_path, capsys):
    mine = [Mine()]
    how = FULL | {"max_epochs": 1, "warmup_epochs": 0}
    mixvae.fit(recipe(digits, "vae"), digits, out=tmp_path / "several", callbacks=mine, **how)
    mixvae.fit(recipe(digits, "vae"), digits, out=tmp_path / "one", callbacks=Mine(), **how)
    assert len(mine) == 1
    said = capsys.readouterr()
    assert said.out + said.err == ""


def test_stretches_have_no_length_and_end_with_the_epoch():
    order = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([4, 5])]
    loader = Stretches(torch.arange(6.0)[:, None], None, order)
    with pytest.raises(TypeError, match="not counted"):
        len(loader)
    for n_at_once in (1, 2, 3, 10):
        taken = []
        for stretch in loader:
            taken += [batch.x.flatten().tolist() for batch in islice(stretch, n_at_once)]
        assert taken == [[0, 1], [2, 3], [4, 5]]

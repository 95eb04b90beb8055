"""A data set knows its content, and a run knows whether its data have changed since training."""

import dataclasses
import json
import shutil
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch

import mixvae
from mixvae import MixvaeError, data
from mixvae.cli import main

TRAIN = ["--hidden", "8", "--n-latent", "2", "--batch-size", "8", "--max-epochs", "1"]
QUIET = ["--progress", "false", "--pictures", "false"]
FAST = {"max_epochs": 1, "batch_size": 8, "progress": False, "pictures": False}
CHANGED = "the data are not those the run was trained on"


def grey(seed: int = 0, n: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 4), dtype=np.float32)


def content(dataset: data.Dataset) -> dict[str, str]:
    found = dataset.describe()["content"]
    assert isinstance(found, dict)
    return found


def test_the_hash_is_of_little_endian_bytes_their_shape_and_type() -> None:
    """Written out, so that it is the same on any machine and in later versions."""
    split = data.Split(torch.tensor([[0.0, 0.5]]), torch.tensor([3]))
    one = b"((1, 2), '<f4')" + bytes([0, 0, 0, 0, 0, 0, 0, 0x3F])
    two = b"((1,), '<i8')" + bytes([3, 0, 0, 0, 0, 0, 0, 0])
    assert split.content_hash == blake2b(one + two, digest_size=16).hexdigest()


def test_the_hash_sees_every_value_label_shape_and_order() -> None:
    x, y = torch.rand(4, 6), torch.arange(4)
    other = x.clone()
    other[2, 3] += 1e-4
    splits = [
        data.Split(x, y),
        data.Split(x),
        data.Split(other, y),
        data.Split(x, y.flip(0)),
        data.Split(x.flip(0), y),
        data.Split(x.reshape(4, 1, 2, 3), y),
    ]
    assert len({split.content_hash for split in splits}) == len(splits)
    assert data.Split(x.t().contiguous().t(), y.clone()).content_hash == splits[0].content_hash


def test_a_subset_has_another_training_split_and_the_same_others() -> None:
    whole = data.from_arrays(grey())
    few = whole.subset(10)
    assert content(few)["train"] != content(whole)["train"]
    assert {**content(few), "train": ""} == {**content(whole), "train": ""}


def test_the_hash_is_of_what_a_model_sees() -> None:
    plain, again, other = (data.from_arrays(grey(), seed=seed) for seed in (0, 0, 1))
    assert content(plain) == content(again)
    assert content(plain)["test"] != content(other)["test"]
    dynamic = data.from_arrays(grey(), binarize="dynamic")
    assert content(dynamic)["train"] == content(plain)["train"]  # drawn anew at each step
    assert content(dynamic)["test"] != content(plain)["test"]
    by_levels = data.from_arrays((grey() * 255).round().astype(np.uint8))
    floats = data.from_arrays(torch.from_numpy((grey() * 255).round()) / 255)
    assert content(by_levels) == content(floats)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, data.Dataset]:
    """A run of two data sets' worth of splits, from Python."""
    dataset = data.from_arrays(grey(), val=grey(1), test=grey(2))
    out = tmp_path_factory.mktemp("content") / "run"
    recipe = mixvae.build("vae", dataset, hidden=[8], n_latent=2)
    mixvae.fit(recipe, dataset, out=out, **FAST)
    return out, dataset


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_resuming_refuses_other_content_and_says_in_which_part(
    started: tuple[Path, data.Dataset], part: str
) -> None:
    folder, dataset = started
    split: data.Split = getattr(dataset, part)
    other = dataclasses.replace(dataset, **{part: data.Split(split.x.flip(0))})
    with pytest.raises(MixvaeError, match=f"other data than arrays: the content of {part} differs"):
        mixvae.resume(folder, other, max_epochs=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, "seed was 0, is 5"),
        ({"binarize": "threshold"}, "binarize was none, is threshold"),
        ({"transform": data.Transform(255)}, "transform was"),
    ],
)
def test_resuming_refuses_other_options_of_the_data(
    started: tuple[Path, data.Dataset], change: dict, message: str
) -> None:
    folder, dataset = started
    with pytest.raises(MixvaeError, match=f"other data than arrays: {message}"):
        mixvae.resume(folder, dataclasses.replace(dataset, **change), max_epochs=2)


def test_resuming_says_how_many_examples_there_were(started: tuple[Path, data.Dataset]) -> None:
    folder, dataset = started
    with pytest.raises(MixvaeError, match=r"train \(was 60 examples, is 10\) differs"):
        mixvae.resume(folder, dataset.subset(10), max_epochs=2)


def test_a_record_without_content_is_refused(
    started: tuple[Path, data.Dataset], tmp_path: Path
) -> None:
    folder, dataset = started
    shutil.copytree(folder, tmp_path / "run")
    record = json.loads((folder / "data.json").read_text())
    del record["content"]
    (tmp_path / "run" / "data.json").write_text(json.dumps(record))
    with pytest.raises(MixvaeError, match="the content of train, val, test differs"):
        mixvae.resume(tmp_path / "run", dataset, max_epochs=2)


def test_the_same_data_of_another_name_are_resumed(
    started: tuple[Path, data.Dataset], tmp_path: Path
) -> None:
    folder, dataset = started
    shutil.copytree(folder, tmp_path / "run")
    moved = dataclasses.replace(dataset, name="moved")
    how = {name: value for name, value in FAST.items() if name in ("progress", "pictures")}
    run = mixvae.resume(tmp_path / "run", moved, max_epochs=2, **how)
    assert run.history[-1]["epoch"] == 2


@pytest.fixture
def trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run folder whose data lie beside it, in x.npy."""
    np.save(tmp_path / "x.npy", grey())
    argv = ["train", "vae", "--data", str(tmp_path / "x.npy"), *TRAIN, *QUIET]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def change(run: Path) -> None:
    """Same shape: rows reversed, half of them inverted."""
    x = grey()[::-1].copy()
    x[::2] = 1 - x[::2]
    np.save(run.parent / "x.npy", x)


def test_the_command_line_refuses_to_resume_on_changed_data(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(trained)
    before = (trained / "checkpoints" / "last.ckpt").read_bytes()
    assert main(["train", "--resume", str(trained), "--max-epochs", "2", *QUIET]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "started on other data than x.npy: the content of train, val, test differs" in error
    assert (trained / "checkpoints" / "last.ckpt").read_bytes() == before


def test_evaluate_says_that_the_data_have_changed(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", str(trained), "--out", str(tmp_path / "figures.json")]
    assert main(argv) == 0
    shown = capsys.readouterr()
    assert CHANGED not in shown.out + shown.err
    assert not json.loads((tmp_path / "figures.json").read_text())["data"]["warning"]
    change(trained)
    assert main(argv) == 0
    shown = capsys.readouterr()
    assert f"mixvae: warning: {CHANGED}: the content of train, val, test differs\n" in shown.err
    assert f"warning: {CHANGED}" in shown.out
    assert CHANGED in json.loads((tmp_path / "figures.json").read_text())["data"]["warning"]


@pytest.mark.parametrize(
    "command",
    [["reconstruct"], ["encode"], ["interpolate"], ["traverse"], ["cross"]],
    ids=lambda command: command[0],
)
def test_every_command_that_reopens_the_data_says_so(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    change(trained)
    out = tmp_path / ("out.npz" if command == ["encode"] else "out.npy")
    assert main([*command, str(trained), "--out", str(out)]) == 0
    assert CHANGED in capsys.readouterr().err


def test_other_options_for_the_runs_own_data_are_said_too(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained), "--data-seed", "7"]) == 0
    error = capsys.readouterr().err
    assert CHANGED in error
    assert "seed was 0, is 7" in error


def test_data_that_are_named_are_not_warned_of(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "other.npy", grey(3))
    assert main(["evaluate", str(trained), "--data", str(tmp_path / "other.npy")]) == 0
    shown = capsys.readouterr()
    assert CHANGED not in shown.out + shown.err


def test_a_data_set_and_its_splits_show_in_one_short_line() -> None:
    dataset = data.from_arrays(grey(n=2000), np.arange(2000) % 3, name="mine", binarize="dynamic")
    assert repr(dataset) == (
        "Dataset('mine', x of shape (4,), train 1,440, val 160, test 400, binarize dynamic)"
    )
    assert repr(dataset.train) == "Split(1,440 x of shape (4,), labels)"
    assert repr(data.Split(torch.rand(3, 1, 2, 2))) == "Split(3 x of shape (1, 2, 2), no labels)"

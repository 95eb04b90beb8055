"""Run folders: one process at a time, a mark written last, and resumable after anything."""

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import mixvae
from mixvae import data
from mixvae.cli import main
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.run import claim, load
from mixvae.training import finish

QUICK = {"progress": False, "pictures": False, "accelerator": "cpu"}
LINE = "--data digits --n-latent 2 --hidden 8 --max-epochs 1 --subset 256 --accelerator cpu"
LINE = [*LINE.split(), "--progress", "false"]


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits").subset(256)


def fit(digits: data.Dataset, out: Path, **options) -> mixvae.Run:
    torch.manual_seed(0)
    recipe = mixvae.build("vae", digits, n_latent=2, hidden=(8,))
    return mixvae.fit(recipe, digits, out=out, **QUICK | {"max_epochs": 1} | options)


@pytest.fixture
def run(digits, tmp_path) -> mixvae.Run:
    return fit(digits, tmp_path / "run")


# -- finished, or not


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
def test_a_run_killed_at_any_file_ends_as_if_it_had_not_been(tmp_path):
    """Of a first training: its settings, weights, pictures. Of more epochs: the same, the mark."""
    script = [sys.executable, Path(__file__).with_name("kills.py"), tmp_path, "3+,4,8+,11", "5,12"]
    done = subprocess.run(
        script, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_run_that_was_not_finished_is_loaded_with_a_warning_until_it_is(run, digits):
    assert run.complete
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    (run.folder / "finished.json").unlink()
    with pytest.warns(MixvaeWarning, match=f"not finished.*mixvae train --resume {run.folder}"):
        assert not load(run.folder).complete
    mixvae.resume(run.folder, digits, **QUICK)
    assert load(run.folder).complete
    after = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    assert after == before
    with pytest.raises(MixvaeError, match="has had 1 epochs; give a max_epochs above that"):
        mixvae.resume(run.folder, digits, **QUICK)


def test_while_a_run_goes_on_it_is_not_called_finished(run, digits):
    class Looks:
        def on_epoch_end(self, *_):
            with pytest.warns(MixvaeWarning, match="not finished"):
                load(run.folder)

    assert mixvae.resume(run.folder, digits, max_epochs=2, callbacks=[Looks()], **QUICK).complete


@pytest.mark.parametrize("way_out", ["train --resume", "evaluate"])
def test_ctrl_c_in_the_final_evaluation_says_how_to_go_on(tmp_path, capsys, monkeypatch, way_out):
    folder = tmp_path / "run"

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finish, "evaluate", stop)
        assert main(["train", "vae", *LINE, "--out", str(folder)]) == 130
    assert f"Go on with: mixvae train --resume {folder}" in capsys.readouterr().err
    assert main(["sample", str(folder)]) == 0
    assert f"mixvae: warning: the run {folder} is not finished" in capsys.readouterr().err
    assert main([*way_out.split(), str(folder)]) == 0
    assert "ELBO" in capsys.readouterr().out
    assert {"metrics.json", "samples.png"} <= {path.name for path in folder.iterdir()}
    assert load(folder).complete


def test_evaluate_writes_figures_and_pictures_that_were_removed(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", "vae", *LINE, "--out", str(folder)]) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (folder / "metrics.json").unlink()
    (folder / "codes.png").unlink()
    assert main(["evaluate", str(folder)]) == 0
    assert "has been written" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    (folder / "metrics.json").unlink()
    assert (
        main(["evaluate", str(folder), "--binarize", "threshold"]) == 0
    )  # other data than the run's
    assert not (folder / "metrics.json").exists()


def test_a_run_stopped_while_it_was_pruned_is_pruned_by_resuming(tmp_path, capsys, monkeypatch):
    folder, calls = tmp_path / "run", []
    line = ["train", "mvae-gs", "--n-components", "2", "--prune", "--pictures", "false", *LINE]
    measure = finish.evaluate

    def second_time(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*args, **options)

    monkeypatch.setattr(finish, "evaluate", second_time)
    assert main([*line, "--out", str(folder)]) == 130
    assert f"--resume {folder / 'pruned'}" in capsys.readouterr().err
    assert main(["train", "--resume", str(folder)]) == 0
    assert load(folder / "pruned").complete
    assert load(folder / "pruned").metrics["pruned_from"]["recipe"] == "mvae-gs"
    assert main(["train", "--resume", str(folder)]) == 2


def test_a_run_that_patience_ended_goes_on_with_a_larger_one_alone(digits, tmp_path):
    how = {"max_epochs": 40, "lr": 0.2, "batch_size": 64}
    run = fit(digits, tmp_path / "run", patience=1, **how)
    n = len(run.history) - 1  # without epoch 0
    assert n < 40
    weights = (run.folder / "model.safetensors").read_bytes()
    for more in ({}, {"max_epochs": 50}):
        with pytest.raises(MixvaeError, match=f"stopped early, after {n} epochs.*larger patience"):
            mixvae.resume(run.folder, digits, **QUICK | more)
    assert (run.folder / "model.safetensors").read_bytes() == weights
    (run.folder / "finished.json").unlink()
    assert len(mixvae.resume(run.folder, digits, **QUICK).history) == n + 1
    whole = fit(digits, tmp_path / "whole", patience=4, **how)
    more = mixvae.resume(run.folder, digits, patience=4, **QUICK)
    assert len(more.history) == len(whole.history) > n
    assert more.metrics["bounds"] == whole.metrics["bounds"]


# -- what the operating system refuses


def test_a_disk_that_is_full_at_the_end_is_one_line_and_the_run_is_finished_later(
    tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "run"

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "curves.png")

    with monkeypatch.context() as patch:
        patch.setattr(finish.plots, "curves", full)
        assert main(["train", "vae", *LINE, "--out", str(folder)]) == 1
    err = capsys.readouterr().err
    assert err.endswith(
        "mixvae: error: No space left on device: curves.png. "
        f"Go on with: mixvae train --resume {folder}\n"
    )
    assert main(["train", "--resume", str(folder)]) == 0
    assert (folder / "curves.png").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where none can write")
@pytest.mark.parametrize(
    "line",
    [
        "sample --out /proc/a.npy",
        "sample --out /proc/a.png",
        "encode --out /proc/a.npz --data digits",
        "evaluate --out /proc/a.json --data digits",
    ],
)
def test_a_place_where_nothing_can_be_written_is_one_line_and_exit_code_1(run, capsys, line):
    command, *options = line.split()
    assert main([command, str(run.folder), *options]) == 1
    err = capsys.readouterr().err
    assert err.startswith("mixvae: error: ")
    assert err.count("\n") == 1
    assert "/proc/a." in err


def test_a_closed_pipe_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "mixvae", "--help"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_run_folder_removed_during_training_is_not_made_again(digits, tmp_path):
    class Removes:
        def on_epoch_end(self, state):
            if state.epoch == 1:
                shutil.rmtree(tmp_path / "run")

    with pytest.raises(OSError, match="was removed while it was in use"):
        fit(digits, tmp_path / "run", max_epochs=3, callbacks=[Removes()])
    assert not (tmp_path / "run").exists()


# -- one process at a time


def test_of_many_that_want_one_folder_one_gets_it(tmp_path):
    def wins(folder: Path) -> bool:
        try:
            return claim(folder, "x") == folder
        except MixvaeError:
            return False

    with ThreadPoolExecutor(8) as pool:
        for n in range(50):
            folder = tmp_path / f"{n}"
            folder.mkdir()
            assert sum(pool.map(wins, [folder] * 8)) == 1
        folders = list(pool.map(lambda _: claim(None, "x", tmp_path / "runs"), range(40)))
    assert len(set(folders)) == 40


@pytest.mark.parametrize("what", ["runs", "out"])
def test_a_link_to_nowhere_is_a_clear_error(tmp_path, what):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(MixvaeError, match=r"is a symbolic link to .*gone, which does not exist"):
        claim(None, "x", link) if what == "runs" else claim(link / "run", "x")


def test_a_folder_with_anything_of_the_users_is_left_as_it_is(tmp_path):
    (tmp_path / "config.yaml").write_text("mine")
    with pytest.raises(MixvaeError, match="never overwritten"):
        claim(tmp_path, "x")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def other():
    """Another process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def held_by(folder: Path, pid: int, **changes: str) -> None:
    holder = {"pid": pid, "host": platform.node(), "started": "", "since": "noon"} | changes
    (folder / "train.lock").write_text(json.dumps(holder))


def test_a_run_that_another_process_trains_is_refused_with_its_name(run, digits, other, capsys):
    held_by(run.folder, other.pid)
    with pytest.raises(MixvaeError, match=f"in use by process {other.pid}, since noon"):
        mixvae.resume(run.folder, digits, max_epochs=2, **QUICK)
    assert main(["evaluate", str(run.folder), "--data", "digits"]) == 0  # which only reads
    other.kill()
    other.wait()
    assert len(mixvae.resume(run.folder, digits, max_epochs=2, **QUICK).history) == 3  # and epoch 0
    assert not (run.folder / "train.lock").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells when a process began")
def test_a_process_that_has_another_ones_number_holds_no_lock(run, digits, other):
    held_by(run.folder, other.pid, started="1")
    assert len(mixvae.resume(run.folder, digits, max_epochs=2, **QUICK).history) == 3  # and epoch 0


@pytest.mark.parametrize("ended", [False, True])
def test_a_lock_of_another_computer_is_left_to_the_user(ended, run, digits, other):
    """Whether this computer has a process of that number or not says nothing."""
    if ended:
        other.kill()
        other.wait()
    held_by(run.folder, other.pid, host="elsewhere")
    lock = run.folder / "train.lock"
    with pytest.raises(MixvaeError, match=f"computer elsewhere.*If that has ended, remove {lock}"):
        mixvae.resume(run.folder, digits, max_epochs=2, **QUICK)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"pid": "x"}', 0, -1])
def test_a_lock_that_names_nobody_is_taken(run, digits, text):
    if isinstance(text, int):
        held_by(run.folder, text)  # numbers that no process has
    else:
        (run.folder / "train.lock").write_text(text)
    assert len(mixvae.resume(run.folder, digits, max_epochs=2, **QUICK).history) == 3  # and epoch 0


def test_half_written_files_of_dead_processes_are_removed_by_resuming(run, digits, other):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    checkpoints = run.folder / "checkpoints"
    left = [
        run.folder / f".log.csv.{dead.pid}.partial",
        checkpoints / f".last.ckpt.{dead.pid}.partial",
    ]
    kept = [run.folder / f".log.csv.{other.pid}.partial", run.folder / ".mine.partial"]
    for path in left + kept:
        path.write_text("")
    mixvae.resume(run.folder, digits, max_epochs=2, **QUICK)
    assert [path.exists() for path in left + kept] == [False, False, True, True]

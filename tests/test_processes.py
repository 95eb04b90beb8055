"""Several threads and processes that train, and what one alone does not load."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import mixvae
from mixvae import data

QUICK: dict[str, Any] = {"progress": False, "pictures": False, "accelerator": "cpu"}
HOW = QUICK | {"batch_size": 50, "max_epochs": 2, "precision": "32"}


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits", binarize="dynamic").subset(460)


def test_trainings_in_threads_come_to_what_one_thread_does(digits, tmp_path):
    """Weights, histories and figures; and the caller's random state is as it was."""
    chosen = {"m-vae": {"n_components": 3}, "mixture-vae": {"n_components": 2, "start_epochs": 2}}
    chosen |= {"vade": {"n_clusters": 3, "start_epochs": 2}, "vae": {}}

    def made(name: str) -> Any:
        torch.manual_seed(0)
        return mixvae.build(name, digits, n_latent=2, hidden=(8, 8), **chosen[name])

    together = {name: made(name) for name in chosen}
    alone = {
        name: mixvae.fit(made(name), digits, out=tmp_path / f"alone-{name}", **HOW)
        for name in chosen
    }
    runs: dict[str, Any] = {}

    def train(name: str) -> None:
        runs[name] = mixvae.fit(together[name], digits, out=tmp_path / name, **HOW)

    threads = [threading.Thread(target=train, args=(name,)) for name in chosen]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.rand(3), expected)
    for name, run in runs.items():
        ours, theirs = (r.recipe.model.state_dict() for r in (run, alone[name]))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
        for row, other in zip(run.history, alone[name].history, strict=True):
            assert row | {"seconds": 0} == other | {"seconds": 0}
        assert run.metrics | {"seconds": 0} == alone[name].metrics | {"seconds": 0}


ALONE = """
import sys, mixvae
d = mixvae.data.load("digits").subset(256)
how = dict(max_epochs=1, out=sys.argv[1], accelerator="cpu", pictures=False)
mixvae.fit(mixvae.build("mixture-vae", d, n_components=2, hidden=(8,), start_epochs=1), d, **how)
found = [name for name in sys.modules if name.partition(".")[0] in ("lightning", "tensorboard")]
assert not found, found
"""


def test_one_process_loads_no_lightning(tmp_path):
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "run")], check=True)


PAIR = """
import os, sys, time
from pathlib import Path
import torch, mixvae
from mixvae.training import fitting, loop

rank = int(os.environ.get("LOCAL_RANK", 0))
fitting.chosen_precision = lambda *_, **__: ("bf16", "32")[rank]  # measured apart, and differently
real, seen = fitting.train, {}

def watched(phases, state, *rest):
    seen["precision"] = state.settings.precision
    real(phases, state, *rest)

fitting.train = watched
run = loop.PhaseLoop.run

def begin(self):
    if self.phase.name == "gate":
        model, component = self.state.model, self.phase.module.component
        seen["weights"] = sum(float(p.double().sum()) for p in model.parameters())
        seen["components"] = component.tolist()
    run(self)

loop.PhaseLoop.run = begin
torch.manual_seed(rank)  # other first weights, other clusters, in each process
name, out, pids = sys.argv[1], sys.argv[2], Path(sys.argv[3])
(pids / str(rank)).write_text(str(os.getpid()))
d = mixvae.data.load("digits", binarize="dynamic").subset(460)
recipe = mixvae.build(name, d, hidden=(8,), n_latent=2, **eval(sys.argv[5]))
how = dict(accelerator="cpu", devices=2, strategy="ddp", progress=False, pictures=False)
ended = mixvae.fit(recipe, d, out=out, batch_size=50, max_epochs=int(sys.argv[4]), **how)
elbos = [row.get("val/elbo") for row in ended.history]
torch.save([seen, ended.recipe.model.state_dict(), elbos], pids / f"{rank}.pt")
"""


def pair(tmp_path: Path, name: str, epochs: int, options: str = "{}") -> subprocess.Popen[bytes]:
    """Two processes that train together; they write their numbers, and what they end with."""
    script = tmp_path / "pair.py"
    script.write_text(PAIR)
    pids = tmp_path / "pids"
    pids.mkdir()
    line = [str(script), name, str(tmp_path / "run"), str(pids), str(epochs), options]
    with (tmp_path / "errors.txt").open("w") as errors:
        return subprocess.Popen([sys.executable, *line], stderr=errors)


@pytest.mark.slow
def test_two_processes_start_from_one_initialization_and_stay_together(tmp_path):
    """Of the first process: its weights, its clusters, its precision."""
    options = "dict(n_components=3, start_epochs=2)"
    process = pair(tmp_path, "mixture-vae", 2, options)
    assert process.wait(timeout=240) == 0, (tmp_path / "errors.txt").read_text()
    ours, theirs = (torch.load(tmp_path / f"pids/{rank}.pt") for rank in (0, 1))
    assert ours[0] == theirs[0]
    assert ours[0]["precision"] == "bf16"
    assert set(ours[0]["components"]) == {0, 1, 2}
    assert all(torch.equal(w, theirs[1][name]) for name, w in ours[1].items())
    assert ours[2] == theirs[2]
    history = mixvae.load(tmp_path / "run").history
    assert [row["phase"] for row in history] == ["vae", "vae", "gate", "main", "main", "main"]
    assert [row["step"] for row in history if row["phase"] == "main"] == [0, 4, 8]


def alive(number: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up there")
@pytest.mark.parametrize("killed", [(0,), (1,), (0, 1)])
def test_a_process_that_is_terminated_ends_all_of_them_and_the_run_resumes(killed, tmp_path):
    process = pair(tmp_path, "vae", 100_000)
    log, deadline = tmp_path / "run/log.csv", time.time() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 4:
        assert process.poll() is None, (tmp_path / "errors.txt").read_text()
        assert time.time() < deadline
        time.sleep(0.05)
    numbers = [int((tmp_path / f"pids/{rank}").read_text()) for rank in (0, 1)]
    for rank in killed:
        os.kill(numbers[rank], signal.SIGTERM)
    deadline = time.time() + 30
    while any(map(alive, numbers)):
        process.poll()
        assert time.time() < deadline, [alive(number) for number in numbers]
        time.sleep(0.1)
    process.wait()
    done = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["epoch"]
    dataset = data.load("digits", binarize="dynamic").subset(460)
    run = mixvae.resume(tmp_path / "run", dataset, max_epochs=done + 1, **QUICK)
    assert run.history[-1]["epoch"] == done + 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up there")
def test_a_process_that_dies_is_one_line_in_the_other(tmp_path):
    line = "train vae --data digits --subset 128 --max-epochs 100000 --hidden 8 --batch-size 50"
    line += f" --devices 2 --accelerator cpu --progress false --pictures false --out {tmp_path}/run"
    command = [sys.executable, "-m", "mixvae", *line.split()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log, deadline = tmp_path / "run/log.csv", time.time() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.05)
    other = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
    os.kill(int(other), signal.SIGKILL)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == (
        "mixvae: error: process 0 of 2 lost the connection to another one, which has ended. "
        f"Go on with: mixvae train --resume {tmp_path}/run"
    )

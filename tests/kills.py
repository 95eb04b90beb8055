"""Kill a small run whenever a file is about to be written or has been, and go on with it.

A script: each training is a process of its own, ended as SIGKILL would, with nothing tidied.
``kills.py FOLDER`` kills at every file, ``kills.py FOLDER 4,8+ 5`` before the fourth file and after
the eighth of a first training, and before the fifth of one that goes on for more epochs.
"""

import json
import os
import shutil
import sys
import traceback
from itertools import count
from pathlib import Path

import lightning  # noqa: F401 - once, not in every process
import matplotlib.figure  # noqa: F401
import torch

import mixvae
from mixvae.training import missing  # noqa: F401

QUICK = {"batch_size": 16, "progress": False, "accelerator": "cpu", "seed": 3, "precision": "32"}
RESUMED = {"progress": False, "accelerator": "cpu"}


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(80, 1, 6, 6, generator=generator).numpy()
    return mixvae.data.from_arrays(x[:48], val=x[48:64], test=x[64:], name="noise")


def fit(folder, epochs):
    torch.manual_seed(0)
    recipe = mixvae.build("vae", data(), hidden=[4], n_latent=2)
    mixvae.fit(recipe, data(), out=folder, max_epochs=epochs, **QUICK)


def resume(folder, epochs):
    mixvae.resume(folder, data(), max_epochs=epochs, **RESUMED)


def alone(action, *args, die_at=None, after=False):
    """Run it in another process; whether that ended by itself, not at its n-th file."""
    if pid := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, 9), code
        return code == 0
    replace, n = Path.replace, 0

    def counted(path, target):
        nonlocal n
        n += 1
        if n == die_at and not after:
            os._exit(9)
        done = replace(path, target)
        if n == die_at:
            os._exit(9)
        return done

    Path.replace = counted
    try:
        action(*args)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def content(folder):
    """All that a run holds, without the times."""
    found = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found = {str(path): text for path, text in found.items()}
    found.pop("train.lock", None)  # of a process that was killed after the mark: nobody's
    metrics = json.loads(found.pop("metrics.json"))
    del metrics["seconds"]
    found["metrics.json"] = metrics
    for name in ("log.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        found[name] = name in found
    return found


def survive(place, name, start, go_on, moments):
    """Kill ``start`` at its n-th file, in turn; ``go_on`` must end as the whole run did."""
    whole = place / f"{name}-whole"
    assert alone(start, whole)
    expected = content(whole)
    assert "samples.png" in expected
    for n, after in moments:
        folder = place / f"{name}-{n}{'-after' * after}"
        if alone(start, folder, die_at=n, after=after):
            return
        assert alone(go_on, folder)
        found = content(folder)
        assert found.keys() == expected.keys(), (name, n, found.keys() ^ expected.keys())
        differ = [key for key in expected if found[key] != expected[key]]
        assert not differ, (name, n, differ)


def go_on_or_start(folder):
    """What the messages say: a run without a checkpoint is started again."""
    if not (folder / "checkpoints/last.ckpt").exists():
        fit(folder, 1)
    elif not (folder / "finished.json").exists():
        resume(folder, 1)


def more(folder):
    shutil.copytree(folder.parent / "once", folder)
    resume(folder, 2)


def go_on_for_more(folder):
    finished = folder / "finished.json"
    if not finished.exists() or json.loads(finished.read_text())["epochs"] < 2:
        resume(folder, 2)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    moments = [
        [(int(n.rstrip("+")), "+" in n) for n in words.split(",")] for words in sys.argv[2:]
    ] or [((n, after) for n in count(1) for after in (False, True)) for _ in range(2)]
    mixvae.plots.figures.DPI = 20  # for time
    survive(place, "fit", lambda folder: fit(folder, 1), go_on_or_start, moments[0])
    assert alone(fit, place / "once", 1)
    survive(place, "more", more, go_on_for_more, moments[1])

"""Random calls of the Python interface, with right and wrong arguments."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults import forked, runs
from tests.faults.report import Part


def calls(folder: Path, n: int, seed: int = 0) -> Part:
    """``n`` calls, each in a process of its own: they return, or raise a MixvaeError."""
    part, rng = Part("a random call of the Python interface"), random.Random(seed)
    runs.train("vae", folder / "run")
    for _ in range(n):
        name, call = _call(rng, folder)
        outcome = forked.run(call, cwd=folder)
        fault = f"{name}: {outcome.describe()}" if outcome.is_fault else None
        part.add("done" if outcome.code == 0 else "refused", fault)
    return part


def _values(rng: random.Random) -> list[Any]:
    """Arguments of all kinds; those that are right for something come oftener."""
    import numpy as np
    import torch

    images = np.random.default_rng(0).random((30, 8, 8))
    return [
        *(images, images, torch.rand(30, 1, 8, 8), torch.rand(30, 64)),
        *(None, -1, 0, 1, 2, 1e400, float("nan"), "digits", "vae", "", [], {}, (), object(), True),
        *(
            [[1, 2], [3]],
            images * 300,
            images.astype(complex),
            np.array([]),
            np.full((3, 4), np.nan),
        ),
        *(
            np.array(["a"]),
            torch.zeros(3, 4).to_sparse(),
            torch.zeros(0, 4),
            b"bytes",
            2**70,
            images[0],
        ),
        rng.choice([3, 10, "none", "dynamic", Path("run"), Path("nowhere")]),
    ]


def _call(rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
    """A function, and arguments of which about half are right."""
    functions = _functions(folder)
    name = rng.choice(list(functions))
    function, right = functions[name]
    args = [rng.choice([good, rng.choice(_values(rng))]) for good in right]
    shown = ", ".join(repr(a)[:30].replace("\n", " ") for a in args)
    return f"{name}({shown})", lambda: void(function, args)


def void(function: Callable[..., Any], args: list[Any]) -> None:
    """Call, and return nothing."""
    function(*args)


def _functions(folder: Path) -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """Public functions, and right arguments for those that are varied."""
    import numpy as np
    import torch

    import mixvae

    x, images = np.random.default_rng(0).random((40, 8, 8)), torch.rand(20, 1, 8, 8)
    once, run = (
        {"max_epochs": 1, "pictures": False, "progress": False, "batch_size": 10},
        folder / "run",
    )

    def data() -> Any:
        return mixvae.data.load("digits").subset(30)

    def fitted(method: str) -> Callable[..., Any]:
        options = {"hidden": [8], "n_latent": 2, "start_epochs": 1}
        model = mixvae.DeepMixture(2, max_epochs=1, random_state=0, recipe_options=options)
        return lambda *args: getattr(model.fit(x), method)(*args)

    def fit(option: str) -> Callable[..., Any]:
        return lambda value: mixvae.fit("vae", data(), **once | {option: value})

    def build(option: str) -> Callable[..., Any]:
        return lambda value: mixvae.build("m-vae", (4,), **{option: value})

    def of_run(use: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: use(mixvae.load(run).recipe, *args)

    likelihood = mixvae.evaluation.log_likelihood
    return {
        "build": (mixvae.build, ["vae", (4,)]),
        **{f"build({o})": (build(o), [good]) for o, good in BUILD.items()},
        "fit": (lambda recipe, data: mixvae.fit(recipe, data, **once), ["vae", data()]),
        **{f"fit({o})": (fit(o), [good]) for o, good in FIT.items()},
        "resume": (mixvae.resume, [run, data()]),
        "load": (mixvae.load, [run]),
        "prune": (mixvae.prune, [mixvae.build("mvae-gs", (4,))]),
        "data.load": (mixvae.data.load, ["digits"]),
        "data.from_arrays": (mixvae.data.from_arrays, [x, np.arange(40) % 3]),
        "DeepMixture.fit": (mixvae.DeepMixture(2, max_epochs=1).fit, [x]),
        **{m: (fitted(m), [x]) for m in ("predict", "transform", "score_samples", "reconstruct")},
        "DeepMixture.sample": (fitted("sample"), [3]),
        "evaluate": (of_run(mixvae.evaluation.evaluate), [data().test]),
        "log_likelihood": (of_run(lambda r, *a: likelihood(r.model, *a)), [images, 10]),
        "model.sample": (of_run(lambda r, n: r.model.sample(n)), [3]),
    }


BUILD = {"n_latent": 2, "n_components": 3, "hidden": [8], "beta_kl": 0.5, "likelihood": "gaussian"}
FIT = {
    **{"max_epochs": 1, "batch_size": 10, "lr": 0.01, "seed": 3, "clip": 1.0, "out": "new"},
    **{"warmup_epochs": 1, "patience": 2, "precision": "32", "lr_schedule": "cosine"},
}

"""``mixvae evaluate``, ``sample`` and ``reconstruct``: what a trained run is for."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import plots, report
from ..data import SplitName
from ..errors import MixvaeError, at_least
from ..evaluation import LogLikelihood, representation
from ..evaluation import evaluate as measure
from ..model import MixtureVAE
from ..run import Run
from .pictures import check_folder, check_image, save
from .runs import open_run, out_file, parser_of, rows_of

SAMPLES = 5000  # what --log-likelihood means by itself
EVALUATE = """Take a run's figures on its test data, or on other data. With --log-likelihood also
log p(x), by importance sampling: 5,000 samples an example unless another number is
given. It takes a while: --n-test 1000 takes 1,000 evenly spaced examples. Every
example's figures and a histogram are written into the run folder, as
log_likelihood.npz and log_likelihood.png.

  mixvae evaluate runs/m-vae-mnist-001 --log-likelihood --n-test 1000"""


def evaluate(argv: list[str]) -> None:
    """Take a run's figures and print them, or write them to a file."""
    parser = parser_of("evaluate", EVALUATE)
    parser.add_options("evaluation", measure, skip={"recipe", "split", "keep"})
    parser.add_options("output", _evaluation_options)
    parser.bare("log_likelihood", SAMPLES)
    parser.unset("batch_size", help="By default as in training.")
    parser.set_defaults(progress=True)
    changed: list[str] = []
    run, data, values = open_run(parser, argv, with_data=True, keep=changed.append)
    values = {"batch_size": run.metrics.get("batch_size", 500)} | values
    split, out, codes = (values.pop(name) for name in ("split", "out", "representation"))
    if out is not None:
        check_folder(Path(out))
    if codes and split == "train":
        raise MixvaeError(
            "--representation trains on the training data, and judges on others; give --split test "
            "or val."
        )
    metrics = {"data": data.describe() | {"warning": "; ".join(changed) or None}, "split": split}
    estimates: list[LogLikelihood] = []
    metrics |= measure(run.recipe, data.seen(split), keep=estimates.append, **values)
    if codes:
        how = {name: values[name] for name in ("n_test", "batch_size", "seed") if name in values}
        judged = data.seen(split)
        metrics["representation"] = representation(run.recipe.model, data.train, judged, **how)
    print(report.table(metrics))
    if out is not None:
        report.write_metrics(metrics, Path(out))
    for estimate in estimates:
        print(*_write(estimate, run.folder, f"{data.name}, {split}"), sep="\n")


def sample(argv: list[str]) -> None:
    """Draw new images from a run into a picture or an array."""
    from ..evaluation.passes import evaluating

    parser = parser_of("sample", "Draw new images: means of p(x | z), codes drawn from the prior.")
    parser.add_options("samples", _sample_options)
    run, _, values = open_run(parser, argv)
    out = _out(run, "sample", values)
    model, n, label = run.recipe.model, values["n"], values["label"]
    with evaluating(model, values["seed"]):
        images = model.sample(n, values["component"], _classes(model, n, label))
    print(save(out, images, n_columns=model.labels.n_classes if label is None else None))


def reconstruct(argv: list[str]) -> None:
    """Put images and their reconstructions into a picture, or the latter into an array."""
    from ..evaluation.passes import evaluating

    about = "Reconstruct images from the means of codes and weights; in a picture, below them."
    parser = parser_of("reconstruct", about)
    parser.add_options("reconstructions", _reconstruct_options)
    run, data, values = open_run(parser, argv, with_data=True)
    out, component = _out(run, "reconstruct", values), values["component"]
    model, n = run.recipe.model, values["n"]
    x, y = rows_of(run, data, values["split"])
    x, y = x[:n], None if y is None else y[:n]
    with evaluating(model):
        if component is None:
            made = model.reconstruct(x, y)
        else:
            made = model.reconstruct_each(x, y)[:, model.check_component(component)]
    print(save(out, made, above=x))


def _write(estimate: LogLikelihood, folder: Path, of: str) -> tuple[Path, Path]:
    """Every example's figures as arrays, and the histogram of its log p(x)."""
    arrays, names = folder / "log_likelihood.npz", ("log_prob", "standard_error", "ess", "k_hat")
    np.savez(arrays, **{name: getattr(estimate, name).numpy() for name in names})
    picture = folder / "log_likelihood.png"
    said = estimate.caveat
    return arrays, plots.log_likelihood(estimate.log_prob, picture, of=of, caveat=said)


def _classes(model: MixtureVAE, n: int, label: int | None) -> Tensor | None:
    """The class that was asked for, or all classes in turn; None for a model without."""
    if label is not None:
        return torch.full((n,), label)
    n_classes = model.labels.n_classes
    return None if n_classes is None else torch.arange(n) % n_classes


def _evaluation_options(
    *, split: SplitName = "test", representation: bool = False, out: str | None = None
) -> None:
    """What the figures are of, and where they go.

    Args:
        split: which split of the data.
        representation: train classifiers (an MLP, a linear SVM, kNN) on the codes of all training
            data, and judge them on the split: some minutes.
        out: a JSON file for the figures.
    """


def _sample_options(
    *,
    n: int = 64,
    component: int | None = None,
    label: int | None = None,
    seed: int = 0,
    out: str | None = None,
) -> None:
    """What to draw.

    Args:
        n: how many.
        component: from this component alone, counted from 0; by default from the whole mixture.
        label: of this class alone, for a conditional model; by default of all classes in turn.
        seed: of the draws.
        out: a .png or .npy file; by default a picture in the run folder.
    """


def _reconstruct_options(
    *,
    n: int = 16,
    component: int | None = None,
    split: SplitName = "test",
    out: str | None = None,
) -> None:
    """What to reconstruct.

    Args:
        n: the first so many images.
        component: by this component alone, counted from 0; by default by the whole mixture.
        split: which split of the data.
        out: a .png or .npy file; by default a picture in the run folder.
    """


def _out(run: Run, command: str, values: dict[str, Any]) -> Path:
    """Where the result goes, after a look at what cannot work."""
    at_least(1, n=values["n"])
    component, label = values["component"], values.get("label")
    source = "mixture" if component is None else f"component-{component}"
    of = "" if label is None else f"-label-{label}"
    path = out_file(run, f"{command}-{source}{of}.png", values["out"])
    check_image(path, run.recipe.x_shape)
    return path

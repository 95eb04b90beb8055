"""``mixvae evaluate``, ``sample`` and ``reconstruct``: what a trained run is for."""

from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixvae import plots, report
from mixvae.errors import MixvaeError, fits_memory, whole
from mixvae.evaluation import LogLikelihood, representation
from mixvae.evaluation import evaluate as measure
from mixvae.evaluation.metrics import listing
from mixvae.model import MixtureVAE
from mixvae.run import Run
from mixvae.storage.files import write_arrays

from .parser import Parser
from .pictures import check_folder, check_image, save
from .runs import Part, Source, file_name, open_run, out_file, parser_of, rows_of

SAMPLES = 5000  # what --log-likelihood means by itself
EVALUATE = """Take a run's figures on its test data, or on other data. With --log-likelihood also
log p(x), by importance sampling: 5,000 samples an example unless another number is
given. It takes a while: --n-test 1000 takes 1,000 evenly spaced examples. Every
example's figures and a histogram are written into the run folder, as
log_likelihood.npz and log_likelihood.png, whose names also say the split, the number
of examples and so on where these are not the default. metrics.json and pictures that a
run whose training is over lacks are written too.

  mixvae evaluate runs/m-vae-mnist-001 --log-likelihood --n-test 1000

--metrics takes some of the figures alone:
"""


def evaluate(argv: list[str]) -> None:
    """Take a run's figures and print them, or write them to a file."""
    parser = parser_of("evaluate", EVALUATE + listing())
    parser.add_options("evaluation", measure, skip={"recipe", "split", "keep"})
    parser.add_options("output", _evaluation_options)
    parser.bare("log_likelihood", SAMPLES)
    parser.unset("batch_size", help="By default as in training.")
    parser.set_defaults(progress=True)
    changed: list[str] = []
    run, source, values = open_run(parser, argv, with_data=True, mend=True, keep=changed.append)
    name = file_name("log_likelihood", "", parser, _of_examples(values), source)
    values = {"batch_size": run.metrics.get("batch_size", 500)} | values
    split, out, codes = (values.pop(name) for name in ("split", "out", "representation"))
    if out is not None:
        check_folder(Path(out))
    data = source.data
    split, judged = source.part(split)
    if codes and split in ("train", "all"):
        raise MixvaeError(
            "--representation trains on the training data, and judges on others; give --split test "
            "or val."
        )
    metrics = {"data": data.describe() | {"warning": "; ".join(changed) or None}, "split": split}
    estimates: list[LogLikelihood] = []
    metrics |= measure(run.recipe, judged, keep=estimates.append, **values)
    if codes:
        how = {name: values[name] for name in ("n_test", "batch_size", "seed") if name in values}
        metrics["representation"] = representation(run.recipe.model, data.train, judged, **how)
    print(report.table(metrics))
    if out is not None:
        report.write_metrics(metrics, Path(out))
    for estimate in estimates:
        print(*_write(estimate, run.folder / name, f"{data.name}, {split}"), sep="\n")


def sample(argv: list[str]) -> None:
    """Draw new images from a run into a picture or an array."""
    from mixvae.evaluation.batches import evaluating

    parser = parser_of("sample", "Draw new images: means of p(x | z), codes drawn from the prior.")
    parser.add_options("samples", _sample_options)
    run, _, values = open_run(parser, argv)
    out = _out(run, "sample", parser, values)
    model, n, label = run.recipe.model, values["n"], values["label"]
    with evaluating(model, values["seed"]):
        images = model.sample(n, values["component"], _classes(model, n, label))
    print(save(out, images, n_columns=model.labels.n_classes if label is None else None))


def reconstruct(argv: list[str]) -> None:
    """Put images and their reconstructions into a picture, or the latter into an array."""
    from mixvae.evaluation.batches import evaluating

    about = "Reconstruct images from the means of codes and weights; in a picture, below them."
    parser = parser_of("reconstruct", about)
    parser.add_options("reconstructions", _reconstruct_options)
    run, source, values = open_run(parser, argv, with_data=True)
    out, component = _out(run, "reconstruct", parser, values, source), values["component"]
    model, n = run.recipe.model, values["n"]
    x, y = rows_of(run, source, values["split"])
    x, y = x[:n], None if y is None else y[:n]
    with evaluating(model):
        if component is None:
            made = model.reconstruct(x, y)
        else:
            made = model.reconstruct_each(x, y)[:, model.check_component(component)]
    print(save(out, made, above=x))


def _of_examples(values: dict[str, Any]) -> dict[str, Any]:
    """The options that decide which examples have their log p(x) estimated, and how."""
    names = ("log_likelihood", "n_test", "seed", "split")
    given = {name: values[name] for name in names}
    return given | {"log_likelihood": 0} if given["log_likelihood"] == SAMPLES else given


def _write(estimate: LogLikelihood, path: Path, of: str) -> tuple[Path, Path]:
    """Every example's figures as arrays, and the histogram of its log p(x)."""
    arrays, names = Path(f"{path}.npz"), ("log_prob", "standard_error", "ess", "k_hat")
    write_arrays(arrays, **{name: getattr(estimate, name).numpy() for name in names})
    picture = plots.log_likelihood(
        estimate.log_prob, Path(f"{path}.png"), of=of, caveat=estimate.caveat
    )
    return arrays, picture


def _classes(model: MixtureVAE, n: int, label: int | None) -> Tensor | None:
    """The class that was asked for, or all classes in turn; None for a model without."""
    if label is not None:
        return torch.full((n,), label)
    n_classes = model.labels.n_classes
    return None if n_classes is None else torch.arange(n) % n_classes


def _evaluation_options(
    *, split: Part | None = None, representation: bool = False, out: str | None = None
) -> None:
    """What the figures are of, and where they go.

    Args:
        split: which split of the data; all is every row in the file's order. By default test, or,
            of other data without a test split of their own, all.
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
        out: a .png or .npy file; by default a picture in the run folder, named by
            these options.
    """


def _reconstruct_options(
    *,
    n: int = 16,
    component: int | None = None,
    split: Part | None = None,
    out: str | None = None,
) -> None:
    """What to reconstruct.

    Args:
        n: the first so many images.
        component: by this component alone, counted from 0; by default by the whole mixture.
        split: which split of the data; all is every row in the file's order. By default test, or,
            of other data without a test split of their own, all.
        out: a .png or .npy file; by default a picture in the run folder, named by
            these options.
    """


def _out(
    run: Run,
    command: str,
    parser: Parser,
    values: dict[str, Any],
    source: Source | None = None,
) -> Path:
    """Where the result goes, after a look at what cannot work."""
    whole(1, n=values["n"])
    if source is None:  # as many as are asked for
        sizes = (values["n"], run.recipe.n_components, *run.recipe.x_shape)
        fits_memory(4 * prod(sizes), f"n {values['n']}")
    path = out_file(run, file_name(command, ".png", parser, values, source), values["out"])
    check_image(path, run.recipe.x_shape)
    return path

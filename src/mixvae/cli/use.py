"""``mixvae evaluate``, ``sample`` and ``reconstruct``: metrics, samples and reconstructions."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mixvae import plots, report
from mixvae.data import Standardization
from mixvae.errors import MixvaeError, fits_memory, whole
from mixvae.evaluation import LogLikelihood, feature_network, representation
from mixvae.evaluation import evaluate as measure
from mixvae.evaluation.batches import spaced
from mixvae.evaluation.data_units import in_data_units
from mixvae.evaluation.marginal_likelihood.log_likelihood import N_CHAINS, N_SAMPLES
from mixvae.evaluation.metrics import check_names, listing
from mixvae.model import MixtureVAE
from mixvae.storage.files import write_arrays

from .parser import dashed, taken
from .pictures import check_image, check_path, save, say_if_replaced
from .result import Result
from .rows import save_rows
from .runs import OutputOptions, SplitOptions, file_name, open_run, open_with, parser_of

ESTIMATE = {
    "log_likelihood": N_SAMPLES,
    "method": "defensive",
    "n_steps": 1000,
    "n_test": None,
    "seed": 0,
    "split": None,
}


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(SplitOptions):
    """Data to evaluate on, and output."""

    representation: bool = False
    """Train classifiers (an MLP, a linear SVM, kNN) on the codes of the training data, and evaluate
    them on the split: some minutes."""
    n_train: int | None = None
    """Train the classifiers on so many codes only, evenly spaced; by default on all."""
    image_scores: bool = False
    """Compute Inception Score and FID of reconstructions and samples, by a classifier of the data:
    trained once for each data set, some minutes, and kept in --classifier-cache."""
    classifier_cache: str | None = None
    """Folder of these classifiers; by default mixvae/classifiers in the user's cache."""
    out: str | None = None
    """A JSON file for the metrics."""


@dataclass(frozen=True, kw_only=True)
class SampleOptions(OutputOptions):
    """Examples to sample."""

    n: int = 64
    """Number of examples."""
    component: int | None = None
    """Sample from this component alone, counted from 0; by default from the whole mixture."""
    label: int | None = None
    """Sample examples of this class, for a conditional model, or of this number of a batch, for one
    with batches; by default of all classes, or batches, in turn."""
    seed: int = 0
    """Seed of the samples."""


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(SplitOptions):
    """Examples to reconstruct."""

    n: int = 16
    """Number of examples, the first of the split."""
    component: int | None = None
    """Reconstruct by this component alone, counted from 0; by default by the whole mixture."""


def evaluate(argv: list[str]) -> Result:
    """Compute a run's metrics on its test data, or on other data.

    With --log-likelihood also log p(x), by importance sampling: 5,000 samples an example unless
    another number is given. It takes a while: --n-test 1000 takes 1,000 evenly spaced examples.
    Of a table whose columns are standardised, the ELBO and log p(x) are shown in the units of the
    data too.
    Where the result is marked UNRELIABLE, --method ais helps: annealed importance sampling, by
    default 16 chains an example, seconds each.
    Every example's estimate and a histogram are written into the run folder, as log_likelihood.npz
    and log_likelihood.png, whose names also give the split, the number of examples and so on where
    these are not the default. Missing metrics.json and pictures of a finished run are written too.

      mixvae evaluate runs/m-vae-mnist-001 --log-likelihood --n-test 1000

    --metrics computes only some of the metrics:
    """
    parser = parser_of(evaluate, f"\n{listing()}")
    parser.add_options("evaluation", measure, skip={"recipe", "split", "keep", "features"})
    parser.add_options("output", EvaluateOptions)
    parser.bare("log_likelihood", N_SAMPLES)
    parser.unset("batch_size", help="By default as in training.")
    parser.set_defaults(progress=True)
    run, source, values = open_run(parser, argv, mend=True)
    assert source is not None
    options = taken(EvaluateOptions, values)
    if options.out is not None:
        check_path(Path(options.out), (".json",))
    if options.representation and options.split in ("train", "all"):
        raise MixvaeError(
            "--representation trains on the training data, and is evaluated on others; give "
            "--split test or val."
        )
    _check_given(options)
    if values["metrics"] is not None:
        check_names(values["metrics"])  # before a classifier is trained
    values = {"batch_size": run.metrics.get("batch_size", 500)} | values
    if values["method"] == "ais" and values["log_likelihood"] == N_SAMPLES:
        values["log_likelihood"] = N_CHAINS
    name, split = source.part(options.split)
    if options.image_scores:
        values["features"] = feature_network(
            source.data, options.classifier_cache, progress=values["progress"]
        )
    estimates: list[LogLikelihood] = []
    metrics = {
        "data": source.data.describe() | {"warning": source.changes(run.folder) or None},
        "split": name,
        **in_data_units(
            measure(run.recipe, split, keep=estimates.append, **values),
            source.data.transform,
            split,
        ),
    }
    if options.representation:
        given = {key: values[key] for key in ("n_test", "batch_size", "seed")}
        metrics["representation"] = representation(
            run.recipe.model, source.data.train, split, n_train=options.n_train, **given
        )
    files = [] if options.out is None else [Path(options.out)]
    for path in files:
        report.write_metrics(metrics, path)
    given = {key: value for key, value in (values | vars(options)).items() if key in ESTIMATE}
    path = run.folder / file_name("log_likelihood", given, ESTIMATE, source)
    for estimate in estimates:
        transform, x = source.data.transform, spaced(split, len(estimate.log_prob)).x
        shift = transform.log_scales(x) if isinstance(transform, Standardization) else None
        files += _write(estimate, path, f"{source.data.name}, {name}", shift)
    about = {"run": run.folder, "metrics": metrics}
    return Result(text=report.table(metrics), values=about, files=files)


def sample(argv: list[str]) -> Result:
    """Sample new examples, for codes sampled from the prior: of images the means of p(x | z).

    Rows of a table are samples of p(x | z), noise included, with all columns in the data's units.

      mixvae sample runs/mvae-digits-001 --component 0
      mixvae sample runs/mfa-vae-wine-001 --n 1000 --out new.csv
    """
    from mixvae.evaluation.batches import evaluating

    opened = open_with(SampleOptions, sample, argv, with_data=False)
    options, model, x_shape = opened.options, opened.model, opened.run.recipe.x_shape
    n, label, out = options.n, options.label, opened.out
    whole(1, n=n)
    fits_memory(4 * prod((n, model.n_components, *x_shape)), f"n {n}")
    if not opened.is_table:
        check_image(out, x_shape)
    y = _classes(model, n, label)
    with evaluating(model, options.seed):
        x = model.sample(n, options.component, y, noise=opened.is_table)
    if opened.is_table:
        save_rows(out, x, opened.run.transform)
    else:
        save(out, x, _sampled(options), columns=_names_of(model, label))
    return opened.result(n=n)


def reconstruct(argv: list[str]) -> Result:
    """Reconstruct examples from the means of codes and weights; in a picture, below the images.

    A table's .csv has each row's number in the data's file, counted from 0, before its columns.
    """
    from mixvae.evaluation.batches import evaluating

    opened = open_with(ReconstructOptions, reconstruct, argv)
    options, model, k = opened.options, opened.model, opened.options.component
    whole(1, n=options.n)
    if not opened.is_table:
        check_image(opened.out, opened.run.recipe.x_shape)
    x, y = opened.rows(options.split)
    x, y = x[: options.n], None if y is None else y[: options.n]
    with evaluating(model):
        if k is None:
            found = model.reconstruct(x, y)
        else:
            found = model.reconstruct_each(x, y)[:, model.check_component(k)]
    if opened.is_table:
        axes = {"row": opened.row_numbers(options.split)[: options.n]}
        save_rows(opened.out, found, opened.run.transform, axes)
    else:
        by = "the mixture" if k is None else f"component {k} alone"
        title = f"Reconstructions by {by}\nAbove: the examples of the split, in order."
        save(opened.out, found, title, above=x)
    return opened.result(n=len(x))


def _check_given(options: EvaluateOptions) -> None:
    """Raise `MixvaeError` for an option of a computation that is not asked for."""
    of = {"n_train": "representation", "classifier_cache": "image_scores"}
    for name, asked in of.items():
        if getattr(options, name) is not None and not getattr(options, asked):
            raise MixvaeError(
                f"{dashed(name)} is of {dashed(asked)}, which is not asked for; give both."
            )


def _write(
    estimate: LogLikelihood, path: Path, of: str, log_scale: np.ndarray | None
) -> tuple[Path, ...]:
    """Write every example's estimate as arrays, and the histogram of log p(x), if any is finite.

    ``log_scale`` is that of each row's standardised columns, which the data's units have less.
    """
    file, names = Path(f"{path}.npz"), ("log_prob", "standard_error", "ess", "k_hat")
    arrays = {name: getattr(estimate, name).numpy() for name in names}
    if log_scale is not None:
        arrays["log_prob_data_units"] = arrays["log_prob"] - log_scale
    say_if_replaced(file)
    write_arrays(file, **arrays)
    if not estimate.log_prob.isfinite().any():
        return (file,)
    picture = plots.log_likelihood(
        estimate.log_prob,
        Path(f"{path}.png"),
        of=of,
        caveat=estimate.caveat,
        log_scale=None if log_scale is None or np.ptp(log_scale) else float(log_scale[0]),
    )
    return file, picture


def _sampled(options: SampleOptions) -> str:
    """Title of a picture of samples."""
    k, label = options.component, options.label
    of = "the mixture" if k is None else f"component {k}"
    of += "" if label is None else f", class {label}"
    return (
        f"Samples of {of} (means of p(x | z))\n"
        f"Each image has a code of its own from the prior, seed {options.seed}."
    )


def _names_of(model: MixtureVAE, label: int | None) -> list[str]:
    """Names of the columns of a picture that has all classes in turn."""
    n_classes = model.labels.n_classes if label is None else None
    return [] if n_classes is None else [f"class {c}" for c in range(n_classes)]


def _classes(model: MixtureVAE, n: int, label: int | None) -> Tensor | None:
    """The class asked for, or all classes in turn; None for a model that is not conditional."""
    if label is not None:
        return torch.full((n,), label)
    n_classes = model.labels.n_classes
    return None if n_classes is None else torch.arange(n) % n_classes

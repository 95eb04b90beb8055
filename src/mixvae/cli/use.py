"""``mixvae evaluate``, ``sample`` and ``reconstruct``: what a trained run is for."""

from pathlib import Path
from typing import Any, Literal

from ..errors import MixvaeError, at_least
from ..run import Run, load
from .inputs import DATA_OPTIONS, open_data, reopen
from .parser import Parser
from .pictures import check_folder, check_path, save

SplitName = Literal["train", "val", "test"]


def evaluate(argv: list[str]) -> None:
    """Take a run's figures and print them, or write them to a file."""
    from .. import report
    from ..evaluation import evaluate as measure

    parser = _parser("evaluate", "Take a run's figures on its test data, or on other data.")
    parser.add_options("evaluation", measure, skip={"recipe", "split"})
    parser.add_options("output", _evaluation_options)
    parser.unset("batch_size", help="By default as in training.")
    run, data, values = _open(parser, argv, with_data=True)
    values = {"batch_size": run.metrics.get("batch_size", 500)} | values
    split, out = values.pop("split"), values.pop("out")
    if out is not None:
        check_folder(Path(out))
    metrics = {"data": data.describe(), "split": split}
    metrics |= measure(run.recipe, getattr(data, split), **values)
    print(report.table(metrics))
    if out is not None:
        report.write_metrics(metrics, Path(out))


def sample(argv: list[str]) -> None:
    """Draw new images from a run into a picture or an array."""
    from ..evaluation.passes import evaluating

    parser = _parser("sample", "Draw new images: means of p(x | z), codes drawn from the prior.")
    parser.add_options("samples", _sample_options)
    run, _, values = _open(parser, argv)
    out = _out(run, "sample", values)
    with evaluating(run.recipe.model, values["seed"]):
        images = run.recipe.model.sample(values["n"], values["component"])
    print(save(out, images))


def reconstruct(argv: list[str]) -> None:
    """Put images and their reconstructions into a picture, or the latter into an array."""
    from ..evaluation.passes import evaluating

    about = "Reconstruct images, from the means of codes and weights; in a picture, below them."
    parser = _parser("reconstruct", about)
    parser.add_options("reconstructions", _reconstruct_options)
    run, data, values = _open(parser, argv, with_data=True)
    out, component = _out(run, "reconstruct", values), values["component"]
    x = getattr(data, values["split"]).x[: values["n"]]
    _check_component(run, component)
    with evaluating(run.recipe.model):
        if component is None:
            made = run.recipe.model.reconstruct(x)
        else:
            made = run.recipe.model.reconstruct_each(x)[:, component]
    print(save(out, made, above=x))


def _evaluation_options(*, split: SplitName = "test", out: str | None = None) -> None:
    """What the figures are of, and where they go.

    Args:
        split: which split of the data.
        out: a JSON file for the figures.
    """


def _sample_options(
    *, n: int = 64, component: int | None = None, seed: int = 0, out: str | None = None
) -> None:
    """What to draw.

    Args:
        n: how many.
        component: from this component alone, counted from 0; by default from the whole mixture.
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


def _parser(command: str, about: str) -> Parser:
    return Parser(f"mixvae {command} RUN [OPTIONS]", about)


def _open(
    parser: Parser, argv: list[str], *, with_data: bool = False
) -> tuple[Run, Any, dict[str, Any]]:
    """The run, its data if they are needed, and the other options."""
    if with_data:
        parser.add_options("data; by default the run's own", open_data, skip={"subset"})
        parser.unset(*(name for name in DATA_OPTIONS if name != "subset"))
    words, values = parser.read(argv, 1)
    if not words:
        raise MixvaeError(f"name a run folder, such as runs/m-vae-digits-001: {parser.usage}.")
    run = load(words[0])
    given = {name: values.pop(name) for name in DATA_OPTIONS if name in values}
    if "data" in given:
        given["subset"] = None  # the subset was of the run's own data
    data = reopen(run.folder, given) if with_data else None
    if data is not None and data.x_shape != run.recipe.x_shape:
        raise MixvaeError(
            f"the run {run.folder} was trained on x of shape {run.recipe.x_shape}; {data.name} has "
            f"{data.x_shape}."
        )
    return run, data, values


def _out(run: Run, command: str, values: dict[str, Any]) -> Path:
    """Where the result goes, after a look at what cannot work."""
    at_least(1, n=values["n"])
    component, out = values["component"], values["out"]
    source = "mixture" if component is None else f"component-{component}"
    path = run.folder / f"{command}-{source}.png" if out is None else Path(out)
    check_path(path, run.recipe.x_shape)
    return path


def _check_component(run: Run, component: int | None) -> None:
    K = run.recipe.n_components
    if component is not None and not 0 <= component < K:
        raise MixvaeError(
            f"component must be in 0 ... {K - 1}, as the model has {K}; got {component}."
        )

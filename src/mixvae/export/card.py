"""The model card of a run: what it is, its data, figures, command and limits, as Markdown."""

import json
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from shlex import quote
from typing import Any

from mixvae import __version__
from mixvae.errors import MixvaeError
from mixvae.recipes import options_of
from mixvae.recipes.values import as_json
from mixvae.report import table
from mixvae.run import CONFIG, DATA, Run, read_json
from mixvae.storage.reading import read_yaml
from mixvae.storage.run_folder import TRAINING

NOT_IN_COMMAND = {"recipe", "progress", "pictures", "out", "data_dir", "accelerator", "devices"}
DEFAULTS = {"data_seed": 0, "binarize": "none", "standardize": "auto", "prune": False}
SHOWN = ("max_epochs", "batch_size", "lr", "warmup_epochs", "seed")


def model_card(run: Run, *, license: str | None = None) -> str:
    """The card of a run.

    Parameters
    ----------
    run
        The run.
    license
        The licence of the weights; by default none is named.

    Returns
    -------
    str
        Markdown with the hub's header.
    """
    recipe, data = run.recipe, _read(run.folder, DATA)
    header = ["---", "library_name: mixvae"]
    header += [] if license is None else [f"license: {json.dumps(license)}"]
    header += ["tags:", "- mixvae", "- variational-autoencoder", f"- {recipe.name}", "---"]
    parts = [
        "\n".join(header),
        f"# {recipe.name} on {data.get('name', 'data that are not named')}",
        _what(run),
        _data(data),
        "## Figures\n\n" + _figures(run.metrics, data),
        "## Use\n\n" + _use(),
        "## Trained by\n\n" + _command(run),
        "## Limits\n\n" + _limits(run, data),
    ]
    return "\n\n".join(parts) + "\n"


def _what(run: Run) -> str:
    recipe = run.recipe
    k = recipe.model.n_components
    components = f"{k} components" if k > 1 else "one component"
    epochs = run.history[-1]["epoch"] if run.history else None
    trained = "" if epochs is None else f" Trained for {epochs:g} epochs."
    return (
        f"{_first_line(type(recipe.recipe).__doc__)} {components.capitalize()}, "
        f"{recipe.n_parameters:,} parameters, x of shape {recipe.x_shape}.{trained} "
        f"By [mixvae](https://pypi.org/project/mixvae) {__version__}."
    )


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _data(data: Mapping[str, Any]) -> str:
    if not data:
        return "## Data\n\nThe run does not say which data it was trained on."
    sizes = ", ".join(f"{data.get(f'n_{part}', '?')} {part}" for part in ("train", "val", "test"))
    lines = [f"{data.get('name')}: {sizes} rows; binarize {data.get('binarize')}."]
    columns = data.get("transform", {}).get("columns")
    if columns:
        shown = ", ".join(map(_as_code, columns[:20]))
        lines.append(f"Columns: {shown}{', ...' if len(columns) > 20 else ''}.")
    return "## Data\n\n" + " ".join(lines)


def _as_code(name: Any) -> str:
    """A name in which nothing is Markdown or HTML."""
    return f"`{' '.join(str(name).split()).replace('`', ' ')}`"


def _figures(metrics: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    if not metrics:
        return "None were computed."
    try:
        text = table({"data": dict(data)} | dict(metrics)).rstrip()
    except (KeyError, TypeError, ValueError, AttributeError):
        return "metrics.json is damaged."
    return (
        f"On the split {metrics.get('split', 'test')}. What is not a bound, or not reliable, is "
        f"marked so.\n\n```text\n{text}\n```"
    )


def _use() -> str:
    return (
        "```python\nimport mixvae\n\n"
        'run = mixvae.from_pretrained("USER/NAME")  # or this folder\n'
        "print(run.recipe)\nx = run.recipe.model.sample(8)\n```"
    )


def _command(run: Run) -> str:
    """The command line or the call that trains it again."""
    if (run.folder / CONFIG).exists():
        return f"```bash\n{_command_line(run)}\n```"
    settings = _read(run.folder, TRAINING)
    given = _changed(run) | {name: settings[name] for name in SHOWN if name in settings}
    options = ", ".join(f"{name}={value!r}" for name, value in _changed(run).items())
    rest = ", ".join(f"{name}={given[name]!r}" for name in SHOWN if name in given)
    built = f'mixvae.build("{run.recipe.name}", data{", " if options else ""}{options})'
    return f"```python\nmixvae.fit({built}, data{', ' if rest else ''}{rest})\n```"


def _changed(run: Run) -> dict[str, Any]:
    """The recipe's options that are not at their defaults."""
    defaults = {k: as_json(v) for k, v in options_of(type(run.recipe.recipe)).items()}
    return {k: v for k, v in run.recipe.options.items() if v != defaults.get(k)}


def _command_line(run: Run) -> str:
    from mixvae.training import fit

    settings = read_yaml(run.folder / CONFIG)
    defaults = {name: own.default for name, own in signature(fit).parameters.items()} | DEFAULTS
    defaults |= {k: as_json(v) for k, v in options_of(type(run.recipe.recipe)).items()}
    words = ["mixvae train", quote(str(settings.get("recipe", run.recipe.name)))]
    for name, value in settings.items():
        if name in NOT_IN_COMMAND or value is None or value == defaults.get(name, 0):
            continue
        if name == "data":
            value = Path(str(value)).name  # without the folders of a machine
        shown = " ".join(quote(_word(v)) for v in (value if isinstance(value, list) else [value]))
        words.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(words)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limits(run: Run, data: Mapping[str, Any]) -> str:
    lines = [
        "The figures are of held-out rows of the same data; of other data they say nothing.",
        "Components are named by numbers; that they stand for groups of the world is not shown "
        "by training.",
    ]
    if run.recipe.model.dropout is not None:
        lines.append("Components that component dropout removed are still in the weights.")
    health = run.metrics.get("health", {})
    if isinstance(health, Mapping) and health.get("warning"):
        lines.append(str(health["warning"]))
    if not run.complete:
        lines.append("Training was not finished when this was written.")
    return "\n".join(f"- {line}" for line in lines)


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        return read_json(folder, name)
    except MixvaeError:
        return {}

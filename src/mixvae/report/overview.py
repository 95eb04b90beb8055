"""The first sections of a report: what was trained, its figures, and its training."""

import inspect
import json
from collections.abc import Mapping
from math import sqrt
from shlex import quote
from typing import Any

from mixvae import plots
from mixvae.data import read_source
from mixvae.evaluation.marginal_likelihood.pareto import MAX_K, unreliable
from mixvae.objectives.objective import is_kl
from mixvae.recipes.registry import summary_of
from mixvae.recipes.values import as_json
from mixvae.run import CONFIG, TRAINING, read_json
from mixvae.storage.reading import read_yaml

from .examined import Examined
from .html import drawn, number, section, table, tag, text

VALID, NOT, UNRELIABLE = "valid bound", "not a bound", "UNRELIABLE"
UNKNOWN = "reliability unknown"
MOST_TERMS = 30


def trained(found: Examined, anchor: str) -> str:
    """What was trained on what, with the command that makes it again."""
    run, metrics, data = found.run, found.run.metrics, found.data
    options = ", ".join(f"{k} {v}" for k, v in run.recipe.options.items() if v is not None)
    sizes = (
        f"{data.name}: {len(data.train):,} training, {len(data.val):,} validation, "
        f"{len(data.test):,} test examples of shape {data.x_shape}; {data.transform}"
    )
    rows = [
        ("recipe", f"{run.recipe.name}: {summary_of(type(run.recipe.recipe))}"),
        ("data", sizes),
        ("shown here", f"{len(found.rows):,} of {found.n_split:,} rows of the {found.split} split"),
        ("likelihood", type(found.model.decoder.likelihood).__name__),
        ("components", str(run.recipe.n_components)),
        ("parameters", f"{run.recipe.n_parameters:,}"),
        ("training", _training(metrics)),
        ("options", options),
        ("versions", ", ".join(f"{k} {v}" for k, v in metrics.get("versions", {}).items())),
    ]
    if found.rows.weight is not None:
        rows.append(("weights", "the rows have weights; this report counts every row once"))
    command, how = again(found)
    facts = [row for row in rows if row[1]]
    content = table(["property", "value"], facts, kind="facts")
    return section(
        f"{anchor}-trained",
        "What was trained",
        content,
        text("p", how),
        tag("pre", text("code", command), tabindex="0"),
    )


def _training(metrics: Mapping[str, Any]) -> str:
    if "epochs" not in metrics:
        return ""
    best, seconds = metrics.get("best_epoch"), metrics.get("seconds")
    kept = "" if best is None else f"; epoch {best} was kept, the best on validation data"
    return f"{metrics['epochs']} epochs in {seconds} seconds{kept}"


def again(found: Examined) -> tuple[str, str]:
    """The command that trains the same model, or the call in Python, and a line about it."""
    folder, recipe = found.run.folder, found.run.recipe
    if (folder / CONFIG).exists():
        command = command_of(read_yaml(folder / CONFIG), type(recipe.recipe))
        return command, "The command that makes it again:"
    given = dict(recipe.options)
    if (folder / TRAINING).exists():
        given |= read_json(folder, TRAINING)
        for name in ("phase", "float32_library"):
            given.pop(name, None)
    shown = "".join(f",\n    {key}={value!r}" for key, value in given.items() if value is not None)
    how = "It was trained from Python. The same again, with the same data:"
    return f"mixvae.fit({recipe.name!r}, data{shown})", how


def command_of(settings: Mapping[str, Any], kind: type) -> str:
    """``mixvae train`` with the options that are not at their defaults.

    Parameters
    ----------
    settings
        The content of a run's config.yaml.
    kind
        The recipe's class.
    """
    from mixvae.training import fit

    defaults = {"data_seed": 0, "prune": False, "finetune_epochs": 0}
    for source in (read_source, fit, kind):
        signature = inspect.signature(source).parameters.items()
        defaults |= {name: as_json(p.default) for name, p in signature if _plain(p.default)}
    words = ["mixvae train", quote(str(settings.get("recipe")))]
    for name, value in settings.items():
        same = name in defaults and defaults[name] == value
        if name == "recipe" or value is None or same:
            continue
        items = value if isinstance(value, list) and value else [value]
        words.append(f"--{name.rstrip('_').replace('_', '-')}")
        words += [quote(v if isinstance(v, str) else json.dumps(v, default=str)) for v in items]
    return " ".join(words)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple)


def figures(found: Examined, anchor: str) -> str:
    """Bound, objective and log p(x), each with what it is."""
    rows = [[*row[:2], row[2], row[3]] for row in figure_rows(found)]
    content = table(
        ["figure", "value", "kind", "note"], rows, "Nats, means over examples", kind="figures"
    )
    return section(
        f"{anchor}-figures",
        "Bound, objective and log p(x)",
        content,
        text(
            "p",
            "A valid bound does not exceed log p(x), at least in expectation. What is not a bound "
            "may, and is no estimate of it. An unreliable figure must not be reported.",
        ),
        table(["term", "mean"], _terms(found), "Terms of the objective"),
        *(text("p", f"warning: {w}", class_="warning") for w in _warnings(found)),
    )


def figure_rows(found: Examined) -> list[list[str]]:
    """Figure, value with its error, kind, and note."""
    bounds, units = found.metrics.get("bounds", {}), found.metrics.get("data_units", {})
    standard = "columns standardised" if units else ""
    n = f"{found.metrics.get('n', found.n_split):,} examples"
    rows = []
    if bounds.get("objective") is not None:
        kind = VALID if bounds.get("objective_is_bound") else NOT
        note = ", ".join(filter(None, [n, standard]))
        rows.append(["objective (maximised)", number(bounds["objective"]), kind, note])
    elif "objective_note" in bounds:
        rows.append(["objective (maximised)", "--", NOT, bounds["objective_note"]])
    if bounds.get("elbo") is not None:
        value = units.get("elbo", bounds["elbo"])
        own = found.values["elbo"].double() - found.shift
        error = _error(own, found.n_split)
        note = f"{n}; ± is the standard error over examples"
        if len(own) < found.n_split:
            note += f"; {number(float(own.mean()))} on the {len(own):,} rows shown here"
        rows.append(["bound (ELBO)", f"{number(value)} ± {number(error)}", VALID, note])
    else:
        rows.append(["bound (ELBO)", "--", "none", str(bounds.get("elbo_note", "not computed"))])
    return rows + _log_p(found)


def _log_p(found: Examined) -> list[list[str]]:
    estimate = found.estimate
    if estimate is None or found.score is None:
        return [["log p(x)", "--", "none", f"not estimated: {found.why_no_estimate}"]]
    kind = {True: VALID, False: UNRELIABLE, None: UNKNOWN}[estimate.reliable]
    note = "an estimate, a lower bound in expectation"
    if estimate.reliable is False:
        note = unreliable(float((estimate.k_hat > MAX_K).double().mean()))
    elif estimate.reliable is None:
        note += "; k-hat needs 125 samples an example"
    over = number(_error(found.score, len(found.score)))
    value = f"{number(float(found.score.mean()))} ± {over}"
    value += "" if estimate.reliable else f" ({kind.lower()})"
    note = (
        f"{note}; {len(found.score):,} examples, {estimate.n_samples:,} samples each; ± is over "
        f"examples, and the estimate's own error {number(estimate.mean_error)}"
    )
    rows = [["log p(x)", value, kind, note]]
    known = estimate.k_hat[~estimate.k_hat.isnan()]
    if len(known):
        above = f"{float((known > MAX_K).double().mean()):.1%} of examples are above {MAX_K}"
        rows.append(["Pareto k-hat, largest", number(float(known.max())), "diagnostic", above])
    return rows


def _error(values: Any, n: int) -> float:
    """Standard error of a mean over n examples, of which these are some."""
    return float(values.std()) / sqrt(n) if len(values) > 1 else float("nan")


def _terms(found: Examined) -> list[list[str]]:
    rows = []
    for name, value in found.metrics.get("bounds", {}).items():
        if name.startswith("objective/") and value is not None:
            term = name.removeprefix("objective/")
            rows.append([_term(term), _value(term, {term: value})])
    return rows


def _term(name: str) -> str:
    """A term's name; KLs are shown positive, though the objective subtracts them."""
    name = name.removeprefix("val/")
    return f"{name} (subtracted)" if is_kl(name) else name


def _value(name: str, row: Mapping[str, Any]) -> str:
    value = row.get(name)
    return number(0.0 - value if is_kl(name.removeprefix("val/")) and value is not None else value)


def _warnings(found: Examined) -> list[str]:
    data = found.run.metrics.get("data", {})
    found_in = [data, *(found.metrics.get(name, {}) for name in ("health", "log_partition"))]
    own = [one.get("warning") for one in found_in if isinstance(one, Mapping)]
    own.append(None if found.estimate is None else found.estimate.warning())
    return [warning for warning in own if warning]


def curves(found: Examined, anchor: str) -> str:
    """Training curves by term, with phases and the kept epoch."""
    history = found.run.history
    title = "Training"
    if not history:
        return section(f"{anchor}-training", title, text("p", "The run has no history."))
    picture = drawn(plots.curves, history, alt="Training curves: objective, bound and each term")
    phases: dict[str, int] = {}
    for row in history:
        phases[row.get("phase", "main")] = int(row.get("epoch", 0))
    listed = ", then ".join(f"{name} ({n} epochs)" for name, n in phases.items())
    best = found.run.metrics.get("best_epoch")
    kept = "" if best is None else f" The weights are those of epoch {best} of the last phase."
    rows = _epochs(history, best)
    last = table(list(rows[0]), [list(row.values()) for row in rows], "First, kept and last epoch")
    return section(
        f"{anchor}-training", title, text("p", f"Phases: {listed}.{kept}"), picture, last
    )


def _epochs(history: list[dict[str, Any]], best: int | None) -> list[dict[str, str]]:
    """Terms at the first, the kept and the last epoch of the last phase, one row a term."""
    phase = history[-1].get("phase")
    own = [row for row in history if row.get("phase") == phase]
    shown = {"first": own[0], "last": own[-1]}
    if best is not None:
        kept = next((row for row in own if row.get("epoch") == best), own[-1])
        shown = {"first": own[0], "kept": kept, "last": own[-1]}
    names = [
        key
        for key in dict.fromkeys(key for row in own for key in row)
        if key.startswith("val/") and not key.rpartition("_")[2].isdigit()
    ]
    return [
        {"term, validation": _term(name)}
        | {
            f"{which}, epoch {int(row.get('epoch', 0))}": _value(name, row)
            for which, row in shown.items()
        }
        for name in names[:MOST_TERMS]
    ] or [{"term, validation": "none"}]

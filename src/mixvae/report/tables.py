"""Metrics as plain-text tables and as JSON files."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mixvae.evaluation.health import MIN_KL, MIN_SHARE, WITHOUT_X
from mixvae.evaluation.marginal_likelihood.pareto import MAX_K, unreliable
from mixvae.evaluation.metric import Metric, by_key
from mixvae.evaluation.metrics import METRICS
from mixvae.objectives.objective import is_kl
from mixvae.run import write_json

STATES = {
    "dead": f"KL under {MIN_KL:g} nat, or share under {MIN_SHARE}/K",
    "collapsed": "not dead, but no active unit: its code does not depend on x",
    "dropped": "removed by component dropout",
}
DEAD_WITHOUT_X = f"its {WITHOUT_X}"
IN_DATA_UNITS = "  in the units of the data"
BOUND = "a lower bound on log p(x)"
NO_BOUND = "not guaranteed to be a bound on log p(x)"
IN_MEAN = "a lower bound in expectation"
BY = {
    "plain": "by plain importance sampling",
    "defensive": "by importance sampling",
    "ais": "by annealed importance sampling",
}
UNKNOWN = "reliability unknown, as k-hat needs 125 samples"
CLASSIFIERS = {"mlp_accuracy_percent": "MLP accuracy", "svm_accuracy_percent": "SVM accuracy"}


def table(metrics: Mapping[str, Any]) -> str:
    """Metrics as aligned plain text.

    Parameters
    ----------
    metrics : Mapping
        Result of :func:`mixvae.evaluation.evaluate`; sections without metrics are left out. The
        caller may add ``data``, the data set's name or its description with a ``name``.

    Returns
    -------
    str
        Lines that end with a newline.
    """
    sections = [_header(metrics), *(_of_metric(metric, metrics) for metric in METRICS)]
    sections += [_single_figures(metrics), _representation(metrics.get("representation", {}))]
    for source in ("data", "health", "log_partition", "log_likelihood"):
        found = metrics.get(source)
        if isinstance(found, Mapping) and (warning := found.get("warning")):
            sections.append(f"warning: {warning}")
    return "\n\n".join(section for section in sections if section) + "\n"


def write_metrics(metrics: Mapping[str, Any], path: str | Path) -> None:
    """Write metrics as JSON, atomically; NaN and infinities, which JSON lacks, become null.

    Parameters
    ----------
    metrics : Mapping
        Nested values that JSON can hold.
    path : str or Path
        File to write.
    """
    write_json(Path(path), finite(metrics))


def finite(value: Any) -> Any:
    """The same nested values, with None in place of NaN and infinities, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def _of_metric(metric: Metric, metrics: Mapping[str, Any]) -> str:
    """A metric's section, as rows of its figures unless it has a form of its own."""
    if metric.name == "bounds":
        return _bounds(metric, metrics)
    values, words = metrics.get(metric.name), _words(metrics)
    if metric.name == "log_likelihood" or not isinstance(values, Mapping):
        return ""  # beside the bounds; among the single figures
    if metric.name == "health":
        return _components(metric, values, words)
    labels = {key: words(fig.label) for key, fig in metric.figures.items() if fig.label}
    title = ", ".join(filter(None, [words(metric.label), values.get("how")]))
    return _values(title, by_key(values), labels)


def _words(metrics: Mapping[str, Any]) -> Callable[[str], str]:
    """A function from labels to labels, which speak of columns where the data are a table."""
    data = metrics.get("data")
    if not isinstance(data, Mapping) or len(data.get("x_shape", ())) != 1:
        return str
    columns = "standardised columns" if "data_units" in metrics else "columns"
    return lambda label: label.replace("pixels in [0, 1]", columns).replace("SSE", "squared error")


def _single_figures(metrics: Mapping[str, Any]) -> str:
    """Metrics that are one number each."""
    labels = {metric.name: metric.label for metric in METRICS if not metric.figures}
    return _values("further figures, means over x", metrics, labels)


def _header(metrics: Mapping[str, Any]) -> str:
    data = metrics.get("data")
    name = data.get("name") if isinstance(data, Mapping) else data
    of = f"{metrics.get('n', 0):,} examples" + (f" of {name}" if name else "")
    size = f" ({metrics['n_parameters']:,} parameters)" if "n_parameters" in metrics else ""
    return f"{metrics.get('recipe', 'model')}{size} on {of}"


def _bounds(metric: Metric, metrics: Mapping[str, Any]) -> str:
    """The objective's terms, their sum, the bound and log p(x), and which are bounds."""
    values, labels = metrics.get("bounds", {}), metric.figures
    units = metrics.get("data_units", {})
    rows = [
        _term(name.removeprefix("objective/"), value)
        for name, value in values.items()
        if name.startswith("objective/")
    ]
    if "objective" in values:
        note = BOUND if values.get("objective_is_bound") else NO_BOUND
        note = values.get("objective_note") or note
        rows.append([labels["objective"].label, _number(values["objective"]), note])
    if "elbo" in values:
        note = values.get("elbo_note") or BOUND
        rows.append([labels["elbo"].label, _number(values["elbo"]), note])
        rows += _in_data_units("elbo", units, BOUND)
    for other in METRICS:
        if other.name == "log_likelihood":
            rows += _log_likelihood(other, metrics.get(other.name, {}), units)
    return _section(metric.label + (", columns standardised" if units else ""), rows)


def _in_data_units(name: str, units: Mapping[str, Any], *notes: str) -> list[list[str]]:
    """A row with the same number in the units of the data, where x is standardised."""
    return [[IN_DATA_UNITS, _number(units[name]), *notes]] if name in units else []


def _term(name: str, value: float | None) -> list[str]:
    """A term of the objective; KL terms are shown positive, though the objective subtracts them."""
    if is_kl(name) and value is not None:
        return [f"  {name}", _number(0.0 - value), "subtracted"]
    return [f"  {name}", _number(value)]


def _log_likelihood(
    metric: Metric, estimate: Mapping[str, Any], units: Mapping[str, Any]
) -> list[list[str]]:
    """The estimate of log p(x), and how reliable it is."""
    if not estimate:
        return []
    error, note = f"± {_number(estimate['mean_error'])}", []
    method = estimate.get("method", "defensive")
    caveat = f"{BY[method]}: {IN_MEAN}"
    reliable = estimate.get("reliable", True)
    if method == "ais":
        caveat = f"{caveat}; how far too low, evaluation.bidirectional says"
    elif reliable is None:
        caveat = f"{caveat}; {UNKNOWN}"
    elif reliable is False:
        caveat = f"{BY[method]}; {unreliable(estimate['k_hat_above'])}"
        note = ["UNRELIABLE, as log p(x)"]
    rows = [
        [metric.figures["mean"].label, _number(estimate["mean"]), f"{error}, {caveat}"],
        *_in_data_units("log_likelihood", units, *note),
    ]
    if "bits_per_dim" in estimate:
        label = metric.figures["bits_per_dim"].label
        rows.append([label, _number(estimate["bits_per_dim"]), *note])
    rows += [
        [
            "  chains an example" if method == "ais" else "  samples an example",
            f"{estimate['n_samples']:,}",
        ],
        [
            "  effective samples",
            _number(estimate["ess_mean"]),
            f"of {estimate['n_samples']:,}; least {_number(estimate['ess_min'])}",
        ],
    ]
    if "k_hat_max" in estimate:
        above = f"above {MAX_K} for {estimate['k_hat_above']:.1%} of examples"
        rows.append(["  Pareto k-hat, largest", _number(estimate["k_hat_max"]), above])
    return rows


def _components(
    metric: Metric, health: Mapping[str, Any], words: Callable[[str], str] = str
) -> str:
    """One row for each component, and the effective number of components."""
    if not health:
        return ""
    keys = ("kl", "active_units", "share", "used", "sse_alone")
    head = ["component", *(words(metric.figures[key].label) for key in keys), "state"]
    columns = zip(*(health[key] for key in keys), strict=True)
    rows = [
        [
            *(str(k), _number(kl), f"{units}/{health['n_latent']}"),
            *(_number(share), _number(used), _number(sse)),
            _state(k, health),
        ]
        for k, (kl, units, share, used, sse) in enumerate(columns)
    ]
    effective = (
        f"  effective number of components: {_number(health['effective_components'])} overall, "
        f"{_number(health['effective_per_example'])} for one x"
    )
    states, needs_codes = {row[-1] for row in rows}, health.get("needs_codes", True)
    meanings = STATES if needs_codes else STATES | {"dead": DEAD_WITHOUT_X}
    legend = [f"  {state}: {meaning}" for state, meaning in meanings.items() if state in states]
    section = _section(metric.label, [head, *rows], right=True)
    return "\n".join([section, effective, *legend])


def _state(k: int, health: Mapping[str, Any]) -> str:
    if k in health.get("dropped", ()):
        return "dropped"
    if k in health["dead"]:
        return "dead"
    return "collapsed" if k in health.get("collapsed", ()) else "alive"


def _representation(by_code: Mapping[str, Mapping[str, float]]) -> str:
    """One row for each code, one column for each classifier."""
    if not by_code:
        return ""
    names = next(iter(by_code.values()))
    head = ["codes", *(CLASSIFIERS.get(n) or _neighbours(n) for n in names)]
    rows = [[c.replace("_", " "), *map(_number, found.values())] for c, found in by_code.items()]
    return _section("classifiers on the codes, %", [head, *rows], right=True)


def _neighbours(name: str) -> str:
    """Column header of a kNN metric such as knn_3_error_percent."""
    _, k, what, _ = name.split("_")
    return f"{k}NN {what}"


def _values(title: str, values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    note = [values["note"]] if "note" in values else []  # why values are missing
    rows = [[label, _numbers(values[key]), *note] for key, label in names.items() if key in values]
    return _section(title, rows)


def _section(title: str, rows: Sequence[Sequence[str]], *, right: bool = False) -> str:
    """Rows in columns: all flush right, or the first flush left, then numbers, then notes."""
    if not rows:
        return ""
    n_columns = max(map(len, rows))
    width = [max(len(row[i]) for row in rows if i < len(row)) for i in range(n_columns)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width[i]) if right or i == 1 else cell.ljust(width[i])
            for i, cell in enumerate(row)
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join([title, *lines])


def _numbers(values: Any) -> str:
    """A number, or several, such as one for each component."""
    return " ".join(map(_number, values)) if isinstance(values, list) else _number(values)


def _number(value: float | None) -> str:
    """Three decimals for small figures, two for large ones; -- where there is none."""
    if value is None or not isfinite(value):
        return "--"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.2f}"

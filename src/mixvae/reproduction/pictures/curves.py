"""Figures as lines, over another figure or over epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mixvae.plots.figures import panels, save

from ..results import Results, value_at

LABELS = {"n_components": "number of components K", "n_parameters": "number of parameters"}


def against(
    results: Results, path: Path, *, x: str, y: Sequence[str], label: str, names: Sequence[str] = ()
) -> bool:
    """Figures of the rows as lines over another figure of theirs, such as K.

    ``x`` and ``y`` are paths into the figures; ``names`` are the lines' names in the legend. Bars
    are standard deviations over seeds.
    """
    points: dict[str, list[tuple[float, float, float]]] = {}
    for row in results.trained:
        seeds = results.figures[row.name]
        for path_y, name in zip(y, names or y, strict=True):
            values = [value_at(figures, path_y) for figures in seeds]
            values = [float(v) for v in values if isinstance(v, int | float)]
            at = value_at(seeds[0], x)
            if values and at is not None:
                t = torch.tensor(values)
                spread = float(t.std()) if len(values) > 1 else 0.0
                points.setdefault(name, []).append((float(at), float(t.mean()), spread))
    if not points:
        return False
    fig, (ax,) = panels(1, 5.0, 3.5)
    for name, line in points.items():
        places, means, deviations = zip(*sorted(line), strict=True)
        ax.errorbar(places, means, deviations, marker="o", capsize=3, label=name)
    ax.set(xlabel=axis_label(x), ylabel=label)
    ax.legend()
    save(fig, path, results.item.title)
    return True


def histories(
    results: Results,
    path: Path,
    *,
    columns: dict[str, str],
    skip: int = 0,
    after_warmup: bool = False,
    negated: bool = False,
) -> bool:
    """Columns of the training histories of all rows over the epochs, a panel for each column.

    ``columns`` has the label of each; ``skip`` leaves out so many first epochs, ``after_warmup``
    those of the KL warm-up; ``negated`` shows losses in place of objectives.
    """
    shown = results.trained
    if not shown:
        return False
    fig, axes = panels(len(columns), 4.5, 3.2)
    sign = -1 if negated else 1
    for row in shown:
        first = max(skip, results.job(row).training.get("warmup_epochs", 0) if after_warmup else 0)
        history = [line for line in results.run(row).history if line["epoch"] > first]
        for ax, (column, label) in zip(axes, columns.items(), strict=True):
            at, values = _over_epochs(history, column)
            marker = "." if len(at) < 10 else ""
            ax.plot(at, [sign * v for v in values], label=row.name, marker=marker)
            ax.set(xlabel="epoch", ylabel=label)
            ax.locator_params(axis="x", integer=True)
    axes[-1].legend(fontsize="small")
    save(fig, path, results.item.title)
    return True


def histories_by_row(
    results: Results, path: Path, *, columns: dict[str, str], label: str, skip: int = 0
) -> bool:
    """Columns of the training histories over the epochs, a panel for each row.

    ``columns`` has the name of each in the legend, and ``label`` is that of the axis. For rows
    whose figures differ in scale, such as those of different data.
    """
    from matplotlib.ticker import MaxNLocator

    shown = results.trained
    if not shown:
        return False
    fig, axes = panels(len(shown), 3.0, 2.7, margin=1.2)
    for ax, row in zip(axes, shown, strict=True):
        history = [line for line in results.run(row).history if line["epoch"] > skip]
        for column, name in columns.items():
            ax.plot(*_over_epochs(history, column), marker=".", label=name)
        ax.set_title(row.name, fontsize="medium")
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes[0].set_ylabel(label)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    save(fig, path, results.item.title)
    return True


def axis_label(path: str) -> str:
    """The label of an axis with the figures at a path."""
    name = path.rpartition(".")[2]
    return LABELS.get(name, name.replace("_", " "))


def _over_epochs(
    history: Sequence[Mapping[str, Any]], column: str
) -> tuple[list[float], list[float]]:
    """Epochs and values of a column, where it has any."""
    lines = [line for line in history if line.get(column) is not None]
    return [line["epoch"] for line in lines], [line[column] for line in lines]

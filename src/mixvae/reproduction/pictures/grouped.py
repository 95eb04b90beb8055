"""Figures of groups of rows, as lines: over another figure, and over choices."""

from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from statistics import mean

from mixvae.plots.figures import panels, save

from ..results import Results, value_at
from .curves import axis_label

Groups = Mapping[str, Sequence[str]]  # names of rows by the group's name


def lines(
    results: Results,
    path: Path,
    *,
    x: str,
    columns: Mapping[str, str],
    groups: Groups,
    level: Sequence[str] = (),
    label: str | None = None,
) -> bool:
    """Figures over another one, a line for each group of rows and a panel for each figure.

    ``x`` and the keys of ``columns``, whose values are titles, are paths into the figures. Rows in
    ``level`` do not depend on x: horizontal lines. GMMpVAE, Fig. 3.
    """
    if not results.trained:
        return False
    fig, axes = panels(len(columns), 4.2, 3.4)
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        for name, rows in groups.items():
            at = {_mean(results, row, x): _mean(results, row, column) for row in rows}
            known = sorted((u, v) for u, v in at.items() if u is not None and v is not None)
            ax.plot([u for u, _ in known], [v for _, v in known], marker="o", label=name)
        for row in level:
            if (value := _mean(results, row, column)) is not None:
                ax.axhline(value, color="0.4", ls="--", label=row)
        ax.set(title=title, xlabel=label or axis_label(x), ylabel="nats")
    axes[0].legend(fontsize="small")
    save(fig, path, results.item.title)
    return True


def differences(
    results: Results,
    path: Path,
    *,
    columns: Mapping[str, str],
    groups: Mapping[str, Groups],
    series: Sequence[str],
    label: str,
) -> bool:
    """How far figures of rows are from those of the last choice, over the choices, as lines.

    A line of panels for each of ``groups``, which have the rows of each choice, one for each of
    ``series``; a panel for each of ``columns``, the figures' paths with their labels. GMMpVAE,
    Fig. 4.
    """
    from matplotlib.figure import Figure

    if not results.trained:
        return False
    size = (4.4 * len(columns) + 1.3, 3.4 * len(groups))
    fig = Figure(figsize=size, layout="constrained")
    axes = fig.subplots(len(groups), len(columns), squeeze=False)
    cells = [(group, column) for group in groups for column in columns]
    for ax, (group, column) in zip(axes.flat, cells, strict=True):
        choices = groups[group]
        for i, name in enumerate(series):
            values = [_mean(results, rows[i], column) for rows in choices.values()]
            last = values[-1] if values[-1] is not None else nan
            known = {j: value - last for j, value in enumerate(values) if value is not None}
            ax.plot(list(known), list(known.values()), marker="o", label=name)
        ax.set_xticks(range(len(choices)), [choice.replace(", ", "\n") for choice in choices])
        ax.set(title=f"{group}: {columns[column]}", ylabel=label)
        ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    save(fig, path, results.item.title)
    return True


def _mean(results: Results, row: str, column: str) -> float | None:
    """A row's figure, the mean over seeds; None where there is none."""
    found = [value_at(figures, column) for figures in results.figures.get(row, [])]
    values = [float(value) for value in found if isinstance(value, int | float)]
    return mean(values) if values else None

"""Figures of groups of rows: as lines over another figure, and as points side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from mixvae.plots.figures import colours_of, panels, save

from ..results import Results, value_at

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
        ax.set(title=title, xlabel=label or x.rpartition(".")[2].replace("_", " "), ylabel="nats")
    axes[0].legend(fontsize="small")
    save(fig, path, results.item.title)
    return True


def points(
    results: Results,
    path: Path,
    *,
    columns: Mapping[str, str],
    groups: Mapping[str, Groups],
    ticks: Sequence[str],
) -> bool:
    """Figures of rows as points: a row of panels for each group, a panel for each figure.

    A group has series by their names in the legend, and the rows of a series stand at ``ticks``.
    ``columns`` has the paths of the figures with their labels. GMMpVAE, Fig. 4.
    """
    from matplotlib.figure import Figure

    if not results.trained:
        return False
    size = (4.2 * len(columns), 3.2 * len(groups))
    fig = Figure(figsize=size, layout="constrained")
    axes = fig.subplots(len(groups), len(columns), squeeze=False)
    cells = [(group, column) for group in groups for column in columns]
    for ax, (group, column) in zip(axes.flat, cells, strict=True):
        series = groups[group]
        for i, (name, colour) in enumerate(zip(series, colours_of(len(series)), strict=True)):
            shift = 0.6 * (i / max(len(series) - 1, 1) - 0.5)
            found = {j + shift: _mean(results, r, column) for j, r in enumerate(series[name])}
            known = {at: value for at, value in found.items() if value is not None}
            ax.plot(list(known), list(known.values()), ls="", marker="o", color=colour, label=name)
        ax.set_xticks(range(len(ticks)), ticks)
        ax.set(title=f"{group}: {columns[column]}", ylabel="nats", xlim=(-0.5, len(ticks) - 0.5))
        ax.grid(axis="y", color="0.9")
        if column == list(columns)[-1]:
            ax.legend(fontsize="x-small")
    save(fig, path, results.item.title)
    return True


def _mean(results: Results, row: str, column: str) -> float | None:
    """A row's figure, the mean over seeds; None where there is none."""
    found = [value_at(figures, column) for figures in results.figures.get(row, [])]
    values = [float(value) for value in found if value is not None]
    return mean(values) if values else None

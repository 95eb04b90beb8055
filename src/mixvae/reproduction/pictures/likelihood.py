"""Distributions of log p(x) over test images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mixvae.plots.figures import save

from ..results import Results, value_at


def histograms(results: Results, path: Path, *, groups: Mapping[str, Sequence[str]]) -> bool:
    """Histograms of the rows' estimates of log p(x) over test images, a panel for each row.

    ``groups`` has the names of rows by that of their data: those of one data set share an axis,
    and stand side by side. GMMpVAE, Fig. 10.
    """
    from matplotlib.figure import Figure

    values = {
        name: {row: _estimates(results, row) for row in rows} for name, rows in groups.items()
    }
    if not any(each for rows in values.values() for each in rows.values()):
        return False
    n_columns = max(map(len, groups.values()))
    fig = Figure(figsize=(2.6 * n_columns, 2.3 * len(groups)), layout="constrained")
    axes = fig.subplots(len(groups), n_columns, squeeze=False, sharex="row", sharey="row")
    for line, (name, rows) in zip(axes, values.items(), strict=True):
        every = torch.tensor([v for each in rows.values() for v in each])
        n_bins = min(40, 8 + len(every) // (10 * len(rows)))
        edges = torch.linspace(every.min(), every.max(), n_bins).tolist() if len(every) else []
        for ax, (row, each) in zip(line, rows.items(), strict=False):
            if each:
                ax.hist(each, edges, weights=[1 / len(each)] * len(each))
                centre = sum(each) / len(each)
                ax.axvline(centre, color="0.3", ls="--", lw=1)
                mark = "" if _is_reliable(results, row) else ", UNRELIABLE"
                row = f"{row}\nmean {centre:.1f}{mark}"
            ax.set_title(row, fontsize=8)
        line[0].set_ylabel(f"{name}\nshare of images", fontsize=8)
    fig.supxlabel("log p(x), nats", fontsize=9)
    save(fig, path, results.item.title)
    return True


def _estimates(results: Results, row: str) -> list[float]:
    """Those of the first seed; empty where there are none."""
    for figures in results.figures.get(row, [])[:1]:
        return [v for v in value_at(figures, "log_likelihood.each") or [] if v is not None]
    return []


def _is_reliable(results: Results, row: str) -> bool:
    return value_at(results.figures[row][0], "log_likelihood.reliable") is not False

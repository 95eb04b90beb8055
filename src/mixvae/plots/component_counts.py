"""Number of components against held-out figures, and how the components are used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "log_likelihood": ("log p(x)", "nats"),
    "elbo": ("bound on log p(x)", "nats"),
    "sse": ("squared error of reconstructions", ""),
}
Value = tuple[float, float | None]  # and its standard error, where it is known


@dataclass(frozen=True)
class ComponentCount:
    """Figures of one model, or of one for each seed, with K components.

    Parameters
    ----------
    n_components
        Number K of components.
    figures
        By name, ``log_likelihood``, ``elbo``, ``sse`` or another, the mean over rows and the
        standard error of its difference from the best model's; None where it is not known.
    effective
        Effective number of components, and its standard error over seeds.
    in_use
        Number of components that are neither dead, collapsed nor dropped, a mean over seeds.
    shares
        Of the components, any order.
    """

    n_components: int
    figures: Mapping[str, Value] = field(default_factory=dict)
    effective: Value = (nan, None)
    in_use: float = nan
    shares: Sequence[float] = ()


def component_counts(
    counts: Sequence[ComponentCount],
    path: str | Path,
    *,
    chosen: int | None = None,
    best: int | None = None,
    of: str = "validation rows",
    labels: Mapping[str, str] | None = None,
) -> Path:
    """Figures by number of components K, with standard errors and the chosen K marked.

    Bars are standard errors of the difference from the best model, paired by row: a K is within one
    of it where its bar reaches the dotted line.

    Parameters
    ----------
    counts
        A value for each model. Those of one K are drawn as dots, and lines join the first of each.
    path
        PNG file to write.
    chosen, best
        The K that was chosen, and the best, which dotted lines show.
    of
        Name of the rows, for the title.
    labels
        Titles of figures that are neither log p(x), the bound nor the squared error.

    Returns
    -------
    Path
        The written file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> one = ComponentCount(1, {"elbo": (-5.0, 0.2)}, (1.0, None), 1, [1.0])
    >>> two = ComponentCount(2, {"elbo": (-4.0, None)}, (1.8, None), 2, [0.7, 0.3])
    >>> with TemporaryDirectory() as folder:
    ...     component_counts([one, two], f"{folder}/k.png", chosen=2, best=2).name
    'k.png'
    """
    rows = sorted(counts, key=lambda one: one.n_components)
    order = [*TITLES, *(name for one in rows for name in one.figures)]
    names = [n for n in dict.fromkeys(order) if any(n in one.figures for one in rows)]
    fig, axes = panels(len(names) + 2, 3.2, 2.7)
    for ax, name in zip(axes, names, strict=False):
        title, unit = TITLES.get(name, ((labels or {}).get(name, name), ""))
        _figure(ax, rows, name, best)
        ax.set(title=title, ylabel=unit)
    _use(axes[-2], rows)
    _shares(axes[-1], rows)
    places = sorted({one.n_components for one in rows})
    for ax in axes[:-1]:
        _mark(ax, places, chosen)
    bars = "bars: standard error of the difference from the best K, paired by row"
    title = f"Number of components, {of}" + ("" if chosen is None else f": K = {chosen} chosen")
    return save(fig, path, f"{title}\n{bars}")


def _figure(ax: "Axes", rows: Sequence[ComponentCount], name: str, best: int | None) -> None:
    """A figure's means with errors; the best K's is dotted."""
    seen: dict[int, Value] = {}
    for one in rows:
        if name in one.figures:
            if one.n_components in seen:
                ax.plot(one.n_components, one.figures[name][0], ".", color="0.65", zorder=1)
            seen.setdefault(one.n_components, one.figures[name])
    errors = [error or 0.0 for _, error in seen.values()]
    means = [mean for mean, _ in seen.values()]
    ax.errorbar(list(seen), means, errors, color="C0", marker="o", ms=4, capsize=3)
    if best in seen:
        ax.axhline(seen[best][0], color="0.4", ls=":", lw=1)


def _use(ax: "Axes", rows: Sequence[ComponentCount]) -> None:
    """The effective number, and the number in use, beside K itself."""
    first = _first(rows)
    places = list(first)
    values = [one.effective[0] for one in first.values()]
    errors = [one.effective[1] or 0.0 for one in first.values()]
    ax.plot(places, places, color="0.6", ls=":", lw=1, label="all K alike")
    ax.errorbar(places, values, errors, color="C0", marker="o", ms=4, capsize=3, label="effective")
    ax.plot(places, [one.in_use for one in first.values()], "s--", ms=4, color="C1", label="in use")
    ax.set(title="components in use", ylabel="components")
    ax.legend(fontsize=7, loc="upper left")


def _shares(ax: "Axes", rows: Sequence[ComponentCount]) -> None:
    """Each K's shares, the largest at the bottom, in alternating greys."""
    first = _first(rows)
    for i, one in enumerate(first.values()):
        bottom = 0.0
        for j, share in enumerate(sorted(filter(isfinite, one.shares), reverse=True)):
            colour = ("0.45", "0.8")[j % 2]
            ax.bar(i, share, 0.7, bottom, color=colour, edgecolor="white", linewidth=0.4)
            bottom += share
    ax.set_xticks(range(len(first)), list(map(str, first)))
    ax.set(title="shares of the components", xlabel="K", ylim=(0, 1))


def _first(rows: Sequence[ComponentCount]) -> dict[int, ComponentCount]:
    found: dict[int, ComponentCount] = {}
    for one in rows:
        found.setdefault(one.n_components, one)
    return found


def _mark(ax: "Axes", places: Sequence[int], chosen: int | None) -> None:
    """The axis of K, logarithmic where it goes far, with the chosen one marked."""
    from matplotlib.ticker import NullLocator

    if places[0] > 0 and places[-1] >= 8 * places[0] and len(places) > 2:
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    if len(places) <= 12:
        ax.set_xticks(places, list(map(str, places)))
    ax.set_xlabel("K")
    if chosen is not None:
        ax.axvline(chosen, color="C3", lw=6, alpha=0.25, zorder=0)

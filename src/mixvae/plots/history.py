"""Training curves of a run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mixvae.errors import MixvaeError
from mixvae.objectives.objective import is_kl

from .figures import LINES, colours_of, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = {"dhsic": "", "effective_components": "components"}
History = Sequence[Mapping[str, Any]]
MAX_NAMED = 20  # components in the legend
CHOSEN = {"kept": "kept in evaluation", "selected": "selected by a mask, mean"}
CHOSEN_TITLE = "K: kept (solid), selected by a mask (dashed)"
BY_COMPONENT = {
    "kl_z": ("KL by component", "nats"),
    "share": ("share by component", ""),
    "active_units": ("active units by component", "latents"),
    "sse_alone": ("error of each component alone", "squared error"),
    "rate": ("dropout rate by component", ""),
}


class Panel(NamedTuple):
    """Lines over the epochs, by label: the key of their values in the history."""

    history: History
    title: str
    unit: str
    lines: Mapping[str, str]
    sign: int = 1
    from_zero: bool = False
    kept: int | None = None  # epoch whose weights are the run's

    def values(self, key: str) -> list[float]:
        """The values of a line, NaN where the history has none."""
        return [self.sign * row.get(key, nan) for row in self.history]

    @property
    def is_empty(self) -> bool:
        return not any(isfinite(v) for key in self.lines.values() for v in self.values(key))


def curves(history: History, path: str | Path) -> Path:
    """Objective, ELBO, terms and component health by epoch.

    Phases before the last one (initialization, pretraining) have a panel each, with their
    objective. KL terms are shown positive. A vertical line marks the epoch that is kept, of the
    best objective on validation data after any warm-up. Panels without finite values are left out.

    Parameters
    ----------
    history : sequence of Mapping
        One mapping for each epoch, with the keys ``epoch`` (0 is before the first step),
        ``train/NAME``, ``val/NAME`` and ``phase``. Missing keys are allowed.
    path : str or Path
        PNG file to write.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If ``history`` is no such sequence, or has no finite value.
    """
    if not isinstance(history, Sequence) or not all(isinstance(row, Mapping) for row in history):
        raise MixvaeError("history must be a list of one dict for each epoch, as run.history.")
    found = [panel for panel in _panels(history) if not panel.is_empty]
    if not found:
        raise MixvaeError("the history has no finite value, so that there is nothing to draw.")
    fig, axes = panels(len(found), 3.1, 2.3, margin=0.8)
    for ax, panel in zip(axes, found, strict=True):
        _draw(ax, panel)
    _legends(fig, found, axes)
    kept = found[-1].kept
    return save(fig, path, "Training" + ("" if kept is None else f": epoch {kept} is kept"))


def _panels(history: History) -> Iterator[Panel]:
    *before, last = dict.fromkeys(row.get("phase", "") for row in history) or [""]
    for i, phase in enumerate(before):
        rows = [row for row in history if row.get("phase", "") == phase]
        title = f"phase {i + 1} of {len(before) + 1}, {phase}: objective"
        yield Panel(rows, title, "nats", {"train": "train/objective"})
    history = [row for row in history if row.get("phase", "") == last]
    kept = _kept(history)
    found = dict.fromkeys(key.split("/", 1)[1] for row in history for key in row if "/" in key)
    groups = {stem: [n for n in found if re.fullmatch(rf"{stem}_\d+", n)] for stem in BY_COMPONENT}
    shared = {*CHOSEN, *(name for names in groups.values() for name in names)}
    if len(groups["share"]) == 1:  # they are 1 all the time
        groups["share"], shared = [], shared | {"effective_components"}
    terms = [name for name in found if name not in shared]
    for name in sorted(terms, key=lambda n: ("objective", "elbo", n).index(n)):  # a stable order
        lines = {split: f"{split}/{name}" for split in ("train", "val")}
        title, sign = (f"{name} (subtracted)", -1) if is_kl(name) else (name, 1)
        yield Panel(history, title, UNITS.get(name, "nats"), lines, sign, kept=kept)
    for stem, names in groups.items():
        if names:
            lines = {name.rpartition("_")[2]: f"val/{name}" for name in names}
            yield Panel(history, *BY_COMPONENT[stem], lines, from_zero=True, kept=kept)
    if chosen := {label: f"val/{name}" for name, label in CHOSEN.items() if name in found}:
        yield Panel(history, CHOSEN_TITLE, "components", chosen, from_zero=True, kept=kept)


def _kept(history: History) -> int | None:
    """The epoch whose weights training keeps; None where the history does not say."""
    from mixvae.training.checkpoints import MONITOR, best_of

    rows = [{"kl_scale": 1, **row} for row in history if isfinite(row.get(MONITOR, nan))]
    best = best_of(rows)
    return None if best is None or "epoch" not in best else int(best["epoch"])


def _draw(ax: "Axes", panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", i) for i, row in enumerate(panel.history)]
    marker = "." if len(epochs) < 10 else ""
    late = [0.0] if panel.from_zero else []
    colours = colours_of(len(panel.lines))
    for i, (label, key) in enumerate(panel.lines.items()):
        values = panel.values(key)
        if any(map(isfinite, values)):
            style: dict[str, Any] = {
                "color": colours[i],
                "ls": LINES[i % len(LINES)],
                "marker": marker,
            }
            ax.plot(epochs, values, label=label, **style)
        late += filter(isfinite, values[len(values) // 10 :])
    if late:  # limits without the first tenth of the epochs, which would flatten the rest
        margin = 0.05 * (max(late) - min(late)) or 0.05 * abs(late[0]) or 1.0
        ax.set_ylim(min(late) - margin, max(late) + margin)
    if panel.kept is not None:
        ax.axvline(panel.kept, color="0.5", lw=1, ls="-.", zorder=0, label="kept epoch")
    ax.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.tick_params(labelsize=8)
    ax.set_title(panel.title, fontsize=9)
    ax.set_xlabel("epoch", fontsize=8)
    ax.set_ylabel(panel.unit, fontsize=8)


def _legends(fig: "Figure", found: Sequence[Panel], axes: Sequence["Axes"]) -> None:
    """Legends beside the panels: one of the components, one below of all other lines."""
    by_component = {title for title, _ in BY_COMPONENT.values()}
    groups: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for panel, ax in zip(found, axes, strict=True):
        if panel.title == CHOSEN_TITLE:  # which has a legend in it
            continue
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            is_component = panel.title in by_component and label != "kept epoch"
            groups[is_component].setdefault(label, handle)
    others, components = groups
    if len(components) > 1:
        some = list(components)[:: ceil(len(components) / MAX_NAMED)]
        place: dict[str, Any] = {"title": "component", "loc": "outside right center"}
        fig.legend([components[k] for k in some], some, fontsize=8, **place)
    names = list(others)
    fig.legend(list(others.values()), names, loc="outside lower center", ncols=5, fontsize=8)

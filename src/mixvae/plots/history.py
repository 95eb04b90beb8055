"""The history of a run."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures import colours_of, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"dhsic": "", "effective_components": "components"}
History = Sequence[Mapping[str, Any]]
CHOSEN = {"kept": "kept in evaluation", "selected": "selected in a draw, mean"}
GROUPS = {
    "kl_z": ("KL by component", "nats"),
    "share": ("share by component", ""),
    "active_units": ("active units by component", "latents"),
    "sse_alone": ("SSE of each component alone", "squared error"),
    "rate": ("dropout rate by component", ""),
}


def curves(history: History, path: str | Path) -> Path:
    """By epoch: objective, ELBO, every term, each component's health, and how many are chosen.

    Keys are ``epoch`` (0 is before the first step), ``train/NAME``, ``val/NAME`` and ``phase``;
    what a row lacks is left out. Phases before the last one have a panel each, of what they
    maximise.
    """
    before = dict.fromkeys(row.get("phase", "") for row in history)
    last = before.popitem()[0] if before else ""
    phases = {name: [row for row in history if row.get("phase", "") == name] for name in before}
    history = [row for row in history if row.get("phase", "") == last]
    found = dict.fromkeys(key.split("/", 1)[1] for row in history for key in row if "/" in key)
    groups = {stem: [n for n in found if re.fullmatch(rf"{stem}_\d+", n)] for stem in GROUPS}
    groups = {stem: names for stem, names in groups.items() if names}
    chosen = {label: f"val/{name}" for name, label in CHOSEN.items() if name in found}
    shared = {*CHOSEN, *(name for names in groups.values() for name in names)}
    plain = [name for name in found if name not in shared]
    plain.sort(key=lambda n: ("objective", "elbo", n).index(n))  # stable: the terms as they came
    n_panels = len(phases) + len(plain) + len(groups) + bool(chosen)
    fig, axes = panels(max(n_panels, 1), 3.2, 2.5)
    for ax, (name, rows) in zip(axes, phases.items(), strict=False):
        objective = {"train": "train/objective"}
        _curves(ax, rows, objective, ["C0"], f"objective of the phase {name}", "nats")
    axes = axes[len(phases) :]
    for ax, name in zip(axes, plain, strict=False):
        lines = {part: f"{part}/{name}" for part in ("train", "val")}
        _curves(ax, history, lines, ["C0", "C1"], name, UNITS.get(name, "nats"))
    for ax, (stem, names) in zip(axes[len(plain) :], groups.items(), strict=False):
        lines = {name.rpartition("_")[2]: f"val/{name}" for name in names}
        _curves(ax, history, lines, colours_of(len(names)), *GROUPS[stem], from_zero=True)
    if chosen:
        colours = colours_of(len(chosen))
        _curves(axes[-1], history, chosen, colours, "selected K", "components", from_zero=True)
    return save(fig, path, "Training")


def _curves(
    ax: "Axes",
    history: History,
    lines: Mapping[str, str],
    colours: Sequence[str],
    title: str,
    unit: str,
    *,
    from_zero: bool = False,
) -> None:
    """Lines by label: the values of their keys by epoch."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", i) for i, row in enumerate(history)]
    marker = "." if len(history) < 10 else ""
    late = [0.0] if from_zero else []
    for (label, key), colour in zip(lines.items(), colours, strict=True):
        values = [row.get(key, nan) for row in history]
        if any(map(isfinite, values)):
            ax.plot(epochs, values, color=colour, label=label, marker=marker)
        late += filter(isfinite, values[len(values) // 10 :])
    if late:  # the first tenth of the epochs would flatten all that comes after
        margin = 0.05 * (max(late) - min(late)) or 0.05 * abs(late[0]) or 1.0
        ax.set_ylim(min(late) - margin, max(late) + margin)
    if len(lines) <= 10 and ax.lines:
        ax.legend(fontsize=7, ncols=2 if len(lines) > 4 else 1)
    if epochs:
        ax.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set(title=title, xlabel="epoch", ylabel=unit)

"""Training curves of a run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mixvae.objectives.objective import is_kl

from .figures import colours_of, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"dhsic": "", "effective_components": "components"}
History = Sequence[Mapping[str, Any]]
CHOSEN = {"kept": "kept in evaluation", "selected": "selected by a mask, mean"}
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


def curves(history: History, path: str | Path) -> Path:
    """Objective, ELBO, terms and component health by epoch.

    Phases before the last one have a panel each, with their objective. KL terms are shown positive.

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
    """
    found = list(_panels(history))
    fig, axes = panels(max(len(found), 1), 3.2, 2.5)
    for ax, panel in zip(axes, found, strict=False):
        _draw(ax, panel)
    return save(fig, path, "Training")


def _panels(history: History) -> Iterator[Panel]:
    *before, last = dict.fromkeys(row.get("phase", "") for row in history) or [""]
    for phase in before:
        rows = [row for row in history if row.get("phase", "") == phase]
        title = f"objective of the phase {phase}"
        yield Panel(rows, title, "nats", {"train": "train/objective"})
    history = [row for row in history if row.get("phase", "") == last]
    found = dict.fromkeys(key.split("/", 1)[1] for row in history for key in row if "/" in key)
    groups = {stem: [n for n in found if re.fullmatch(rf"{stem}_\d+", n)] for stem in BY_COMPONENT}
    shared = {*CHOSEN, *(name for names in groups.values() for name in names)}
    terms = [name for name in found if name not in shared]
    for name in sorted(terms, key=lambda n: ("objective", "elbo", n).index(n)):  # a stable order
        lines = {split: f"{split}/{name}" for split in ("train", "val")}
        title, sign = (f"{name} (subtracted)", -1) if is_kl(name) else (name, 1)
        yield Panel(history, title, UNITS.get(name, "nats"), lines, sign)
    for stem, names in groups.items():
        if names:
            lines = {name.rpartition("_")[2]: f"val/{name}" for name in names}
            yield Panel(history, *BY_COMPONENT[stem], lines, from_zero=True)
    if chosen := {label: f"val/{name}" for name, label in CHOSEN.items() if name in found}:
        yield Panel(history, "selected K", "components", chosen, from_zero=True)


def _draw(ax: "Axes", panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", i) for i, row in enumerate(panel.history)]
    marker = "." if len(epochs) < 10 else ""
    late = [0.0] if panel.from_zero else []
    for (label, key), colour in zip(panel.lines.items(), colours_of(len(panel.lines)), strict=True):
        values = [panel.sign * row.get(key, nan) for row in panel.history]
        if any(map(isfinite, values)):
            ax.plot(epochs, values, color=colour, label=label, marker=marker)
        late += filter(isfinite, values[len(values) // 10 :])
    if late:  # limits without the first tenth of the epochs, which would flatten the rest
        margin = 0.05 * (max(late) - min(late)) or 0.05 * abs(late[0]) or 1.0
        ax.set_ylim(min(late) - margin, max(late) + margin)
    if len(panel.lines) <= 10 and ax.lines:
        ax.legend(fontsize=7, ncols=2 if len(panel.lines) > 4 else 1)
    if epochs:
        ax.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set(title=panel.title, xlabel="epoch", ylabel=panel.unit)

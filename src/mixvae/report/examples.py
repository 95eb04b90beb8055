"""Sections about single examples: outliers, and the best and worst reconstructed."""

import numpy as np
from torch import Tensor

from .examined import Examined
from .html import number, section, tag, text
from .shown import Shown

N_WORST = 8


def outliers(found: Examined, anchor: str) -> str:
    """Examples of the lowest log p(x), with a threshold to move."""
    title, score = "Outliers", found.score
    if score is None:
        why = f"log p(x) is not estimated: {found.why_no_estimate}; and there is no bound."
        return section(f"{anchor}-outliers", title, text("p", why))
    caveat = ""
    if found.estimate is None:
        caveat = f" log p(x) is not estimated: {found.why_no_estimate}; its bound stands for it."
    elif found.estimate.reliable is False:
        caveat = " UNRELIABLE: examples whose k-hat is large may be out of order."
    low, high = float(score.min()), float(score.quantile(0.5))
    start = float(score.quantile(0.02))
    about = (
        f"Rows whose {found.score_name} is below a threshold, the lowest first.{caveat} The "
        "threshold begins at the lowest 2% of these rows."
    )
    slider = (
        f'<label>threshold <input class="threshold" type="range" min="{low}" max="{high}" '
        f'step="any" value="{start}"></label> <output></output>'
    )
    return section(
        f"{anchor}-outliers",
        title,
        text("p", about),
        _histogram(score, found.score_name),
        tag("div", slider, class_="controls"),
        '<div class="below" aria-live="polite"></div>',
    )


def _histogram(score: Tensor, name: str) -> str:
    """Bars as SVG, with a line that the script moves to the threshold."""
    finite = score[score.isfinite()]
    counts, edges = np.histogram(finite.numpy(), min(40, 8 + len(finite) // 10))
    width, height = 600, 120
    bar = width / len(counts)
    bars = "".join(
        f'<rect x="{i * bar:.1f}" y="{height * (1 - c / counts.max()):.1f}" '
        f'width="{bar - 1:.1f}" height="{height * c / counts.max():.1f}"/>'
        for i, c in enumerate(counts)
    )
    ends = "".join(
        f'<text x="{x}" y="{height + 16}" text-anchor="{anchor}">{value:,.1f}</text>'
        for x, anchor, value in ((0, "start", edges[0]), (width, "end", edges[-1]))
    )
    middle = f'<text x="{width / 2}" y="{height + 16}" text-anchor="middle">{name}, nats</text>'
    return (
        f'<svg class="histogram" viewBox="0 0 {width} {height + 22}" role="img" '
        f'aria-label="Histogram of {name}, from {edges[0]:,.1f} to {edges[-1]:,.1f} nats" '
        f'data-low="{edges[0]}" data-high="{edges[-1]}">{bars}'
        f'<line class="mark" y1="0" y2="{height}"/>{ends}{middle}</svg>'
    )


def reconstructions(found: Examined, anchor: str) -> str:
    """The best and the worst reconstructed examples."""
    shown, sse = Shown(found), found.values["sse"]
    rising = sse.argsort(stable=True)
    content = []
    n = N_WORST if found.is_image else 4
    for title, rows in (("Worst", rising.flip(0)[:n]), ("Best", rising[:n])):
        captions = [
            [shown.row(i), f"error {number(float(sse[i]))}", shown.label(i)] for i in map(int, rows)
        ]
        parts = {"x": found.x[rows], "reconstruction": found.values["reconstruction"][rows]}
        columns = None
        if not found.is_image:
            errors = (parts["x"] - parts["reconstruction"]).nan_to_num(0).square().mean(0)
            columns = errors.argsort(descending=True)[:8].tolist()
        content += [text("h4", f"{title} reconstructed"), shown.examples(parts, captions, columns)]
    about = (
        "Each example is above its reconstruction, with codes and weights at their means; the "
        "error is squared and summed over the entries of x"
        f"{', columns as the model sees them' if not found.is_image else ''}."
    )
    return section(f"{anchor}-reconstructions", "Reconstructions", text("p", about), *content)

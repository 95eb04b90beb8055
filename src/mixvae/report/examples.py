"""Sections about single examples: labels, the map of codes, outliers, reconstructions, checks."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.evaluation.clustering import clustering

from .checks import N_PERMUTATIONS, Check, entry_checks, overall_checks
from .examined import Examined
from .html import as_images, encoded, image, number, rounded, section, sprite, table, tag, text
from .shown import Shown

MOST_LABELS = 30
MOST_PLANES = 12  # planes of single components on the map
MOST_COLUMNS = 12  # of a row under the pointer
N_WORST = 8
MAP_TILE = 32  # pixels


def confusion(found: Examined, anchor: str) -> str:
    """Components against labels: counts and mean responsibilities."""
    title, y = "Components and labels", found.rows.y
    if y is None:
        return section(f"{anchor}-labels", title, text("p", "The data have no labels."))
    if not found.assigns:
        why = "No confusion matrix: no example belongs to one component of this model."
        return section(f"{anchor}-labels", title, text("p", why))
    values, counts = y.unique(return_counts=True)
    common = values[counts.argsort(descending=True, stable=True)[:MOST_LABELS]].sort().values
    assigned = found.r.argmax(1)
    what = "Cluster" if found.of_prior else "Component"
    rows = []
    for k in range(found.r.shape[1]):
        cells = [_cell(found, assigned, k, int(c)) for c in common]
        rows.append(text("th", f"{what} {k}", scope="row") + "".join(cells))
    head = "".join(text("th", f"label {int(c)}", scope="col") for c in common)
    caption = (
        "Number of rows of each label that are assigned to each component; below, the mean "
        "responsibility of the component for the label. Darker cells have more of the label."
    )
    body = "".join(tag("tr", row) for row in rows)
    inner = text("caption", caption) + tag("thead", tag("tr", text("td", "") + head))
    matrix = tag("table", inner + tag("tbody", body), class_="matrix")
    scores = clustering(assigned, y)
    line = (
        f"Agreement on these {len(y):,} rows: accuracy {scores['acc']:.3f}, NMI "
        f"{scores['nmi']:.3f}, adjusted Rand index {scores['ari']:.3f}."
    )
    more = len(values) - len(common)
    left_out = text("p", f"{more} rarer labels are left out.") if more else ""
    box = tag("div", matrix, class_="wide", tabindex="0", role="region", aria_label=caption)
    return section(f"{anchor}-labels", title, text("p", line), box, left_out)


def _cell(found: Examined, assigned: Tensor, k: int, label: int) -> str:
    own = found.rows.y == label
    n, mean = int((assigned[own] == k).sum()), float(found.r[own, k].mean())
    share = n / max(1, int(own.sum()))
    shade = round(255 - 200 * share)
    ink = "#fff" if shade < 140 else "#000"
    inner = f"{n}<br>{text('small', f'{mean:.2f}')}"
    return tag("td", inner, style=f"background:rgb({shade},{shade},{shade});color:{ink}")


def codes_map(found: Examined, anchor: str) -> str:
    """The map of the codes, with what its script needs."""
    shown = Shown(found)
    data: dict[str, Any] = {"planes": _planes(found), "rows": list(map(shown.row, _all(found)))}
    colours = []
    if found.assigns:
        what = "cluster" if found.of_prior else "component"
        surest, component = found.r.max(1)
        data |= {"component": component.tolist(), "certainty": rounded(surest, 3), "what": what}
        colours.append(("component", what))
    if found.rows.y is not None:
        data["label"] = found.rows.y.tolist()
        colours.append(("label", "label"))
    if found.score is not None:
        data |= {"score": rounded(found.score, 5), "score_name": found.score_name}
        colours.append(("score", found.score_name))
    sheet = ""
    if found.is_image:
        url, data["tile"] = sprite(found.x, MAP_TILE)
        sheet = f'<img class="sprite" alt="" hidden src="{url}">'
    else:
        columns = shown.columns.most_telling(MOST_COLUMNS)
        texts = shown.texts(found.x)
        data["columns"] = [shown.names[j] for j in columns]
        data["cells"] = [[row[j] for j in columns] for row in texts]
    controls = _select("colour by", "colour", colours) if colours else ""
    planes = [(str(i), plane["name"]) for i, plane in enumerate(data["planes"])]
    controls += _select("codes", "plane", planes)
    return section(
        f"{anchor}-map",
        "Map of the codes",
        text("p", _about_map(found)),
        tag(
            "div",
            controls + tag("button", "Clear selection", type="button", class_="clear"),
            class_="controls",
        ),
        tag(
            "div",
            '<canvas class="map" tabindex="0" role="application" '
            'aria-label="Map of the codes. Arrow keys go from point to point, Enter selects a '
            'point, Escape clears the selection."></canvas>'
            '<div class="under" aria-live="polite"></div>',
            class_="plot",
        ),
        '<div class="legend"></div><div class="selection" aria-live="polite"></div>',
        sheet,
        f'<script type="application/json">{_json(data)}</script>',
    )


def _all(found: Examined) -> range:
    return range(len(found.rows))


def _json(data: Any) -> str:
    """JSON that cannot end the script that it is in."""
    whole = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return whole.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _select(label: str, name: str, options: list[tuple[str, str]]) -> str:
    inner = "".join(f'<option value="{escape(v)}">{escape(w)}</option>' for v, w in options)
    return tag("label", f"{escape(label)} " + tag("select", inner, class_=name))


def _about_map(found: Examined) -> str:
    several = found.model.n_components > 1
    joined = "of all components side by side, " if several else ""
    return (
        f"Posterior means of the codes {joined}of {len(found.rows):,} rows, on their first two "
        "principal axes. Drag a rectangle to select rows, or choose a group in the legend; with "
        "the keyboard, arrow keys go from point to point and Enter selects."
    )


def _planes(found: Examined) -> list[dict[str, Any]]:
    """All codes, and those of each component, on two principal axes."""
    codes = found.values["codes"]
    kept = codes[:, found.kept] if len(found.kept) else codes
    name = "all components" if codes.shape[1] > 1 else "posterior means"
    planes = [_plane(kept.flatten(1), name, found.seed)]
    if codes.shape[1] > 1:
        for k in found.kept[:MOST_PLANES]:
            planes.append(_plane(codes[:, k], f"component {k}", found.seed))
    return planes


def _plane(codes: Float[Tensor, "N D"], name: str, seed: int) -> dict[str, Any]:
    centred = (codes - codes.mean(0)).double().numpy()
    axes, spread, _ = np.linalg.svd(centred, full_matrices=False)
    points = axes[:, :2] * spread[:2]
    total = float((spread**2).sum()) or 1.0
    share = [float(s**2 / total) for s in spread[:2]]
    labels = [f"principal axis {i + 1} ({s:.0%} of the variance)" for i, s in enumerate(share)]
    if points.shape[1] < 2:
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (len(codes), 1))
        points, labels = np.hstack([points, noise]), [labels[0], "noise, to tell points apart"]
    return {"name": name, "x": rounded(points[:, 0]), "y": rounded(points[:, 1]), "axes": labels}


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
        caveat = " UNRELIABLE: so is the order of examples whose k-hat is large."
    low, high = float(score.min()), float(score.quantile(0.5))
    start = float(score.quantile(0.02))
    about = (
        f"Rows whose {found.score_name} is below a threshold, the lowest first.{caveat} The "
        "threshold begins at the lowest fiftieth of these rows."
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


def predictive(found: Examined, anchor: str) -> str:
    """Posterior predictive checks."""
    title, likelihood = "Posterior predictive checks", found.model.decoder.likelihood
    if not likelihood.is_density or likelihood.autoregressive:
        why = (
            "the likelihood is not a normalised density"
            if not likelihood.is_density
            else "samples take a step for each pixel"
        )
        return section(f"{anchor}-checks", title, text("p", f"Not computed: {why}."))
    x, samples = found.x.flatten(1), found.samples.flatten(1)
    about = (
        f"Statistics of the {len(x):,} rows beside those of {len(samples):,} samples of the model, "
        "noise included; its parameters are those that training found. p is that of a "
        f"permutation test ({N_PERMUTATIONS} random exchanges of data and samples): a small one "
        "says that the model does not reproduce the statistic."
    )
    content = [text("p", about)]
    if found.is_image:
        checks = overall_checks(x, samples, pixels=True, seed=found.seed)
        content.append(_checks(checks, "All pixels together"))
        content += _moment_images(found, samples)
    else:
        content.append(_columns(found, x, samples))
    return section(f"{anchor}-checks", title, *content)


def _columns(found: Examined, x: Tensor, samples: Tensor) -> str:
    """Checks of each column; of categories, of the share of the most common one."""
    shown, categories = Shown(found), _categories(found)
    values = [one.clone() for one in (x, samples)]
    names = list(shown.names)
    for j in categories:
        own = x[:, j][~x[:, j].isnan()]
        common = own.mode().values
        for one in values:
            one[:, j] = torch.where(one[:, j].isnan(), torch.nan, (one[:, j] == common).float())
        names[j] = f"{names[j]}, share of the most common category"
    checks = entry_checks(values[0], values[1], names, seed=found.seed)
    checks.sort(key=lambda check: check.p_value)
    caption = "Each column, as the model sees it; p adjusted for the number of checks"
    more = len(checks) - 2 * MOST_COLUMNS
    said = text("p", f"{more} checks with larger p are left out.") if more > 0 else ""
    return _checks(checks[: 2 * MOST_COLUMNS], caption) + said


def _categories(found: Examined) -> list[int]:
    kinds = getattr(found.data.transform, "kept_kinds", ())
    return [j for j, (name, _) in enumerate(kinds) if name in ("categorical", "ordinal")]


def _checks(checks: list[Check], caption: str) -> str:
    rows = [
        [
            c.name,
            number(c.data, 3),
            number(c.samples, 3),
            number(c.p_value, 3),
            "differs" if c.p_value < 0.05 else "no difference seen",
        ]
        for c in checks
    ]
    return table(["statistic", "data", "samples", "p", "at the 5% level"], rows, caption)


def _moment_images(found: Examined, samples: Tensor) -> Iterator[str]:
    """Mean and standard deviation of every pixel, and the largest difference."""
    x = found.x.flatten(1)
    checks = entry_checks(x, samples, [f"pixel {i}" for i in range(x.shape[1])], seed=found.seed)
    shape, figures = found.x.shape[1:], []
    for i, what in enumerate(("mean", "standard deviation")):
        p = torch.tensor([c.p_value for c in checks[i::2]])
        differing = int((p < 0.05).sum())
        yield text(
            "p",
            f"The {what} of {differing} of {len(p)} pixels differs at the 5% level, adjusted for "
            "the number of pixels.",
        )
        for name, values in (("data", x), ("samples", samples)):
            moment = values.mean(0) if what == "mean" else values.std(0) * 2
            one = as_images(moment.reshape(1, *shape))[0]
            content, kind = encoded(one)
            size = 112 // max(one.size) * max(one.size) or max(one.size)
            tile = image(content, kind, f"{what} of each pixel, {name}", width=size)
            note = f"{what}, {name}" + (" (twice as bright)" if i else "")
            figures.append(tag("figure", tile + text("figcaption", note)))
    yield tag("div", "".join(figures), class_="strip")

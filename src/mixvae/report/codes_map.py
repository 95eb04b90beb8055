"""The map of the codes: what its script, page.js, needs."""

import json
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from .examined import Examined
from .html import rounded, section, sprite, tag, text
from .shown import Shown

MOST_PLANES = 12  # planes of single components
MOST_COLUMNS = 12  # of a row under the pointer
MAP_TILE = 32  # pixels


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
        names = found.data.class_names
        data["label"] = [c if names is None else names[c] for c in found.rows.y.tolist()]
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

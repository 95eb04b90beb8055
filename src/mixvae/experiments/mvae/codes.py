"""Figures of the MVAE paper about the codes, of two dimensions."""

from dataclasses import replace
from typing import Any

from ..common import ERROR, SSE, SSE_MEANS
from ..item import Column, Item, Picture, Row
from .figures import each
from .protocols import GREY, IN_USE, mixture, protocols

DIGIT = 5
OF_DIGIT = "Codes have two dimensions, and encoders and sub-decoders are given the class."
LATENTS = ("first", "second")


def plane(recipe: str, k: int, **options: Any) -> Row:
    """A mixture of MNIST with two-dimensional codes."""
    row = mixture(recipe, k, n_latent=2, **options)
    name = row.name.replace("n_latent=2", "L=2").replace("conditional=True", "with classes")
    return replace(row, name=name)


def traversed(name: str, k: int, latent: int, values: list[float]) -> Item:
    """One of Figs. 8 to 10."""
    rows = [
        plane("mvae-gau", k, conditional=True),
        plane("mvae-gau", k, conditional=True, beta_w=20.0),
    ]
    last = values[-1]
    return Item(
        name=name,
        title=f"{DIGIT}s by each of {k} components, {LATENTS[latent]} latent from 0 to {last:g}",
        about=f"{GREY} {IN_USE} {OF_DIGIT} "
        "The other latent is that of a test image's code. The change is "
        "the squared difference of the first and last image, over 100 test images; it is 0 for a "
        f"component that does not use its code. {ERROR}",
        rows=rows,
        columns=[SSE_MEANS, Column(label="change by component", path="traversal.change", digits=1)],
        measures={"traversal": {"latent": latent, "values": values, "label": DIGIT}},
        pictures=each("traversals", _endings(rows), latent=latent, values=values, label=DIGIT),
        protocols=protocols("mnist"),
        components=True,
    )


def _endings(rows: list[Row]) -> dict[str, str]:
    return {rows[0].name: "", rows[1].name: "beta-w-20"}


STEPS_3 = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
STEPS_6 = [2 * value for value in STEPS_3]
MAPPED = [plane("mvae-gau", 4), plane("mvae-gau", 4, beta_w=20.0)]
WEIGHTS: tuple[dict[str, Any], ...] = ({}, {"beta_w": 20.0})
DEPENDENT = [
    plane("mvae-gs", 6, beta_dhsic=beta, **more) for more in WEIGHTS for beta in (0.0, 1.0, 10.0)
]
PENALTIES = {0.0: "beta-0", 1.0: "beta-1", 10.0: "beta-10"}

CODES = [
    traversed("mvae/fig8", 4, 0, STEPS_3),
    traversed("mvae/fig9", 6, 0, STEPS_3),
    traversed("mvae/fig10", 6, 1, STEPS_6),
    Item(
        name="mvae/fig11",
        title="codes of each component, in colours of the digits",
        about=f"{GREY} {IN_USE} Codes have two dimensions. {ERROR}",
        rows=MAPPED,
        columns=[SSE, SSE_MEANS],
        pictures=each("codes", _endings(MAPPED)),
        protocols=protocols("mnist"),
        components=True,
    ),
    Item(
        name="mvae/fig12",
        title="dependence of the components' codes by the weight of the dHSIC penalty",
        about=f"{GREY} {IN_USE} "
        "Codes have two dimensions. HSIC over a batch is biased upward: that of "
        "shuffled rows, which are independent, is beside it. The paper shows weights 1 and 10. "
        f"{ERROR}",
        rows=DEPENDENT,
        columns=[
            SSE,
            Column(label="dHSIC", path="dependence.dhsic", digits=5),
            Column(label="dHSIC, shuffled rows", path="dependence.permuted", digits=5),
        ],
        pictures={
            ("" if "beta_w" not in row.options else "beta-w-20-") + PENALTIES[beta]: Picture(
                draw="dependence", arguments={"row": row.name}
            )
            for row in DEPENDENT
            if (beta := row.options["beta_dhsic"]) > 0
        },
        protocols=protocols("mnist"),
        components=True,
    ),
    Item(
        name="mvae/fig13",
        title="codes of the digit 1 by each component, with and without the dHSIC penalty",
        about=f"{GREY} {IN_USE} "
        "Codes have two dimensions. The silhouette of the components' codes is near "
        f"1 where each has a region of its own, and near 0 where regions overlap. {ERROR}",
        rows=[row for row in DEPENDENT if row.options["beta_dhsic"] != 1.0],
        columns=[
            SSE,
            Column(label="silhouette", path="separation.silhouette"),
            Column(label="dHSIC", path="dependence.dhsic", digits=5),
        ],
        measures={"separation": {"label": 1}},
        pictures={
            ending: Picture(
                draw="codes_of_class",
                arguments={
                    "label": 1,
                    "rows": [
                        row.name
                        for beta in (10.0, 0.0)
                        for row in DEPENDENT
                        if row.options["beta_dhsic"] == beta
                        and ("beta_w" in row.options) == bool(ending)
                    ],
                },
            )
            for ending in ("", "beta-w-20")
        },
        protocols=protocols("mnist"),
        components=True,
    ),
]

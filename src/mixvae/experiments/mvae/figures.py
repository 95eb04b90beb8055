"""Figures of the MVAE paper, but for those of its training."""

from dataclasses import replace
from typing import Any

from ..common import ERROR, RMSE, SSE, SSE_MEANS
from ..item import Column, Item, Picture, Row
from .protocols import COLOUR, GREY, IN_USE, KL_WEIGHT, NAMES, colour, mixture, protocols
from .scores import system

GAU = mixture("mvae-gau", 4)
GAU_IN_USE = mixture("mvae-gau", 4, beta_w=20.0)
ENDINGS = {GAU.name: "", GAU_IN_USE.name: "beta-w-20"}


def gau(data: str) -> Row:
    """MVAE-Gau, K = 6, of colour images."""
    return colour("mvae-gau", f"MVAE-Gau K=6, {NAMES[data]}", data=data)


def each(draw: str, rows: dict[str, str], **arguments: Any) -> dict[str, Picture]:
    """A picture of each of these rows, whose endings are given."""
    return {
        ending: Picture(draw=draw, arguments={"row": row} | arguments)
        for row, ending in rows.items()
    }


EXCHANGE = [
    Column(label="SSE, own sub-decoder", path="exchange.matched"),
    Column(label="SSE, another's", path="exchange.mismatched"),
    Column(label="SSE, mixture", path="exchange.mixture"),
    Column(label="SSE, mixture, codes exchanged", path="exchange.mixture_exchanged"),
]
OF_COLOUR = {gau(data).name: data for data in ("cifar10", "celeba")}
LERPED = ENDINGS | OF_COLOUR

NATURAL = [
    replace(row, name=f"{row.name}, {NAMES[data]}", data=data)
    for data in ("imagenet", "cifar10")
    for row in (system("MSVI", {}), system("MVAE-Gau", {}))
    if row.recipe is not None
]

RECONSTRUCTED = [
    Item(
        name="mvae/fig2",
        title="reconstructions by each component and by the mixture",
        about=f"{GREY} {IN_USE} {ERROR}",
        rows=[GAU, GAU_IN_USE],
        columns=[SSE, SSE_MEANS],
        pictures=each("reconstructions", ENDINGS),
        protocols=protocols("mnist"),
        components=True,
    ),
    Item(
        name="mvae/fig3",
        title="codes decoded by the sub-decoder of another component",
        about=f"{GREY} {IN_USE} "
        "The columns are squared errors, summed over pixels, with codes at their means, over 2,000 "
        "test images: each code "
        "decoded alone by its own or by another component's sub-decoder, means over all pairs; and "
        "all together, with their own codes or the next component's.",
        rows=[GAU, GAU_IN_USE],
        columns=EXCHANGE,
        measures={"exchange": {}},
        pictures=each("mismatched", ENDINGS)
        | {f"pairs{'-' * bool(e)}{e}": p for e, p in each("exchanged", ENDINGS).items()},
        protocols=protocols("mnist"),
        components=True,
    ),
    Item(
        name="mvae/fig4",
        title="test images and their reconstructions by MVAE-Gau (the paper: CelebA)",
        about=f"{COLOUR} CelebA is read from the folder celeba among the data, its images "
        "resized to 64 x 64 pixels. CIFAR-10, which can be downloaded, is beside it; the paper "
        "does not show it here.",
        rows=[gau("celeba"), gau("cifar10")],
        columns=[RMSE],
        pictures={
            data: Picture(draw="compared", arguments={"n": 12, "only": [gau(data).name]})
            for data in ("celeba", "cifar10")
        },
        protocols=protocols("celeba", "cifar10"),
        components=True,
    ),
    Item(
        name="mvae/fig5",
        title="test images and their reconstructions by MSVI and MVAE-Gau (the paper: ImageNet)",
        about=f"{COLOUR} MSVI has its whole KL. ImageNet is read from the folder imagenet among "
        "the data, its images resized to 64 x 64 pixels. CIFAR-10, which can be downloaded, is "
        "beside it; the paper does not show it here.",
        rows=NATURAL,
        columns=[RMSE],
        pictures={
            data: Picture(
                draw="compared",
                arguments={"n": 12, "only": [row.name for row in NATURAL if row.data == data]},
            )
            for data in ("imagenet", "cifar10")
        },
        protocols=protocols("imagenet", "cifar10"),
        components=True,
    ),
    Item(
        name="mvae/fig6",
        title="interpolations between the codes of two test images",
        about=f"{GREY} {IN_USE} {KL_WEIGHT} "
        "As (33) to (35): all components' codes move along straight lines, "
        f"and the mixing weights with them. The paper shows CelebA. {ERROR}",
        rows=[GAU, GAU_IN_USE, *map(gau, OF_COLOUR.values())],
        columns=[SSE_MEANS],
        pictures=each("interpolations", LERPED),
        protocols=protocols("mnist", "cifar10", "celeba"),
        components=True,
    ),
    Item(
        name="mvae/fig7",
        title="interpolations with codes exchanged between components",
        about=f"{GREY} {IN_USE} {KL_WEIGHT} "
        "As (36): each sub-decoder is given the next component's code. The "
        "interpolations of mvae/fig6 are above them. The columns are those of mvae/fig3. The paper "
        "shows CelebA.",
        rows=[GAU, GAU_IN_USE, *map(gau, OF_COLOUR.values())],
        columns=EXCHANGE,
        measures={"exchange": {}},
        pictures=each("interpolations", LERPED, crossed=True, n=3),
        protocols=protocols("mnist", "cifar10", "celeba"),
        components=True,
    ),
    Item(
        name="mvae/fig17",
        title="samples of each component",
        about=f"{GREY} {IN_USE} {KL_WEIGHT} "
        "Samples in a column are decoded from the same code, which is drawn "
        f"from the prior. The paper shows CelebA. {ERROR}",
        rows=[GAU, GAU_IN_USE, *map(gau, OF_COLOUR.values())],
        columns=[SSE_MEANS],
        pictures=each("samples_by_component", LERPED),
        protocols=protocols("mnist", "cifar10", "celeba"),
        components=True,
    ),
]

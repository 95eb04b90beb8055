"""Figures of the MVAE paper about its training."""

from dataclasses import replace

from ..common import ERROR, RMSE, SSE
from ..item import Column, Item, Picture
from .protocols import GREY, KL_WEIGHT, NAMES, ROOT, colour, mixture, protocols

SETS = ("mnist", "fashion-mnist", "cifar10", "celeba")
GS = mixture("mvae-gs", 6)
ROWS = [
    *(replace(GS, name=f"{NAMES[data]}", data=data) for data in SETS[:2]),
    *(colour("mvae-gs", NAMES[data], data=data) for data in SETS[2:]),
]
EACH = replace(
    mixture("mvae-gs", 6, rate="per_component"),
    name="MNIST, a rate for each component",
    data="mnist",
    control=True,
)
ABOUT = (
    f"{GREY} So are those of Fashion-MNIST. {KL_WEIGHT} "
    "MVAE-GS of six components, on MNIST, Fashion-MNIST, CIFAR-10 and, where it is there, CelebA "
    "(in the folder celeba). Figures are those on validation data by epoch, also for CelebA, of "
    "which the paper shows every 100 batches of a single epoch."
)
SELECTED = Column(label="selected K", path="selection.n_selected")

TRAINING = [
    Item(
        name="mvae/fig14",
        title="objective of MVAE-GS over the epochs",
        about=f"{ABOUT} The objective is maximised; its penalties are subtracted. {ERROR} {ROOT}",
        rows=ROWS,
        columns=[SSE, RMSE, Column(label="objective", path="bounds.objective")],
        pictures={
            "": Picture(
                draw="histories_by_row",
                arguments={
                    "columns": {"train/objective": "training", "val/objective": "validation"},
                    "label": "objective",
                },
            )
        },
        protocols=protocols(*SETS),
        components=True,
    ),
    Item(
        name="mvae/fig15",
        title="dropout rate of MVAE-GS over the epochs",
        about=f"{ABOUT} One rate for all components, as in the paper, and a rate for each of them. "
        f"{ERROR}",
        rows=[*ROWS, EACH],
        columns=[SSE, Column(label="rate", path="selection.rate", digits=3)],
        pictures={
            "": Picture(
                draw="histories_by_row",
                arguments={
                    "columns": {f"val/rate_{k}": f"component {k}" for k in range(6)},
                    "label": "dropout rate",
                },
            )
        },
        protocols=protocols(*SETS),
        components=True,
    ),
    Item(
        name="mvae/fig16",
        title="number of components of MVAE-GS over the epochs",
        about=f"{ABOUT} Selected is the paper's number, the mean number of masks above 0.1 in one "
        "draw; kept is how many components evaluation keeps.",
        rows=[
            replace(row, reported={"selected K": 4.11}) if row.name == "CIFAR-10" else row
            for row in (*ROWS, EACH)
        ],
        columns=[SELECTED, Column(label="kept", path="selection.n_kept", digits=0)],
        pictures={
            "": Picture(
                draw="histories_by_row",
                arguments={
                    "columns": {"val/selected": "selected", "val/kept": "kept"},
                    "label": "components",
                },
            )
        },
        protocols=protocols(*SETS),
        components=True,
    ),
]

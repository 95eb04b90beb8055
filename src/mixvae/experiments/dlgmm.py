"""DLGMM: Nalisnick, Hertel & Smyth, Deep Latent Gaussian Mixtures, NIPS workshop 2016."""

from dataclasses import replace
from typing import Any

from .common import ELBO, FEW_IMAGES, LOG_PX, OBJECTIVE, control, quick
from .item import Column, Data, Item, Picture, Protocol, Row, Scale

STATIC, OMNIGLOT, LABELLED = "binarized-mnist", "omniglot", "labelled"  # names of data
SETS = {
    STATIC: Data(name="binarized-mnist", subset=10_000),
    OMNIGLOT: Data(name="omniglot", binarize="dynamic", subset=10_000),
    LABELLED: Data(name="mnist", binarize="dynamic"),
}
TRAINING = {"max_epochs": 10, "batch_size": 100, "precision": "bf16"}
EVALUATION: dict[Scale, dict[str, int]] = {
    "quick": {"log_likelihood": 130, "n_test": 20},
    "cpu": {"log_likelihood": 500, "n_test": 200},
    "paper": {"log_likelihood": 5000, "n_test": 1000},
}
OF = "; figures of {n_test:,} test images, log p(x) with {log_likelihood:,} samples"
FULL = {"max_epochs": 1000, "patience": 30, "lr": 3e-4}
ABOUT = (
    "One encoder and one decoder with two hidden layers of 500, 25 latents (50 sticks for SB-VAE), "
    "where a row does not say otherwise. The mixtures are trained on the tightest form of the "
    "bound, with the sticks' KL by quadrature, and not on the paper's (1), which is a looser "
    "bound. The paper's Adam has a learning rate of 3e-4, ours at the cpu scale 1e-3."
)


def protocols(seeds: int, *, log_px: bool = False) -> dict[Scale, Protocol]:
    """Static MNIST, and Omniglot and the MNIST with labels, both binarised dynamically."""
    few = quick(*SETS, binarize="dynamic")
    cpu = Protocol(
        data=SETS,
        training=TRAINING,
        seeds=seeds,
        note=_note("10,000 training images, 10 epochs", "cpu", log_px),
        comparable=FEW_IMAGES,
        quoted=[row.name for row in WIDE],
    )
    paper = Protocol(
        data={name: replace(data, subset=None) for name, data in SETS.items()},
        training=TRAINING | FULL,
        seeds=3 if seeds > 1 else 1,
        note=_note(
            "All training images, early stopping with 30 epochs' look-ahead", "paper", log_px
        ),
    )
    found: dict[Scale, Protocol] = {"quick": few, "cpu": cpu, "paper": paper}
    if not log_px:
        return found
    return {scale: replace(p, evaluation=EVALUATION[scale]) for scale, p in found.items()}


def _note(text: str, scale: Scale, log_px: bool) -> str:
    """What is done, with the size of the estimates of log p(x) where there are any."""
    return text + (OF.format(**EVALUATION[scale]) if log_px else "") + "."


SIZE = {"hidden": [500, 500], "n_latent": 25}
SAMPLES_50 = "no: the authors' estimate has 50 importance samples, and is lower than with more"
SECOND_HAND = (
    "no: the paper does not give the size of its codes, and its figures are quoted second-hand"
)
GREY_PIXELS = "no: ours are of binary images, the paper's most likely of grey ones"
MEANS = [-1.5, -0.75, 0.0, 0.75, 1.5]


def dlgmm(k: int, name: str = "", **options: Any) -> Row:
    """DLGMM with K components."""
    return Row(
        name=name or f"DLGMM K={k}", recipe="dlgmm", options=SIZE | {"n_components": k} | options
    )


def _logged(row: Row, log_px: float) -> Row:
    """The row with the estimate of log p(x) in the authors' logs."""
    return replace(row, reported={LOG_PX.label: log_px}, comparable=SAMPLES_50)


VAE = Row(name="VAE", recipe="vae", options=SIZE)
SB_VAE = Row(name="SB-VAE", recipe="sb-vae", options=SIZE | {"n_latent": 50})
VAE_5 = control("VAE, 5 latents", "vae", SIZE | {"n_latent": 5})
SPREAD = dlgmm(5, "DLGMM K=5, prior means -1.5 to 1.5", prior_means=MEANS)
SPREAD_5 = dlgmm(5, f"{SPREAD.name}, 5 latents", prior_means=MEANS, n_latent=5)
WIDE = [  # those of the authors' logs
    _logged(dlgmm(3, "DLGMM K=3, width 1000", hidden=[1000, 1000]), -96.240),
    _logged(dlgmm(5, "DLGMM K=5, width 1500", hidden=[1500, 1500]), -96.215),
]
MODELS = [
    _logged(VAE, -96.801),
    _logged(dlgmm(3), -96.496),
    dlgmm(5),
    Row(name="DLDPMM T=10", recipe="dldpmm", options=SIZE | {"n_components": 10}),
    SB_VAE,
    Row(
        name="VAE, two levels",
        recipe="hvae",
        options=SIZE | {"network": "mlp", "prior": "normal", "n_top": 25},
    ),
    dlgmm(3, "DLGMM K=3, two levels", n_layers=2),
]


def on_omniglot(row: Row) -> Row:
    """The same model of Omniglot, of which no figures are known."""
    return replace(row, name=f"{row.name}, Omniglot", data=OMNIGLOT, reported={}, comparable="yes")


NEIGHBOURS = (3, 5, 10)
KNN = {  # on samples of the code
    "VAE": (28.40, 20.96, 15.33),
    "SB-VAE": (9.34, 8.65, 8.90),
    "DLGMM": (9.14, 8.38, 8.42),
    "pixels": (2.95, 3.12, 3.35),
}
CODES = {
    "sample": "representation.sample",
    "mean": "representation.mean",
    "raw pixels": "pixel_neighbours",
}


def errors_of(code: str, values: tuple[float, ...]) -> dict[str, float]:
    """The paper's errors by the columns' labels."""
    return {f"{code}, k={k}": v for k, v in zip(NEIGHBOURS, values, strict=True)}


ITEMS = [
    Item(
        name="dlgmm/fig2",
        title="samples of the outer components, and codes by t-SNE",
        about=ABOUT + " The five components' prior means are -1.5, -0.75, 0, 0.75 and 1.5 in all "
        "dimensions, and the codes have 5, as in the authors' repository, whose VAE has 25. "
        "Samples are means of p(x | z), of the first and the last component's prior. "
        "t-SNE shows a sample of the code of each of 2,000 test images of MNIST, binarised "
        "dynamically, as the static images have no labels.",
        rows=[VAE, VAE_5, SPREAD_5],
        columns=[OBJECTIVE, ELBO],
        pictures={
            "samples": Picture(
                draw="component_samples",
                arguments={
                    "row": SPREAD_5.name,
                    "components": {
                        0: "component 0 (prior mean -1.5)",
                        4: "component 4 (prior mean 1.5)",
                    },
                },
            ),
            "codes": Picture(
                draw="embedding",
                arguments={"rows": (VAE.name, VAE_5.name, SPREAD_5.name), "data": LABELLED},
            ),
        },
        protocols=protocols(1),
        components=True,
    ),
    Item(
        name="dlgmm/fig3a",
        title="error of k nearest neighbours on codes of MNIST, %",
        about=ABOUT + " The models are trained on static MNIST, without labels. Neighbours are "
        "among the codes of 55,000 training images with labels, binarised dynamically, of 2,000 "
        "test images; sample is one draw of the code, as in the paper, mean its mean. Raw pixels "
        "are those of the same binary images, and depend on no model; the paper's are most likely "
        "of grey ones. The paper does not give the size of its codes: in the authors' repository "
        "the DLGMM of five components has 5 latents, the VAE 25. Two controls have 5. The paper's "
        "figures are quoted second-hand.",
        rows=[
            replace(
                VAE,
                reported=errors_of("sample", KNN["VAE"]) | errors_of("raw pixels", KNN["pixels"]),
                comparable=SECOND_HAND,
            ),
            *(
                replace(row, reported=errors_of("sample", KNN[name]), comparable=SECOND_HAND)
                for name, row in {"SB-VAE": SB_VAE, "DLGMM": dlgmm(5)}.items()
            ),
            control("DLGMM K=3", "dlgmm", dlgmm(3).options),
            control(SPREAD_5.name, "dlgmm", SPREAD_5.options),
            VAE_5,
        ],
        columns=[
            Column(
                label=f"{code}, k={k}",
                path=f"{path}.knn_{k}_error_percent",
                comparable=GREY_PIXELS if code == "raw pixels" else "yes",
            )
            for code, path in CODES.items()
            for k in NEIGHBOURS
        ],
        measures={
            "representation": {"data": LABELLED, "neighbours": list(NEIGHBOURS), "n_test": 2000},
            "pixel_neighbours": {"row": VAE.name, "data": LABELLED, "n_test": 2000},
        },
        protocols=protocols(2),
    ),
    Item(
        name="dlgmm/fig3b",
        title="estimated log p(x) on static MNIST and Omniglot",
        about=ABOUT
        + " A control is trained on the paper's bound. Two levels have 25 latents each; DLGMM then "
        "decodes all K^2 pairs. The figures beside ours are of the authors' logs, with 50 "
        "importance samples; of Omniglot none are known. Omniglot may be of another resizing and "
        "split than the literature's.",
        rows=[
            *MODELS,
            *WIDE,
            control(SPREAD.name, "dlgmm", SPREAD.options),
            control("DLGMM K=3, the paper's bound", "dlgmm", dlgmm(3, form="paper").options),
            *map(on_omniglot, MODELS),
        ],
        columns=[OBJECTIVE, ELBO, LOG_PX],
        protocols=protocols(2, log_px=True),
        components=True,
    ),
]

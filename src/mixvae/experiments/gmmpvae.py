"""GMMpVAE: Guo et al., VAE with Optimizing Gaussian Mixture Model Priors, IEEE Access 2020."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from .common import ELBO, FEW_EPOCHS, LOG_PX, OBJECTIVE, control, quick
from .item import Column, Data, Item, Picture, Protocol, Row, Scale

RE = Column(label="RE", path="terms.re")
KL = Column(label="KL", path="terms.kl")
BOUND = "objective"  # label of the column in which the paper's bound stands
NO_BOUND = "no: the paper's figure is its objective, which is no bound on log p(x)"
OMNIGLOT_FILE = (
    "no: the literature's figures are of the file of Burda et al. (2016), which cannot be told "
    "from images of another resizing and split"
)
ABOUT = (
    "As in the paper, the objective of K = 2 and 3 components (Mix2, Mix3) subtracts the matched "
    "KL (23), and here it decodes the average of the components' codes, which reproduces the "
    "paper's gain and is no bound on log p(x). ELBO is the valid bound of the same weights, every "
    "code decoded by itself, under the exact prior; log p(x) is importance sampling. RE and KL are "
    "the objective's terms. Controls maximise the ELBO itself (exact prior), or decode each code."
)
ON_TRAINED = " Reconstructions are of posterior means; of their average, where that is trained."

MNIST = Data(name="mnist", binarize="dynamic", subset=10_000)
OMNIGLOT = Data(name="omniglot", binarize="dynamic", subset=10_000)
FREY = Data(name="frey-faces", n_val=200)
TRAINING = {"max_epochs": 12, "batch_size": 100, "precision": "bf16", "warmup_epochs": 3}
FULL = {"max_epochs": 5000, "patience": 100, "warmup_epochs": 200, "lr": 5e-4}
LOG_LIKELIHOOD = {"log_likelihood": 500, "n_test": 300}
EPOCHS = "12 epochs, with a KL warm-up of 3 (the paper: up to 5,000, 200)"
UNTIL = "early stopping with 100 epochs' look-ahead, KL warm-up over 200, three seeds"


def protocols(seeds: int = 1, quoted: Sequence[str] = (), **log_px: int) -> dict[Scale, Protocol]:
    """Dynamically binarised MNIST and Omniglot; with ``log_px``, how log p(x) is estimated."""
    data = {
        "mnist": replace(MNIST, n_val=10_000, subset=None),
        "omniglot": replace(OMNIGLOT, n_val=1345, subset=None),
    }
    sampled = f", log p(x) with {log_px['log_likelihood']} samples" if log_px else ""
    of = f"; figures of {log_px['n_test']} test images{sampled}" if log_px else ""
    return {
        "quick": quick("mnist", "omniglot", binarize="dynamic", **small(log_px)),
        "cpu": Protocol(
            data={"mnist": MNIST, "omniglot": OMNIGLOT},
            training=TRAINING,
            evaluation=log_px,
            seeds=seeds,
            note=f"10,000 training images, binarised dynamically, {EPOCHS}{of}.",
            comparable=FEW_EPOCHS,
            quoted=quoted,
        ),
        "paper": Protocol(
            data=data,
            training=TRAINING | FULL,
            evaluation={"log_likelihood": 5000, "n_test": 1000} if log_px else {},
            seeds=3,
            note=f"All training images, binarised dynamically, {UNTIL}.",
        ),
    }


def small(log_px: Mapping[str, int]) -> dict[str, int]:
    """Arguments of the evaluation at the quick scale."""
    return {"log_likelihood": 130, "n_test": 20} if log_px else {}


NETWORKS: dict[str, dict[str, Any]] = {
    "MLPs": {"network": "gated-mlp", "hidden": [300, 300], "n_latent": 40},
    "CNN": {"network": "gated-conv", "channels": [32, 64, 128], "norm": "none", "n_latent": 40},
}
NETWORKS["Pixel"] = NETWORKS["CNN"] | {"pixelcnn": True}
MLP = NETWORKS["MLPs"]
SIZES = (100, 500, 1000)  # numbers of pseudo-inputs


def trained_as(k: int) -> dict[str, Any]:
    """Options of the paper's objective; of one component, whose average is its code, a bound."""
    return {"n_components": k, "bound": "matched"} | ({"decode": "average"} if k > 1 else {})


def label(network: str, k: int, c: int) -> str:
    """The paper's name of a model."""
    mix = f"+Mix{k}" if k > 1 else ""
    return f"GMMpVAE+{network}{mix} (C={c})"


def gmmp(network: str, k: int, c: int = 500, **others: Any) -> Row:
    """GMMpVAE with K components and C pseudo-inputs, under the paper's name."""
    options = NETWORKS[network] | trained_as(k) | {"n_pseudo_inputs": c}
    comparable = NO_BOUND if k > 1 else "yes"
    defaults = {"name": label(network, k, c), "options": options, "comparable": comparable}
    return Row(**({"recipe": "gmmp-vae"} | defaults | others))


def quoted(figures: Mapping[str, float | str], column: str = LOG_PX.label) -> list[Row]:
    """Systems whose figures are quoted."""
    return [Row(name=name, reported={column: figure}) for name, figure in figures.items()]


TABLE_1 = {  # bound, RE, KL, of 100, 500 and 1,000 pseudo-inputs
    ("MLPs", 1): (
        ("-85.90 ± 0.19", 61.28, 24.62),
        ("-85.32 ± 0.12", 60.29, 25.03),
        ("-85.53 ± 0.24", 60.19, 25.34),
    ),
    ("CNN", 1): (
        ("-83.82 ± 0.14", 58.27, 25.55),
        ("-83.21 ± 0.08", 57.23, 25.98),
        ("-83.43 ± 0.18", 57.44, 25.99),
    ),
    ("Pixel", 1): (
        ("-79.96 ± 0.11", 67.86, 12.1),
        ("-79.66 ± 0.15", 66.47, 13.19),
        ("-79.75 ± 0.16", 66.21, 13.54),
    ),
    ("MLPs", 2): (
        ("-78.63 ± 0.27", 53.77, 24.86),
        ("-78.24 ± 0.23", 53.26, 24.98),
        ("-78.57 ± 0.28", 53.56, 25.01),
    ),
    ("CNN", 2): (
        ("-76.15 ± 0.21", 50.04, 26.1),
        ("-75.84 ± 0.16", 49.65, 26.19),
        ("-76.03 ± 0.19", 49.82, 26.21),
    ),
    ("Pixel", 2): (
        ("-73.08 ± 0.11", 47.64, 25.44),
        ("-72.72 ± 0.09", 47.13, 25.59),
        ("-72.91 ± 0.18", 47.27, 25.64),
    ),
    ("MLPs", 3): (
        ("-74.69 ± 0.33", 51.43, 23.25),
        ("-73.83 ± 0.24", 50.51, 23.33),
        ("-74.00 ± 0.21", 50.61, 23.39),
    ),
    ("CNN", 3): (
        ("-71.10 ± 0.17", 45.74, 25.36),
        ("-70.61 ± 0.13", 45.15, 25.46),
        ("-70.79 ± 0.16", 45.28, 25.51),
    ),
    ("Pixel", 3): (
        ("-67.88 ± 0.12", 41.31, 26.57),
        ("-67.46 ± 0.10", 40.83, 26.63),
        ("-67.58 ± 0.19", 40.93, 26.65),
    ),
}


def reported(network: str, k: int, c: int) -> dict[str, float | str]:
    """The paper's figures of a model on MNIST."""
    figures = TABLE_1[network, k][SIZES.index(c)]
    return dict(zip((BOUND, RE.label, KL.label), figures, strict=True))


ROWS_1 = [
    gmmp(network, k, c, reported=reported(network, k, c))
    for (network, k), c in product(TABLE_1, SIZES)
]
SLOW = [row.name for row in ROWS_1 if "MLPs" not in row.name]  # hours on one core
VAE = Row(name="VAE", recipe="vae", options=MLP)
VAE_1 = replace(VAE, reported={BOUND: "-93.89 ± 0.09", RE.label: 65.80, KL.label: 28.10})
VAMP = Row(name="VAE+VampPrior (C=500)", recipe="vamp-prior", options=MLP)


def exact(k: int, **others: Any) -> Row:
    """GMMpVAE trained on the ELBO, under the exact prior."""
    options = MLP | {"n_components": k}
    return control(f"K={k}, exact prior", "gmmp-vae", options, **others)


def each(k: int) -> Row:
    """GMMpVAE whose components' codes are decoded one by one."""
    options = MLP | {"n_components": k, "bound": "matched"}
    return control(f"K={k}, matched, each code decoded", "gmmp-vae", options)


def four(n_latent: int, data: str | None = None) -> list[Row]:
    """The VAE, and GMMpVAE with one to three components."""
    name = f", {data}" if data else ""
    rows = [replace(VAE, name=f"VAE{name}"), *(gmmp("MLPs", k) for k in (1, 2, 3))]
    names = [row.name if row is rows[0] else f"GMMpVAE K={k}{name}" for k, row in enumerate(rows)]
    size = {"n_latent": n_latent}
    return [
        replace(row, name=name, options=dict(row.options) | size, data=data)
        for row, name in zip(rows, names, strict=True)
    ]


WEIGHTS_2 = ([0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.5, 0.5])
WEIGHTS_3 = (
    *([0.1, 0.1, 0.8], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6], [0.3, 0.2, 0.5], [0.3, 0.3, 0.4]),
    [1 / 3, 1 / 3, 1 / 3],
)
PLACES = {"MNIST, C=500": ("mnist", 500), "MNIST, C=100": ("mnist", 100)}
PLACES["Omniglot, C=100"] = ("omniglot", 100)


def shown(weights: Sequence[float]) -> str:
    """Weights as text."""
    return ", ".join("1/3" if v == 1 / 3 else f"{v:g}" for v in weights)


def weighted(place: str, weights: Sequence[float]) -> Row:
    """GMMpVAE with fixed weights; equal ones are the default, so that their runs are shared."""
    data, c = PLACES[place]
    fixed = {} if len(set(weights)) == 1 else {"weights": list(weights)}
    row = gmmp("MLPs", len(weights), c, name=f"{place}: {shown(weights)}", data=data)
    return replace(row, options=dict(row.options) | fixed)


def series(sets: Sequence[Sequence[float]]) -> dict[str, list[str]]:
    """Names of rows by their weights."""
    return {shown(w): [weighted(place, w).name for place in PLACES] for w in sets}


SWEEP = (100, 250, 500, 1000)
PANELS = {OBJECTIVE.path: "objective (the paper's)", ELBO.path: "ELBO, a bound on log p(x)"}


def vamp(c: int) -> Row:
    """The VampPrior with C pseudo-inputs, trained on the ELBO."""
    return control(f"VampPrior, C={c}", "vamp-prior", MLP | {"n_pseudo_inputs": c})


def sweep_protocols() -> dict[Scale, Protocol]:
    """Of Figure 3: at the quick scale, the numbers of pseudo-inputs stay."""
    found = protocols()
    few = found["quick"]
    data = dict.fromkeys(few.data, Data(name="digits", subset=1000, binarize="dynamic"))
    options = {name: v for name, v in few.options.items() if name != "n_pseudo_inputs"}
    return found | {"quick": replace(few, data=data, options=options)}


FACES = NETWORKS["MLPs"] | {"likelihood": "logistic"}
FREY_TRAINING = {"max_epochs": 150, "batch_size": 100, "warmup_epochs": 20, "patience": 30}
FREY_NOTE = (
    "1,565 training, 200 validation and 200 test frames of our own shuffling; the likelihood is a "
    "discretised logistic that sums to one"
)


def frey_protocols(seeds: int = 1, quoted: Sequence[str] = (), **log_px: int) -> Any:
    """Frey Faces. Float32, as bfloat16 has no more digits than the grey levels."""
    few = quick("frey-faces", **small(log_px))
    return {
        "quick": replace(few, options=dict(few.options) | {"likelihood": "binomial"}),
        "cpu": Protocol(
            data={"frey-faces": FREY},
            training=FREY_TRAINING | {"precision": "32"},
            options={"n_pseudo_inputs": 100},
            evaluation=log_px,
            seeds=seeds,
            note=f"{FREY_NOTE}; 100 pseudo-inputs; at most 150 epochs, KL warm-up over 20.",
            comparable="no: another split, and fewer epochs than in the paper",
            quoted=quoted,
        ),
        "paper": Protocol(
            data={"frey-faces": FREY},
            training=FREY_TRAINING | FULL | {"precision": "32"},
            evaluation={"log_likelihood": 5000} if log_px else {},
            seeds=3,
            note=f"{FREY_NOTE}; {UNTIL}.",
            comparable="no: another split",
        ),
    }


def faces(row: Row, **others: Any) -> Row:
    """A row with the likelihood of Frey Faces."""
    return replace(row, options=dict(row.options) | {"likelihood": "logistic"}, **others)


HVAE = "HVAE (L=2)+VampPrior"
TWO_LEVELS = {
    f"Pixel{HVAE} (C=500)": NETWORKS["Pixel"],
    f"Conv{HVAE} (C=500)": NETWORKS["CNN"],
}


def two_levels(name: str, **others: Any) -> Row:
    """The HVAE under the VampPrior, with convolutions or a PixelCNN."""
    return Row(name=name, recipe="hvae", options=TWO_LEVELS[name], **others)


PIXEL_HVAE, CONV_HVAE = TWO_LEVELS
IWAE_5 = control("IWAE, S=5", "iwae", MLP | {"n_samples": 5})
FLOW = control("VAE, RealNVP posterior", "flow-vae", MLP | {"prior": "normal", "posterior": "flow"})
HVAE_MLP = control(f"{HVAE}, MLP", "hvae", MLP)
VALUES = [OBJECTIVE, ELBO, LOG_PX]
QUOTED_ABOUT = " Quoted figures are bounds or estimates, as their papers have them."


def picture_item(number: int, name: str, n_latent: int, data: str) -> Item:
    """Figures 5 to 9: reconstructions."""
    rows = four(n_latent, data)
    rows = [replace(row, name=row.name.partition(",")[0]) for row in rows]
    if data == "frey-faces":
        rows = [faces(row) for row in rows]
    return Item(
        name=f"gmmpvae/fig{number}",
        title=f"{name}: test images and their reconstructions, {n_latent} latents",
        about=ABOUT + ON_TRAINED,
        rows=rows,
        columns=[OBJECTIVE, ELBO, RE, KL],
        pictures={"": Picture(draw="compared", arguments={"n": 16})},
        protocols=frey_protocols() if data == "frey-faces" else protocols(),
    )


ITEMS = [
    Item(
        name="gmmpvae/table1",
        title="MNIST: bound, reconstruction error and KL of all choices of parameters",
        about=ABOUT,
        rows=[
            VAE_1,
            replace(VAMP, reported={LOG_PX.label: -82.38}),
            *ROWS_1,
            *(row for k in (2, 3) for row in (exact(k), each(k))),
        ],
        columns=[OBJECTIVE, ELBO, LOG_PX, RE, KL],
        protocols=protocols(2, SLOW, **LOG_LIKELIHOOD),
        components=True,
    ),
    Item(
        name="gmmpvae/table2",
        title="MNIST: log p(x) against published systems",
        about=ABOUT + QUOTED_ABOUT,
        rows=[
            replace(VAE, reported={BOUND: "-93.89 ± 0.09"}),
            *quoted(
                {
                    "VAE+NF (T=80)": -85.10,
                    "VAE+NICE (T=80)": -87.20,
                    "Conv. VAE+HVI": -81.94,
                    "DBN": -84.55,
                    "AAVE": -82.97,
                    "IWAE": -82.90,
                    "Ladder VAE": -81.74,
                    "DRAW+VGP": -79.88,
                    "VAE+IAF": -79.10,
                    "VLAE": -78.53,
                    "ConvHVAE (L=2)+LarsPrior": -80.30,
                }
            ),
            two_levels(PIXEL_HVAE, reported={LOG_PX.label: -78.45}),
            gmmp("CNN", 3, reported={BOUND: "-70.61 ± 0.13"}),
            gmmp("Pixel", 3, reported={BOUND: "-67.46 ± 0.10"}),
            gmmp("MLPs", 3, control=True),
            exact(3),
            replace(VAMP, control=True),
            HVAE_MLP,
            IWAE_5,
            FLOW,
        ],
        columns=VALUES,
        protocols=protocols(2, [*SLOW, PIXEL_HVAE], **LOG_LIKELIHOOD),
    ),
    Item(
        name="gmmpvae/table3",
        title="Omniglot: log p(x) against published systems",
        about=ABOUT + QUOTED_ABOUT,
        rows=[
            replace(row, data="omniglot")
            for row in (
                replace(VAE, reported={LOG_PX.label: -106.31}, comparable=OMNIGLOT_FILE),
                *quoted(
                    {
                        "IWAE": -103.38,
                        "RBM": -100.46,
                        "Conv DRAW": "> -91.00",
                        "VLAE (fine-tuned)": -89.83,
                        "DBN": -100.45,
                        "Discrete VAE": -97.43,
                        "ConvHVAE (L=2)+LarsPrior": -97.08,
                    }
                ),
                two_levels(PIXEL_HVAE, reported={LOG_PX.label: -89.76}, comparable=OMNIGLOT_FILE),
                gmmp("CNN", 3, reported={BOUND: "-93.56 ± 0.15"}),
                gmmp("Pixel", 3, reported={BOUND: "-79.92 ± 0.09"}),
                gmmp("MLPs", 3, control=True),
                exact(3),
                replace(VAMP, control=True),
                HVAE_MLP,
                IWAE_5,
            )
        ],
        columns=VALUES,
        protocols=protocols(2, [*SLOW, PIXEL_HVAE], **LOG_LIKELIHOOD),
    ),
    Item(
        name="gmmpvae/table4",
        title="Frey Faces: log p(x) in nats against published systems",
        about=ABOUT + QUOTED_ABOUT,
        rows=[
            faces(VAE, reported={LOG_PX.label: -1831.11}),
            *quoted(
                {
                    "VAE+NF (T=80)": -1798.93,
                    "VAE+NICE (T=80)": -1807.68,
                    "IWAE": -1782.73,
                    "VAE+IAF": -1759.46,
                }
            ),
            faces(two_levels(CONV_HVAE, reported={LOG_PX.label: -1782.33})),
            faces(two_levels(PIXEL_HVAE, reported={LOG_PX.label: -1742.82})),
            faces(gmmp("Pixel", 3, reported={BOUND: "-1685.62 ± 17.52"})),
            *(faces(row, control=True) for row in (gmmp("MLPs", 3), exact(3))),
            *(faces(row, control=True) for row in (VAMP, HVAE_MLP, IWAE_5)),
        ],
        columns=VALUES,
        protocols=frey_protocols(2, [*SLOW, CONV_HVAE, PIXEL_HVAE], log_likelihood=500, n_test=200),
    ),
    Item(
        name="gmmpvae/fig2",
        title="loss on validation images over the epochs, MNIST",
        about=ABOUT + " The curves begin after the KL warm-up. The loss is minus the objective.",
        rows=[*four(40), exact(3)],
        columns=[OBJECTIVE, ELBO, RE, KL],
        pictures={
            "": Picture(
                draw="histories",
                arguments={
                    "columns": {"val/objective": "loss, nats", "val/elbo": "minus the ELBO, nats"},
                    "after_warmup": True,
                    "negated": True,
                },
            )
        },
        protocols=protocols(),
    ),
    Item(
        name="gmmpvae/fig3",
        title="bound by the number of pseudo-inputs, MNIST",
        about=ABOUT,
        rows=[
            VAE,
            *(gmmp("MLPs", k, c) for k in (1, 2) for c in SWEEP),
            *(vamp(c) for c in SWEEP),
        ],
        columns=[OBJECTIVE, ELBO],
        pictures={
            "": Picture(
                draw="lines",
                arguments={
                    "x": "spec.spec.options.n_pseudo_inputs",
                    "columns": PANELS,
                    "groups": {
                        "GMMpVAE+Mix1": [label("MLPs", 1, c) for c in SWEEP],
                        "GMMpVAE+Mix2": [label("MLPs", 2, c) for c in SWEEP],
                        "VampPrior (exact prior)": [vamp(c).name for c in SWEEP],
                    },
                    "level": ["VAE"],
                    "label": "number of pseudo-inputs",
                },
            )
        },
        protocols=sweep_protocols(),
    ),
    Item(
        name="gmmpvae/fig4",
        title="bound by fixed weights of the posterior's components",
        about=ABOUT + " The average of the codes is weighted too, so that unequal weights leave "
        "it more of the noise.",
        rows=[weighted(place, w) for place in PLACES for w in (*WEIGHTS_2, *WEIGHTS_3)],
        columns=[OBJECTIVE, ELBO],
        pictures={
            "": Picture(
                draw="points",
                arguments={
                    "columns": PANELS,
                    "groups": {
                        "two components": series(WEIGHTS_2),
                        "three components": series(WEIGHTS_3),
                    },
                    "ticks": list(PLACES),
                },
            )
        },
        protocols=protocols(),
    ),
    picture_item(5, "MNIST", 2, "mnist"),
    picture_item(6, "Omniglot", 2, "omniglot"),
    picture_item(7, "MNIST", 40, "mnist"),
    picture_item(8, "Omniglot", 40, "omniglot"),
    picture_item(9, "Frey Faces", 40, "frey-faces"),
    Item(
        name="gmmpvae/fig10",
        title="histograms of log p(x) over test images",
        about=ABOUT + " The paper's histograms are of 5,000 test images.",
        rows=[*four(40, "mnist"), *four(40, "omniglot")],
        columns=VALUES,
        pictures={
            "": Picture(
                draw="histograms",
                arguments={
                    "groups": {
                        "MNIST": [row.name for row in four(40, "mnist")],
                        "Omniglot": [row.name for row in four(40, "omniglot")],
                    }
                },
            )
        },
        protocols=protocols(**LOG_LIKELIHOOD),
    ),
]

"""Figures of the GMMpVAE paper."""

from collections.abc import Mapping, Sequence

from ..common import ELBO, LOG_PX, OBJECTIVE
from ..item import Item, Picture, Protocol, Row, Scale
from .models import ABOUT, KL, RE, VAE, compared, exact, gmmp, name_of, vamp, with_options
from .protocols import frey_protocols, protocols, with_all_pseudo_inputs

SWEEP = (100, 250, 500, 1000)
PANELS = {OBJECTIVE.path: "objective", ELBO.path: "ELBO"}
WEIGHTS_2 = ([0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.5, 0.5])
WEIGHTS_3 = (
    *([0.1, 0.1, 0.8], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6], [0.3, 0.2, 0.5], [0.3, 0.3, 0.4]),
    [1 / 3, 1 / 3, 1 / 3],
)
PLACES = {
    "MNIST, C=500": ("mnist", 500),
    "MNIST, C=100": ("mnist", 100),
    "Omniglot, C=100": ("omniglot", 100),
}
OMNIGLOT = " Our images of Omniglot may be of another resizing and split than the paper's."


def shown(weights: Sequence[float]) -> str:
    """Weights as text."""
    return ", ".join("1/3" if v == 1 / 3 else f"{v:g}" for v in weights)


def weighted(place: str, weights: Sequence[float]) -> Row:
    """GMMpVAE with fixed weights; equal ones are the default, so that their runs are shared."""
    data, c = PLACES[place]
    row = gmmp("MLPs", len(weights), c, name=f"{place}: {shown(weights)}", data=data)
    return row if len(set(weights)) == 1 else with_options(row, weights=list(weights))


def series(sets: Sequence[Sequence[float]]) -> dict[str, list[str]]:
    """Names of rows by their weights."""
    return {shown(w): [weighted(place, w).name for place in PLACES] for w in sets}


def reconstructions(
    number: int, title: str, rows: Sequence[Row], protocols: Mapping[Scale, Protocol]
) -> Item:
    """Figures 5 to 9: test images and their reconstructions."""
    about = " Reconstructions are those of posterior means, of K = 2 and 3 of their average."
    about += OMNIGLOT if "Omniglot" in title else ""
    return Item(
        name=f"gmmpvae/fig{number}",
        title=f"test images and their reconstructions, {title}",
        about=ABOUT + about,
        rows=rows,
        columns=[OBJECTIVE, ELBO, RE, KL],
        pictures={"": Picture(draw="compared", arguments={"n": 16})},
        protocols=protocols,
    )


FACES = [with_options(row, likelihood="logistic") for row in compared(40)]
ON_MNIST, ON_OMNIGLOT = (compared(40, "mnist", ", MNIST"), compared(40, "omniglot", ", Omniglot"))

FIGURES = [
    Item(
        name="gmmpvae/fig2",
        title="loss over the epochs, MNIST",
        about=ABOUT
        + " The loss is minus the objective, on validation images, and the curves begin "
        "after the KL warm-up. A control is trained on the ELBO itself, under the exact prior.",
        rows=[*compared(40), exact(3)],
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
        about=ABOUT + " The VampPrior, a control, is trained on the ELBO itself, under the exact "
        "prior.",
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
                        "GMMpVAE+Mix1": [name_of("MLPs", 1, c) for c in SWEEP],
                        "GMMpVAE+Mix2": [name_of("MLPs", 2, c) for c in SWEEP],
                        "VampPrior (exact prior)": [vamp(c).name for c in SWEEP],
                    },
                    "level": ["VAE"],
                    "label": "number of pseudo-inputs",
                },
            )
        },
        protocols=with_all_pseudo_inputs(protocols()),
    ),
    Item(
        name="gmmpvae/fig4",
        title="bound by fixed weights of the posterior's components",
        about=ABOUT + " The average of the codes is weighted too, so that unequal weights leave "
        "it more of the noise. The paper has six combinations of data, network and number of "
        "pseudo-inputs; here are three, with MLPs." + OMNIGLOT,
        rows=[weighted(place, w) for place in PLACES for w in (*WEIGHTS_2, *WEIGHTS_3)],
        columns=[OBJECTIVE, ELBO],
        pictures={
            "": Picture(
                draw="differences",
                arguments={
                    "columns": PANELS,
                    "groups": {
                        "two components": series(WEIGHTS_2),
                        "three components": series(WEIGHTS_3),
                    },
                    "series": list(PLACES),
                    "label": "nats above equal weights",
                },
            )
        },
        protocols=protocols(),
    ),
    reconstructions(5, "MNIST, 2 latents", compared(2), protocols()),
    reconstructions(6, "Omniglot, 2 latents", compared(2, "omniglot"), protocols()),
    reconstructions(7, "MNIST, 40 latents", compared(40), protocols()),
    reconstructions(8, "Omniglot, 40 latents", compared(40, "omniglot"), protocols()),
    reconstructions(9, "Frey Faces, 40 latents", FACES, frey_protocols()),
    Item(
        name="gmmpvae/fig10",
        title="histograms of log p(x) over test images",
        about=ABOUT + " The paper's histograms are of 5,000 test images." + OMNIGLOT,
        rows=[*ON_MNIST, *ON_OMNIGLOT],
        columns=[OBJECTIVE, ELBO, LOG_PX],
        pictures={
            "": Picture(
                draw="histograms",
                arguments={
                    "groups": {
                        "MNIST": [row.name for row in ON_MNIST],
                        "Omniglot": [row.name for row in ON_OMNIGLOT],
                    }
                },
            )
        },
        protocols=protocols(log_px=True),
    ),
]

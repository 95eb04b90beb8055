"""Draw the pictures of the documentation again.

    python docs/images/draw.py wine
    python docs/images/draw.py mixture RUN
    python docs/images/draw.py mvae RUN
    python docs/images/draw.py mvae-gs RUN

``wine`` trains its own model, in less than a minute. The others draw from a run folder on MNIST:
of a mixture-vae of ten components (README.md), of an mvae (docs/models/mvae.md: K = 4,
beta_w=20, 20 epochs) and of an mvae-gs (docs/models/mvae-gs.md: K = 6, 20 epochs), as
``mixvae train`` or ``mixvae reproduce`` leave them. Data are looked for in $MIXVAE_DATA.
"""

import sys
import tempfile
from pathlib import Path

import mixvae
from mixvae import plots
from mixvae.evaluation.latent_operations import pairs

HERE = Path(__file__).parent


def wine() -> None:
    """Profiles and pairs of columns, as docs/tutorials/cluster_a_table.md trains the model."""
    from sklearn.datasets import load_wine

    table, grower = load_wine(return_X_y=True, as_frame=True)
    data = mixvae.data.from_arrays(table, grower, name="wine", seed=0)
    with tempfile.TemporaryDirectory() as folder:
        run = mixvae.fit(
            "mfa-vae", data, batch_size=32, max_epochs=30, seed=0, out=f"{folder}/wine"
        )
    model, transform = run.recipe.model, data.transform
    rows = transform.to_float64(table.to_numpy()).float()
    plots.profiles(model, rows, HERE / "wine-profiles.png", transform=transform)
    plots.pairs(model, rows, HERE / "wine-pairs.png", transform=transform)


def mixture(run: mixvae.Run) -> None:
    """Samples of the components, and their responsibilities for test images."""
    test = mixvae.data.load("mnist").test
    plots.samples(run.recipe.model, HERE / "components.png")
    plots.weights(run.recipe.model, test.x[:2000], test.y[:2000], HERE / "responsibilities.png")


def mvae(run: mixvae.Run) -> None:
    """Codes exchanged between components, and interpolated."""
    model, x = run.recipe.model, mixvae.data.load("mnist").test.x
    plots.crossed(model, x, HERE / "mvae-crossed.png")
    start, end, _ = pairs(model, x)
    plots.interpolations(model, start, end, HERE / "mvae-interpolations.png", crossed=True)


def mvae_gs(run: mixvae.Run) -> None:
    """Curves of a model that chooses its components."""
    plots.curves(run.history, HERE / "mvae-gs-curves.png")


DRAW = {"mixture": mixture, "mvae": mvae, "mvae-gs": mvae_gs}

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["wine"]:
            wine()
        case [name, folder] if name in DRAW:
            DRAW[name](mixvae.load(folder))
        case _:
            sys.exit(__doc__)

"""What the papers' experiments share: data, scales, columns and controls."""

from collections.abc import Mapping
from typing import Any

from .item import Column, Data, Protocol, Row

DIGITS = Data(name="digits", subset=300)
SMALL = {  # options at the quick scale, of the recipes that have them
    "hidden": [48, 48],
    "channels": [8, 16],
    "n_pseudo_inputs": 20,
    "start_epochs": 2,
    "pixelcnn_features": 4,
    "pixelcnn_layers": 2,
    "n_planar": 4,
    "n_transforms": 2,
    "n_steps": 2,
    "width": 24,
    "level_hidden": [24],
}
FEW_EPOCHS = "no: fewer epochs than in the paper"
FEW_IMAGES = "no: fewer epochs and training images than in the paper"
OTHER_DATA = "no: small networks on scikit-learn's digits, to see that everything works"

SSE = Column(label="SSE", path="reconstruction.sse")
SSE_MEANS = Column(label="SSE, codes at their means", path="reconstruction.sse_deterministic")
RMSE = Column(label="RMSE", path="reconstruction.rmse", digits=3)
OBJECTIVE = Column(label="objective", path="bounds.objective", bound="objective")
ELBO = Column(label="ELBO", path="bounds.elbo", bound="yes")
LOG_PX = Column(label="log p(x)", path="log_likelihood.mean", bound="yes")
INCEPTION = Column(
    label="Inception Score",
    path="image_scores.reconstructions.inception_score",
    comparable="no: by a classifier trained on the data set in place of Inception-v3",
)
SCORES = [  # of reconstructions, as the papers, of samples, and of the test images themselves
    INCEPTION,
    Column(label="Inception Score, samples", path="image_scores.samples.inception_score"),
    Column(label="Inception Score, test images", path="image_scores.data.inception_score"),
    Column(label="FID, reconstructions", path="image_scores.reconstructions.fid", digits=1),
    Column(label="FID, samples", path="image_scores.samples.fid", digits=1),
]
CLASSIFIER = (
    "Inception Score and FID are by a classifier that is trained on the data set, so that they "
    "cannot be compared with the paper's; the score of the test images is the ceiling. As in the "
    "papers, the score is of reconstructions; that of samples stands beside it."
)
ERROR = (
    "SSE is the squared error, summed over pixels in [0, 1] and averaged over all test images (the "
    "authors' code: over 128): of one stochastic sample, as in the paper, or with codes at their "
    "means."
)
PARAMETERS = Column(label="parameters", path="n_parameters", digits=0)


def quick(*names: str, binarize: str = "none", **evaluation: Any) -> Protocol:
    """The quick scale, with scikit-learn's digits in place of each of the named data sets."""
    data = Data(name="digits", subset=300, binarize=binarize)
    return Protocol(
        data=dict.fromkeys(names, data),
        training={"max_epochs": 2, "batch_size": 64},
        options=SMALL,
        evaluation={"n_test": 50} | evaluation,
        note="300 images of scikit-learn's digits (8 x 8 pixels), two epochs, small networks.",
        comparable=OTHER_DATA,
    )


def control(name: str, recipe: str, options: Mapping[str, Any], **others: Any) -> Row:
    """A row of ours that shows what a figure of the paper's model comes from."""
    return Row(name=name, recipe=recipe, options=options, control=True, **others)


def kl_controls(k: int, options: Mapping[str, Any]) -> list[Row]:
    """Single VAEs with a joint mixture's advantages: its discount on the KL, its latents."""
    n_latent = options["n_latent"]
    return [
        control(f"VAE, KL x 1/{k}", "beta-vae", dict(options) | {"beta_kl": 1 / k}),
        control(
            f"VAE, {k} x {n_latent} latents", "vae", dict(options) | {"n_latent": k * n_latent}
        ),
    ]

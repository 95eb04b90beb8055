"""DLGMM's tables on static binarised MNIST: bounds, log p(x), and kNN error on the codes.

One encoder and one decoder with two hidden layers of 500, 25 latents (50 sticks for SB-VAE), Adam
3e-4, batches of 100, early stopping with 30 epochs' look-ahead, as in the paper, but at most 40
epochs; bfloat16, one seed. All figures over 2,000 test images at even distances, log p(x) by
importance sampling with 1,000 codes; "paper" is its authors' log, with 50. "knn_sample" is the
error in % of 3, 5 and 10 nearest neighbours, of one draw of the code of each image, and "knn_mean"
of its mean: trained on 50,000 images of MNIST, tested on 2,000, drawn as 0 or 1 once, as the static
images have no labels.
"""

from typing import Any

DATA = {"name_or_path": "binarized-mnist"}
TRAINING = {
    "max_epochs": 40,
    "batch_size": 100,
    "lr": 3e-4,
    "precision": "bf16",
    "patience": 30,
    "seed": 0,
}
EVALUATION = {"log_likelihood": 1000, "n_test": 2000}
REPRESENTATION = {"data": {"name_or_path": "mnist", "binarize": "dynamic"}, "n_test": 2000}
COLUMNS = ["paper", "objective", "elbo", "log_px", "log_px_error", "bad_k_hat"]
COLUMNS += ["knn_sample", "knn_mean", "share", "epochs"]

SIZE = {"hidden": [500, 500], "n_latent": 25}


def row(name: str, recipe: str, paper: str = "", **options: Any) -> dict[str, Any]:
    """A row of a recipe at this size, but for some options."""
    return {"name": name, "recipe": recipe, "options": SIZE | options, "paper": paper}


ROWS = [
    row("VAE", "vae", "-96.80"),
    row("DLGMM K=3", "dlgmm", "-96.50", n_components=3),
    row("DLGMM K=5", "dlgmm", "-96.22 (3 times the width)", n_components=5),
    row("DLDPMM T=10", "dldpmm", n_components=10),
    row("SB-VAE", "sb-vae", n_latent=50),
    row(
        "DLGMM K=5, prior means -1.5 to 1.5",
        "dlgmm",
        n_components=5,
        prior_means=[-1.5, -0.75, 0.0, 0.75, 1.5],
    ),
    row("DLGMM K=3, the paper's bound", "dlgmm", n_components=3, form="paper"),
]

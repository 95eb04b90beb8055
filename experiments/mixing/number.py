"""How many components component dropout keeps on MNIST, and how many held-out log p(x) asks for.

20,000 images of MNIST, binarised dynamically, 20 epochs after 8 as one VAE, one seed. K = 1 has 36
epochs, so that the learning rates of its steps, which fall along a cosine from the first one, add
up to those of the others, whose start has the whole rate. The first rows have that many components
and no dropout; all components see every x, as they do under dropout. The others start from ten or
fifteen with a rate for each and a prior of 0.1 that it takes part. The price of the rates is
charged for each x ("beta=1"), a tenth of it, or once for the whole data ("beta=1/N"). "log_px" is
importance sampling with about as many codes for each model, 420, over 2,000 test images, of the
components that were kept.
"""

from typing import Any

DATA = {"name_or_path": "mnist", "binarize": "dynamic", "subset": 20000}
TRAINING = {"max_epochs": 20, "batch_size": 256, "lr": 1.5e-3, "lr_schedule": "cosine"}
TRAINING |= {"precision": "bf16"}
EVALUATION = {"n_test": 2000}
COLUMNS = ["log_px", "log_px_error", "elbo", "kept", "rate", "share", "acc", "parameters"]

ALL = {"n_latent": 20, "hidden": [300, 300], "start_epochs": 8}
N_CODES = 420


def row(name: str, n_components: int, epochs: int = 20, **options: Any) -> dict[str, Any]:
    """A row whose components all see every x."""
    options = {"n_components": n_components, "n_active": n_components} | options
    warmup = {"warmup_epochs": 4} if n_components == 1 else {}
    return {
        "name": name,
        "recipe": "mixture-vae",
        "options": ALL | options,
        "training": {"max_epochs": epochs} | warmup,
        "evaluation": {"log_likelihood": N_CODES // n_components},
    }


ROWS = [
    row("K=1", 1, 36),
    *(row(f"K={k}", k) for k in (2, 4, 7, 10, 15)),
    row("dropout, beta=1", 10, keep_prior=0.1),
    row("dropout, beta=0.1", 10, keep_prior=0.1, beta_dropout=0.1),
    row("dropout, beta=1/N", 10, keep_prior=0.1, beta_dropout=1 / 20000),
    row("dropout from 15, beta=1", 15, keep_prior=0.1),
]

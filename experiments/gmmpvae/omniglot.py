"""Omniglot, dynamically binarised: VAE, VampPrior, GMMpVAE, two levels.

The images are of the usual 28 x 28 pixels, but of another resizing and split than Burda's file
where one made so is read: figures compare with each other, and with published ones ("paper") only
where DIR has the original. Gated MLPs of 300-300, 40 latents, 500 pseudo-inputs that start from
data; "log_px" by importance sampling with 1,000 codes over 2,000 test images at even distances.
20 epochs, KL warm-up over the first 5; one seed.
"""

from typing import Any

DATA = {"name_or_path": "omniglot", "binarize": "dynamic"}
TRAINING = {
    "max_epochs": 20,
    "batch_size": 100,
    "lr": 5e-4,
    "precision": "bf16",
    "warmup_epochs": 5,
    "seed": 0,
}
EVALUATION = {"log_likelihood": 1000, "n_test": 2000}
COLUMNS = ["paper", "objective", "elbo", "log_px", "log_px_error", "bad_k_hat", "active_units"]

SIZE = {"network": "gated-mlp", "hidden": [300, 300], "n_latent": 40}


def row(name: str, recipe: str, paper: str, **options: Any) -> dict[str, Any]:
    """A row of a recipe at this size, but for some options."""
    return {"name": name, "recipe": recipe, "options": SIZE | options, "paper": paper}


ROWS = [
    row("VAE", "vae", "-106.31"),
    row("IWAE, S = 5", "iwae", "-103.38 (S = 50)", n_samples=5),
    row("VampPrior", "vamp-prior", "-106.78"),
    row("GMMpVAE K=3, exact prior", "gmmp-vae", "-93.56 (claimed)", n_components=3),
    row("HVAE, VampPrior", "hvae", "-101.18"),
]

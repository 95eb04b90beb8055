"""Frey Faces in nats and bits per dimension: VAE, VampPrior, GMMpVAE, two levels.

1,565 training, 200 validation and 200 test frames of 28 x 20 pixels, of our own shuffling; 256 grey
levels as a discretised logistic that sums to one, which the well-known code's does not. Gated MLPs
of 300-300, 40 latents, 100 pseudo-inputs that start from data. "log_px" is importance sampling with
5,000 codes over all test frames, "elbo" the valid bound; "paper" is the published figure of the
nearest model, with other splits and likelihoods. KL warm-up over 50 epochs; float32, as
bfloat16 has no more digits than the grey levels; one seed.
"""

from typing import Any

DATA = {"name_or_path": "frey-faces", "n_val": 200}
TRAINING = {
    "max_epochs": 400,
    "batch_size": 100,
    "lr": 5e-4,
    "warmup_epochs": 50,
    "patience": 50,
    "seed": 0,
}
EVALUATION = {"log_likelihood": 5000}
COLUMNS = ["paper", "objective", "elbo", "log_px", "log_px_error", "bits_per_dim", "bad_k_hat"]
COLUMNS += ["active_units", "epochs"]

SIZE = {"network": "gated-mlp", "hidden": [300, 300], "n_latent": 40, "likelihood": "logistic"}


def row(name: str, recipe: str, paper: str = "", **options: Any) -> dict[str, Any]:
    """A row of a recipe at this size, but for some options."""
    return {"name": name, "recipe": recipe, "options": SIZE | options, "paper": paper}


ROWS = [
    row("VAE", "vae", "-1831.11"),
    row("VampPrior", "vamp-prior", n_pseudo_inputs=100),
    row(
        "GMMpVAE K=3, exact prior",
        "gmmp-vae",
        "-1685.62 (convolutional; claimed)",
        n_components=3,
        n_pseudo_inputs=100,
    ),
    row("HVAE, VampPrior", "hvae", "-1782.33 (convolutional)", n_pseudo_inputs=100),
    row("IWAE, S = 5", "iwae", "-1782.73", n_samples=5),
]

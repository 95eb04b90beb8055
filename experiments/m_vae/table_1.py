"""M-VAE Table I: squared error on MNIST (grey, 10,000 test images), with controls.

As the authors' code: cross-entropy on grey levels, KL averaged over components, concentrations
divided by their sum, root of dHSIC. 20 epochs where the paper has 100; one seed. The controls are
single VAEs given the mixture's discount on the KL, its number of latents, or its parameters.
"""

from typing import Any

DATA = {"name_or_path": "mnist"}
TRAINING = {"max_epochs": 20, "batch_size": 128, "precision": "bf16", "seed": 0}
COLUMNS = ["paper", "sse", "sse_deterministic", "parameters", "kl", "share", "sse_alone", "dead"]

AUTHORS = {"likelihood": "cross-entropy", "concentration": "normalised", "dhsic_root": True}
PLAIN = {"likelihood": "cross-entropy", "n_latent": 20}
PAPER = {1: None, 4: None, 7: 11.54, 8: 10.20, 10: 9.17}


def mixture(k: int, **options: Any) -> dict[str, Any]:
    """A row of the paper's model."""
    name = " ".join([f"M-VAE K={k}", *(f"{key}={value}" for key, value in options.items())])
    options = AUTHORS | {"n_components": k} | options
    return {"name": name, "recipe": "m-vae", "options": options, "paper": PAPER[k]}


ROWS = [
    mixture(10),
    mixture(8),
    mixture(7),
    mixture(4),
    mixture(4, beta_w=20.0),
    mixture(1),
    {"name": "VAE", "recipe": "vae", "options": PLAIN, "paper": 13.44},
    {"name": "VAE, KL x 1/4", "recipe": "beta-vae", "options": PLAIN | {"beta_kl": 1 / 4}},
    {"name": "VAE, KL x 1/10", "recipe": "beta-vae", "options": PLAIN | {"beta_kl": 1 / 10}},
    {"name": "VAE, 4 x 20 latents", "recipe": "vae", "options": PLAIN | {"n_latent": 80}},
    {"name": "VAE, 10 x 20 latents", "recipe": "vae", "options": PLAIN | {"n_latent": 200}},
    {
        "name": "VAE, parameters of K=4",
        "recipe": "vae",
        "options": PLAIN | {"hidden": [1266, 1266]},
    },
]

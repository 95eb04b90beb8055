"""MVAE Table VI, its rows of fixed K: squared error on MNIST (grey, 10,000 test images).

As the authors' code: cross-entropy on grey levels, KL averaged over components, concentrations
divided by their sum, root of dHSIC. The paper's figures are MVAE-GS's / MVAE-Gau's with K fixed.
20 epochs where the paper has 100; one seed. The controls are single VAEs given the mixture's
discount on the KL, its number of latents, or its parameters.
"""

from typing import Any

DATA = {"name_or_path": "mnist"}
TRAINING = {"max_epochs": 20, "batch_size": 128, "precision": "bf16", "seed": 0}
COLUMNS = ["paper", "sse", "sse_deterministic", "parameters", "kl", "share", "sse_alone", "dead"]

AUTHORS = {"likelihood": "cross-entropy", "concentration": "normalised", "dhsic_root": True}
PLAIN = {"likelihood": "cross-entropy", "n_latent": 50}
PAPER = {4: "7.42 / 9.52", 6: "7.41 / 7.89"}


def mixture(k: int, **options: Any) -> dict[str, Any]:
    """A row of the paper's model."""
    name = " ".join([f"MVAE K={k}", *(f"{key}={value}" for key, value in options.items())])
    options = AUTHORS | {"n_components": k} | options
    return {"name": name, "recipe": "mvae", "options": options, "paper": PAPER[k]}


ROWS = [
    mixture(6),
    mixture(4),
    mixture(4, beta_w=20.0),
    {"name": "VAE", "recipe": "vae", "options": PLAIN, "paper": 9.07},
    {"name": "VAE, KL x 1/4", "recipe": "beta-vae", "options": PLAIN | {"beta_kl": 1 / 4}},
    {"name": "VAE, KL x 1/6", "recipe": "beta-vae", "options": PLAIN | {"beta_kl": 1 / 6}},
    {"name": "VAE, 4 x 50 latents", "recipe": "vae", "options": PLAIN | {"n_latent": 200}},
    {"name": "VAE, 6 x 50 latents", "recipe": "vae", "options": PLAIN | {"n_latent": 300}},
    {
        "name": "VAE, parameters of K=6",
        "recipe": "vae",
        "options": PLAIN | {"hidden": [1205, 1205]},
    },
]

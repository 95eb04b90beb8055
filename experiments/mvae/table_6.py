"""MVAE Table VI: squared error and chosen number of components on MNIST (grey, 10,000 test images).

As the authors' code: cross-entropy on grey levels, KL averaged over components, concentrations
divided by their sum, root of dHSIC. 20 epochs where the paper has 100; one seed. "selected" is the
paper's selected K, the mean number of masks above a threshold in one draw; "kept" is how many
components evaluation keeps, and "sse_pruned" the error of the model without the others. The paper
has one rate for all components (shared); a rate for each chooses among them. The controls are
single VAEs given the mixture's discount on the KL, its number of latents, or its parameters.
"""

from typing import Any

DATA = {"name_or_path": "mnist"}
TRAINING = {"max_epochs": 20, "batch_size": 128, "precision": "bf16", "seed": 0}
COLUMNS = ["paper", "sse", "selected", "kept", "sse_pruned", "parameters", "kl", "rate"]
COLUMNS += ["share", "sse_alone", "dead"]

AUTHORS = {"likelihood": "cross-entropy", "concentration": "normalised", "dhsic_root": True}
PLAIN = {"likelihood": "cross-entropy", "n_latent": 50}
PAPER = {  # squared error, and selected K where components are dropped
    ("mvae", 4): "7.42 (GS), 9.52 (Gau)",
    ("mvae", 6): "7.41 (GS), 7.89 (Gau)",
    ("mvae-gs", 4): "7.35, K 3.07",
    ("mvae-gs", 6): "7.30, K 4.05",
    ("mvae-gau", 6): "7.53, K 3.45",
}


def mixture(recipe: str, k: int, **options: Any) -> dict[str, Any]:
    """A row of the paper's model."""
    said = [f"{key}={value}" for key, value in options.items() if key != "rate_kl"]
    return {
        "name": " ".join([recipe.upper(), f"K={k}", *said]),
        "recipe": recipe,
        "options": AUTHORS | {"n_components": k} | options,
        "paper": PAPER.get((recipe, k)),
    }


ROWS = [
    *(mixture("mvae-gs", k, rate=rate) for rate in ("shared", "per_component") for k in (4, 6)),
    mixture("mvae-gau", 4, rate="shared", rate_kl="polynomial"),
    mixture("mvae-gau", 6, rate="shared", rate_kl="polynomial"),
    *(mixture("mvae-gau", k, rate="per_component") for k in (4, 6)),
    mixture("mvae-gs", 6, rate="per_component", beta_w=20.0),
    mixture("mvae", 6),
    mixture("mvae", 4),
    mixture("mvae", 4, beta_w=20.0),
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

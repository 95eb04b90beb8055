"""Joint mixtures whose components are all alive: what dHSIC does, and what the mixture gains.

10,000 grey images of MNIST, cross-entropy, 20 epochs, one seed. A weight of 20 on the weights' KL
("beta_w") keeps every component alive; "beta" is dHSIC's. "dhsic" is that of the codes of test
images and "dhsic_independent" what it is for as many independent codes: the difference counts.
"sse" is of a stochastic sample and "sse_deterministic" of the means; "svm" is the accuracy (%) of a
linear classifier on all codes together (first) and on each component's. The controls are single
VAEs with the mixtures' discount on the KL: of one component's size, with the latents of all
components, and with MVAE's parameters.
"""

from typing import Any

DATA = {"name_or_path": "mnist", "subset": 10000}
TRAINING = {"max_epochs": 20, "batch_size": 128, "precision": "bf16", "seed": 0}
REPRESENTATION = {"neighbours": []}
COLUMNS = ["sse", "sse_deterministic", "sse_alone", "kl", "dhsic", "dhsic_independent", "svm"]
COLUMNS += ["share", "dead", "parameters"]

PLAIN = {"likelihood": "cross-entropy"}
ALIVE = PLAIN | {"concentration": "normalised", "beta_w": 20.0, "n_components": 4}
DISCOUNT = PLAIN | {"n_latent": 50, "beta_kl": 1 / 4}


def mixture(recipe: str, beta: float, **options: Any) -> dict[str, Any]:
    """A row of a mixture with dHSIC's weight."""
    name = f"{recipe.upper()}, beta={beta:g}"
    return {"name": name, "recipe": recipe, "options": ALIVE | {"beta_dhsic": beta} | options}


def control(name: str, **options: Any) -> dict[str, Any]:
    """A row of a single VAE."""
    return {"name": f"VAE, {name}", "recipe": "beta-vae", "options": DISCOUNT | options}


ROWS = [
    *(mixture("mvae", beta) for beta in (0.0, 1.0, 10.0, 100.0, 1e4)),
    *(mixture("m-vae", beta, n_latent=50) for beta in (0.0, 10.0, 100.0, 1e4)),
    control("KL x 1/4"),
    control("KL x 1/4, 4 x 50 latents", n_latent=200),
    control("KL x 1/4, parameters of MVAE", hidden=[964, 964]),
]

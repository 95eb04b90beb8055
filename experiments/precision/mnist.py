"""Float32 and bfloat16 products, on 10,000 images of dynamically binarised MNIST.

The same recipe, seed and epochs in both; everything but the products (weights, Adam, densities,
KLs, dHSIC) is in float32 either way. "objective" and "elbo" are of the 10,000 test images. There
are four seeds of M-VAE and MVAE-GS, since another of their components wins with each.
"""

from typing import Any

DATA = {"name_or_path": "mnist", "binarize": "dynamic", "subset": 10000}
TRAINING = {"max_epochs": 10, "batch_size": 128, "seed": 0}
COLUMNS = ["objective", "elbo", "sse", "kl", "seconds"]
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "VAE": ("vae", {}),
    "M-VAE K=4": ("m-vae", {"n_components": 4}),
    "MVAE-GS K=4": ("mvae-gs", {"n_components": 4}),
    "mixture-vae K=4": (
        "mixture-vae",
        {"n_components": 4, "shared_layers": False, "start": "random"},
    ),
    "GMMpVAE K=3": ("gmmp-vae", {"n_components": 3}),
}
SEEDS = {"M-VAE K=4": range(4), "MVAE-GS K=4": range(4)}
ROWS = [
    {
        "name": f"{name}, {precision}" + (f", seed {seed}" if name in SEEDS else ""),
        "recipe": recipe,
        "options": options,
        "training": {"precision": precision, "seed": seed},
    }
    for name, (recipe, options) in RECIPES.items()
    for seed in SEEDS.get(name, (0,))
    for precision in ("32", "bf16")
]

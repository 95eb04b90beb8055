"""The exact mixture and its controls, at equal time on the processor: the rows of two tables."""

from typing import Any

TRAINING = {"batch_size": 128, "lr": 1e-3, "lr_schedule": "cosine", "precision": "bf16"}
EVALUATION = {"log_likelihood": 2000, "n_test": 2000}
COLUMNS = ["log_px", "log_px_error", "elbo", "parameters", "processor_seconds", "epochs"]
COLUMNS += ["share", "dead", "effective_k_per_x", "acc"]

Row = dict[str, Any]
WARMUP = 4  # epochs until the KL has its whole weight
MIXTURE = {"n_components": 10, "n_latent": 20, "hidden": [300, 300], "start_epochs": 8}


def row(name: str, recipe: str, options: Row, epochs: int, seed: int, **more: Any) -> Row:
    """A row of one seed."""
    warmup = 0 if recipe == "mixture-vae" else WARMUP  # it has one before it is split
    training = {"max_epochs": epochs, "seed": seed, "warmup_epochs": warmup}
    return {
        "name": f"{name}, {seed}",
        "recipe": recipe,
        "options": options,
        "training": training,
    } | more


def rows(seed: int) -> list[Row]:
    """The mixture and its controls."""
    few = {"evaluation": {"log_likelihood": 200}}
    return [
        row("mixture-vae", "mixture-vae", MIXTURE, 60, seed, **few),
        row("VAE", "vae", {"n_latent": 40, "hidden": [360, 360]}, 110, seed),
        row("IWAE-5", "iwae", {"n_latent": 40, "hidden": [300, 300], "n_samples": 5}, 66, seed),
    ]


ROWS = [each for seed in range(3) for each in rows(seed)]
ROWS += [
    row("VAE, 20 latents", "vae", {"n_latent": 20, "hidden": [300, 300]}, 140, 0),
    row("IWAE-10", "iwae", {"n_latent": 40, "hidden": [300, 300], "n_samples": 10}, 40, 0),
]

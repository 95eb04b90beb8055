"""The exact mixture and its controls, at equal time on the processor: the rows of two tables."""

from typing import Any

TRAINING = {"batch_size": 256, "lr": 1.5e-3, "lr_schedule": "cosine", "precision": "bf16"}
EVALUATION = {"log_likelihood": 2000, "n_test": 2000}
COLUMNS = ["log_px", "log_px_error", "elbo", "parameters", "processor_seconds", "epochs"]
COLUMNS += ["share", "dead", "effective_k_per_x", "acc"]

Row = dict[str, Any]
WARMUP = {"warmup_epochs": 4}  # epochs until the KL has its whole weight
TUNED = {"lr": 3e-3, "warmup_epochs": 40}
OF_128 = {"batch_size": 128, "lr": 1e-3}
MIXTURE = {"n_components": 10, "n_latent": 20, "hidden": [300, 300], "start_epochs": 24}
VAE = {"n_latent": 40, "hidden": [360, 360]}
SMALL = {"n_latent": 20, "hidden": [300, 300]}
IWAE = {"n_latent": 40, "hidden": [300, 300]}


def mixture(name: str, epochs: int, seed: int, **options: Any) -> Row:
    """A row of the mixture, whose start has a KL that rises."""
    return {
        "name": f"{name}, {seed}",
        "recipe": "mixture-vae",
        "options": MIXTURE | options,
        "training": {"max_epochs": epochs, "seed": seed},
    }


def control(name: str, recipe: str, options: Row, epochs: int, seed: int, **training: Any) -> Row:
    """A row of one VAE."""
    training = {"max_epochs": epochs, "seed": seed} | WARMUP | training
    return {
        "name": f"{name}, {seed}",
        "recipe": recipe,
        "options": options,
        "training": training,
    }


def of_128(name: str, recipe: str, options: Row, epochs: int, seed: int) -> Row:
    """A row of one VAE in smaller batches."""
    return control(f"{name}, batches of 128", recipe, options, epochs, seed, **OF_128)


def rows(seed: int) -> list[Row]:
    """The mixture, and the controls that came nearest to it."""
    return [
        mixture("mixture-vae", 90, seed),
        control("VAE", "vae", VAE, 170, seed),
        control("VAE, tuned", "vae", VAE, 170, seed, **TUNED),
    ]


ROWS = [each for seed in range(3) for each in rows(seed)]
ROWS += [
    mixture("mixture-vae, one active", 108, 0, n_active=1),
    control(
        "IWAE-2, tuned", "iwae", IWAE | {"n_samples": 2}, 120, 0, **TUNED | {"warmup_epochs": 30}
    ),
    control(
        "IWAE-5, tuned", "iwae", IWAE | {"n_samples": 5}, 75, 0, **TUNED | {"warmup_epochs": 19}
    ),
    of_128("VAE", "vae", VAE, 110, 0),
    of_128("IWAE-5", "iwae", IWAE | {"n_samples": 5}, 66, 0),
]
MORE = [
    control("VAE, tuned, as many epochs as the mixture", "vae", VAE, 90, 0, **TUNED),
    *(of_128("VAE", "vae", VAE, 110, seed) for seed in (1, 2)),
    *(of_128("IWAE-5", "iwae", IWAE | {"n_samples": 5}, 66, seed) for seed in (1, 2)),
    of_128("VAE, 20 latents", "vae", SMALL, 140, 0),
    of_128("IWAE-10", "iwae", IWAE | {"n_samples": 10}, 40, 0),
    control("IWAE-2", "iwae", IWAE | {"n_samples": 2}, 120, 0),
]
TWICE = [
    mixture("mixture-vae, twice the time", 190, 0),
    control("VAE, tuned, twice the time", "vae", VAE, 340, 0, **TUNED | {"warmup_epochs": 80}),
]

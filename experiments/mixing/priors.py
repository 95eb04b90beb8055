"""The exact mixture with priors of its components' own, and VAEs with priors as rich: the rows."""

from mixing.controls import TUNED, VAE, control, mixture

FIFTY = VAE | {"n_clusters": 50, "start": "random"}


def rows(seed: int) -> list[dict[str, object]]:
    """Ten minutes of one core each, as in the tables beside this one."""
    return [
        mixture("mixture-vae, 20 normals", 84, seed, n_normals=20),
        mixture("mixture-vae", 90, seed),
        control("VAE, 50 normals, tuned", "vade", FIFTY, 160, seed, **TUNED),
        control("VAE, tuned", "vae", VAE, 170, seed, **TUNED),
    ]


ROWS = [
    *rows(0),
    mixture("mixture-vae, 5 normals", 87, 0, n_normals=5),
    mixture("mixture-vae, 50 normals", 76, 0, n_normals=50),
    mixture("mixture-vae, flow", 64, 0, prior="flow"),
    control("VAE, flow, tuned", "flow-vae", VAE, 120, 0, **TUNED | {"warmup_epochs": 30}),
    *rows(1),
    *rows(2),
]

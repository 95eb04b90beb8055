"""Systems of the literature that the GMMpVAE paper's Tables 2 to 4 quote, and ours of each.

Ours have the same MLPs as the other rows of the table, whatever the quoted one had.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..item import Row
from .models import MLP

NOT_VAES = "no: it is no VAE, and ours is in results/rivals"
SMALLER = "no: ours has the table's MLPs, and one level of codes"
PLANAR = MLP | {"posterior": "planar", "n_planar": 80}
NICE = MLP | {"posterior": "nice", "n_transforms": 80, "flow_hidden": [40]}
SYSTEMS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {  # recipe, options, comparable
    "VAE+NF (T=80)": ("vae", PLANAR, "yes"),
    "VAE+NICE (T=80)": ("vae", NICE, "yes"),
    "Conv. VAE+HVI": ("hvi", MLP, SMALLER),
    "AAVE": ("auxiliary-vae", MLP, "yes"),
    "IWAE": ("iwae", MLP | {"n_samples": 50}, "yes"),
    "Ladder VAE": ("ladder-vae", {"network": "gated-mlp", "hidden": [300, 300]}, "yes"),
    "DRAW+VGP": ("draw", {"posterior": "gaussian-process"}, "yes"),
    "Conv DRAW": ("draw", {}, SMALLER),
    "VAE+IAF": ("vae", MLP | {"posterior": "iaf"}, "yes"),
    "VLAE": ("vlae", MLP, SMALLER),
    "VLAE (fine-tuned)": ("vlae", MLP, SMALLER),
    "ConvHVAE (L=2)+LarsPrior": ("vae", MLP | {"prior": "lars"}, SMALLER),
    "Discrete VAE": ("discrete-vae", {"network": "gated-mlp", "hidden": [300, 300]}, "yes"),
}
SLOW = ["VLAE", "VLAE (fine-tuned)"]  # a PixelCNN: hours on one core


def systems(figures: Mapping[str, float | str], column: str) -> Sequence[Row]:
    """Ours of each system, beside its quoted figure; those that are no VAEs are quoted alone."""
    rows = []
    for name, figure in figures.items():
        recipe, options, comparable = SYSTEMS.get(name, (None, {}, NOT_VAES))
        reported = {column: figure}
        rows.append(
            Row(name=name, recipe=recipe, options=options, reported=reported, comparable=comparable)
        )
    return rows

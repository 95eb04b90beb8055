"""MVAE: Ye & Bors, Deep Mixture Generative Autoencoders, TNNLS 2021."""

from .item import Item
from .mvae_codes import CODES
from .mvae_figures import RECONSTRUCTED
from .mvae_tables import TABLES
from .mvae_training import TRAINING

FIGURES = {int(item.short.removeprefix("fig")): item for item in RECONSTRUCTED + CODES + TRAINING}
ITEMS: list[Item] = [*(FIGURES[number] for number in sorted(FIGURES)), *TABLES]

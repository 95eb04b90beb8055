"""MVAE: Ye & Bors, Deep Mixture Generative Autoencoders, TNNLS 2021."""

from ..item import Item
from .codes import CODES
from .figures import RECONSTRUCTED
from .tables import TABLES
from .training import TRAINING

FIGURES = {int(item.short.removeprefix("fig")): item for item in RECONSTRUCTED + CODES + TRAINING}
ITEMS: list[Item] = [*(FIGURES[number] for number in sorted(FIGURES)), *TABLES]

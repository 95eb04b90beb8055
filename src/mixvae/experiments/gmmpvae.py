"""gmmpvae."""

from .item import Item

ITEMS: list[Item] = []

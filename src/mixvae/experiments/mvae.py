"""mvae."""

from .item import Item

ITEMS: list[Item] = []

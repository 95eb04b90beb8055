"""Jobs: the runs that an experiment needs, and what defines each of them."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from inspect import signature
from typing import Any

from mixvae.experiments.item import Data, Item, Protocol, Row
from mixvae.recipes import options_of
from mixvae.recipes.registry import find
from mixvae.training import fit
from mixvae.training.settings import Settings


@dataclass(frozen=True)
class Job:
    """A row of an item under a protocol, with a seed: one run.

    Parameters
    ----------
    item
        The item.
    protocol
        One of the item's.
    row
        One of the item's, with a recipe.
    seed
        Seed of the weights, the noise and the order of the data.
    """

    item: Item
    protocol: Protocol
    row: Row
    seed: int

    @property
    def data(self) -> Data:
        """The data set."""
        return self.protocol.data[self._data_name]

    @property
    def _data_name(self) -> str:
        return self.row.data or next(iter(self.protocol.data))

    @property
    def options(self) -> dict[str, Any]:
        """Options of the recipe that the row and the protocol give."""
        known = options_of(find(str(self.row.recipe)))
        smaller = {name: v for name, v in self.protocol.options.items() if name in known}
        return dict(self.row.options) | smaller

    @property
    def training(self) -> dict[str, Any]:
        """Arguments of :func:`mixvae.fit` that the protocol and the row give, and the seed."""
        of_data = self.protocol.training_by_data.get(self._data_name, {})
        given = dict(self.protocol.training) | dict(of_data) | dict(self.row.training)
        return given | {"seed": self.seed}

    @property
    def spec(self) -> dict[str, Any]:
        """What defines the run, of JSON's types; items that need the same run share it."""
        return plain(
            {
                "recipe": self.row.recipe,
                "options": self.options,
                "data": asdict(self.data),
                "training": self.training,
            }
        )

    @property
    def defaults(self) -> dict[str, dict[str, Any]]:
        """Options of the recipe and settings of the training that are not given."""
        arguments = signature(fit).parameters
        settings = {field.name for field in fields(Settings)} & arguments.keys()
        every = {
            "options": options_of(find(str(self.row.recipe))),
            "training": {name: arguments[name].default for name in sorted(settings)},
        }
        given = {"options": self.options, "training": self.training}
        return plain(
            {
                kind: {name: v for name, v in values.items() if name not in given[kind]}
                for kind, values in every.items()
            }
        )

    @property
    def name(self) -> str:
        """Name of the run in the cache."""
        return f"{self.row.recipe}-{self.data.name}-{digest(self.spec)}"

    @property
    def comparable(self) -> str:
        """Whether the figures can be compared with the paper's: "yes", or "no" and why."""
        return self.row.comparable if self.row.comparable != "yes" else self.protocol.comparable

    def __str__(self) -> str:
        return f"{self.item.name}, {self.row.name}, seed {self.seed}"


def jobs_of(item: Item, protocol: Protocol, rows: list[Row], n_seeds: int) -> Iterator[Job]:
    """The runs of some rows of an item; all rows with the first seed come first."""
    for seed in range(n_seeds):
        for row in rows:
            if row.recipe is not None:
                yield Job(item, protocol, row, seed)


def plain(content: dict[str, Any]) -> dict[str, Any]:
    """Values of JSON's types: tuples become lists."""
    found: dict[str, Any] = json.loads(json.dumps(content, sort_keys=True))
    return found


def digest(content: Any) -> str:
    """Twelve hexadecimal digits of a value of JSON's types."""
    text = json.dumps(content, sort_keys=True)
    return blake2b(text.encode(), digest_size=6).hexdigest()

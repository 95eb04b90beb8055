"""The model of a row and its test images, as pictures need them."""

from typing import NamedTuple

import torch

from mixvae.data import Split
from mixvae.model import MixtureVAE

from ..results import Results


class Shown(NamedTuple):
    """A trained model and the test images of its data."""

    model: MixtureVAE
    test: Split


def shown(results: Results, row: str) -> Shown | None:
    """What a picture of this row shows; None while the row is not trained."""
    for trained in results.trained:
        if trained.name == row:
            return Shown(results.run(trained).recipe.model, results.data(trained).test)
    return None


def of_class(test: Split, label: int | None, n: int) -> Split:
    """The first ``n`` images, of one class if ``label`` is given."""
    if label is None or test.y is None:
        return test.take(torch.arange(min(n, len(test))))
    return test.take((test.y == label).nonzero().flatten()[:n])

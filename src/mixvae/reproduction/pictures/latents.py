"""Pictures of images decoded from changed codes."""

from collections.abc import Sequence
from pathlib import Path

from mixvae import plots
from mixvae.evaluation.latent_operations import pairs

from ..results import Results
from .rows import of_class, shown


def interpolations(
    results: Results, path: Path, *, row: str, n: int = 5, n_steps: int = 9, crossed: bool = False
) -> bool:
    """Interpolations between pairs of test images, by one row's model.

    With ``crossed`` the same with codes exchanged between components is below. MVAE, Figs. 6, 7.
    """
    if (found := shown(results, row)) is None:
        return False
    start, end, y = pairs(found.model, found.test.x, found.test.y, n=n)
    plots.interpolations(found.model, start, end, path, y=y, n_steps=n_steps, crossed=crossed)
    return True


def traversals(
    results: Results,
    path: Path,
    *,
    row: str,
    latent: int,
    values: Sequence[float],
    label: int | None = None,
) -> bool:
    """A test image, of a class if ``label`` is given, with one latent set to several values.

    MVAE, Figs. 8 to 10.
    """
    if (found := shown(results, row)) is None:
        return False
    test = of_class(found.test, label, 1)
    plots.traversals(found.model, test.x, path, latent=latent, values=values, y=test.y)
    return True

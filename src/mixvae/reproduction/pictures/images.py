"""Pictures of images and their reconstructions."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mixvae import plots
from mixvae.evaluation.batches import batches, evaluating
from mixvae.plots.tiles import grid

from ..results import Results


def reconstructions(results: Results, path: Path, *, row: str | None = None, n: int = 12) -> bool:
    """Test images, their reconstructions by each component of one row's model, and by the mixture.

    M-VAE, Fig. 2; MVAE, Fig. 2.
    """
    shown = [r for r in results.trained if row in (None, r.name)]
    if not shown:
        return False
    test = results.data(shown[0]).test
    model = results.run(shown[0]).recipe.model
    plots.reconstructions(model, test.x, path, y=test.y, n=n)
    return True


def compared(
    results: Results, path: Path, *, n: int = 12, only: Sequence[str] | None = None
) -> bool:
    """Test images and their reconstructions by every row's model, or by those named in ``only``.

    M-VAE, Figs. 1 and 5; MVAE, Figs. 4 and 5; GMMpVAE, Figs. 5 to 9.
    """
    rows, labels = [], []
    for row in results.trained:
        if only is not None and row.name not in only:
            continue
        test = results.data(row).test
        model = results.run(row).recipe.model
        with evaluating(model):
            y = None if test.y is None else test.y[:n]
            rows.append(model.reconstruct(*next(batches(model, test.x[:n], y, n))).cpu())
        labels.append(row.name)
        original = test.x[:n]
    if not rows or len({r.shape for r in rows}) > 1:
        return False
    grid(torch.stack([original, *rows]), ["original", *labels], results.item.title, path)
    return True

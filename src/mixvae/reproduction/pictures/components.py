"""Pictures of the components of a mixture, beside each other."""

from pathlib import Path

import torch

from mixvae import plots
from mixvae.evaluation.latent_operations import cross_decode
from mixvae.plots.components import component_names
from mixvae.plots.tiles import grid

from ..results import Results
from .rows import of_class, shown


def mismatched(results: Results, path: Path, *, row: str, n: int = 12) -> bool:
    """Test images, decoded by the sub-decoder next to each encoder's own, and below by its own.

    MVAE, Fig. 3.
    """
    if (found := shown(results, row)) is None:
        return False
    test = of_class(found.test, None, n)
    decoded = cross_decode(found.model, test.x, test.y)
    names, k = component_names(found.model), decoded.shape[1]
    rows, labels = [test.x], ["original"]
    for shift in (1, 0):
        for i in range(k):
            j = (i + shift) % k
            rows.append(decoded[:, i, j])
            sse = float((rows[-1] - test.x).square().flatten(1).sum(1).mean())
            labels.append(f"code of {names[i]}\nsub-decoder {j}: SSE {sse:.1f}")
    title = "Codes decoded by another component's sub-decoder (above) and by their own (below)"
    grid(torch.stack(rows), labels, title, path, ruled=[1, 1 + k])
    return True


def exchanged(results: Results, path: Path, *, row: str, n: int = 2) -> bool:
    """Every encoder's code of some test images, decoded by every sub-decoder. MVAE, Fig. 3."""
    if (found := shown(results, row)) is None:
        return False
    test = of_class(found.test, None, n)
    plots.crossed(found.model, test.x, path, y=test.y, n=n)
    return True


def samples_by_component(results: Results, path: Path, *, row: str, n: int = 12) -> bool:
    """Samples of each component of one row's model, with the same code in a column.

    MVAE, Fig. 17.
    """
    if (found := shown(results, row)) is None:
        return False
    plots.samples(found.model, path, n=n)
    return True


def dependence(results: Results, path: Path, *, row: str) -> bool:
    """HSIC of each pair of components' codes over test images. MVAE, Fig. 12."""
    if (found := shown(results, row)) is None:
        return False
    dropped = (~found.model.kept).nonzero().flatten().tolist()
    plots.dependence(results.figures[row][0]["dependence"], path, dropped=dropped)
    return True

"""How much images change along one latent dimension of a component."""

from collections.abc import Sequence
from typing import Any

from mixvae.errors import MixvaeError
from mixvae.evaluation.latent_operations import traverse

from .subject import Subject


def traversal(
    subject: Subject, *, latent: int, values: Sequence[float], label: int, n: int = 100
) -> dict[str, Any]:
    """Squared difference of the first and the last image of a traversal, for each component.

    It is summed over pixels, and averaged over test images of one class, whose codes give the
    other latent dimensions. A component whose images do not depend on its code has 0. MVAE, Figs. 8
    to 10.
    """
    model, test = subject.run.recipe.model, subject.data.test
    if test.y is None:
        raise MixvaeError(f"{subject.data.name} has no labels to choose images by.")
    rows = (test.y == label).nonzero().flatten()[:n]
    x, y = test.x[rows], test.y[rows]
    change = []
    for k in range(model.n_components):
        first, last = traverse(model, x, k, latent, [values[0], values[-1]], y)
        change.append(float((last - first).double().square().flatten(1).sum(1).mean()))
    return {"change": change, "latent": latent, "label": label, "n": len(rows)}

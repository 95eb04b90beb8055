"""What the codes of a run are good for, and what the images themselves."""

from typing import Any

import torch

from mixvae.data import Dataset
from mixvae.errors import MixvaeError
from mixvae.evaluation import representation as scores_of_codes
from mixvae.evaluation.batches import spaced
from mixvae.evaluation.latent_operations import codes

from .subject import Subject


def representation(
    subject: Subject, *, data: str | None = None, **arguments: Any
) -> dict[str, Any]:
    """Accuracies of classifiers on the codes, of the run's data or of others with labels.

    ``data`` names others of the protocol's data sets.
    """
    labelled, model = _labelled(subject, data), subject.run.recipe.model
    return scores_of_codes(model, labelled.train, labelled.test, **arguments)


def pixel_neighbours(
    subject: Subject,
    *,
    row: str,
    data: str | None = None,
    neighbours: tuple[int, ...] = (3, 5, 10),
    n_test: int | None = None,
) -> dict[str, Any]:
    """Errors of kNN on the pixels, which depend on no model: for one row, else empty."""
    from sklearn.neighbors import KNeighborsClassifier

    if subject.job.row.name != row:
        return {}
    labelled = _labelled(subject, data)
    train, test = labelled.seen("train"), spaced(labelled.test, n_test)
    x, y = test.x, test.y
    assert train.y is not None
    assert y is not None
    found = {}
    for k in neighbours:
        knn = KNeighborsClassifier(k).fit(train.x.flatten(1).numpy(), train.y.numpy())
        wrong = knn.predict(x.flatten(1).numpy()) != y.numpy()
        found[f"knn_{k}_error_percent"] = 100 * float(wrong.mean())
    return found


def _labelled(subject: Subject, data: str | None) -> Dataset:
    return subject.data if data is None else subject.load(subject.job.protocol.data[data])


def separation(subject: Subject, *, label: int, n: int = 300) -> dict[str, Any]:
    """How far apart the codes of different components are, over test images of one class.

    The silhouette (Rousseeuw 1987) of posterior means, with components as clusters: near 1 where
    each component has a region of its own, near 0 where regions overlap, and below 0 where codes
    lie nearer to another component's. None for a single component. MVAE, Fig. 13.
    """
    from sklearn.metrics import silhouette_score

    model, test = subject.run.recipe.model, subject.data.test
    if test.y is None:
        raise MixvaeError(f"{subject.data.name} has no labels to choose images by.")
    rows = (test.y == label).nonzero().flatten()[:n]
    kept = model.kept.nonzero().flatten()
    mu = codes(model, test.x[rows], test.y[rows])[:, kept]
    component = torch.arange(len(kept)).expand(len(rows), -1)
    silhouette = None
    if len(kept) > 1:
        points = mu.flatten(0, 1).double().numpy()
        silhouette = float(silhouette_score(points, component.flatten().numpy()))
    return {"silhouette": silhouette, "label": label, "n": len(rows)}

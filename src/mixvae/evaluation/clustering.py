"""Agreement of clusters with class labels."""

import torch
from jaxtyping import Int64
from torch import Tensor

from mixvae.errors import MixvaeError, is_a

from .batches import clusters_of_prior, prior_of_clusters
from .one_pass import Batch


def clustering(component: Int64[Tensor, " N"], y: Int64[Tensor, " N"]) -> dict[str, float]:
    """Agreement of an assignment of examples to components with class labels.

    Parameters
    ----------
    component
        (N,), the component or cluster of each example, numbered in any way.
    y
        (N,), the class of each example.

    Returns
    -------
    scores
        All are 1 at best. ``acc``, the accuracy under the best one-to-one map of components to
        classes (Hungarian method; where the numbers differ, unmatched ones count as wrong);
        ``nmi``, the normalised mutual information; ``ari``, the adjusted Rand index (0 by chance).

    Raises
    ------
    MixvaeError
        Unless both are one value for each of N >= 1 examples.

    Examples
    --------
    >>> import torch
    >>> clustering(torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 1, 1]))
    {'acc': 1.0, 'nmi': 1.0, 'ari': 1.0}
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    advice = "int64, one value an example"
    is_a(Tensor, advice, component=component, y=y)
    if component.shape != y.shape or y.dim() != 1 or not len(y):
        raise MixvaeError(
            "component and y must have one value for each of N examples; got shapes "
            f"{tuple(component.shape)} and {tuple(y.shape)}."
        )
    clusters, classes = component.cpu().numpy(), y.cpu().numpy()
    counts = contingency_matrix(classes, clusters)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return {
        "acc": float(matched / len(classes)),
        "nmi": float(normalized_mutual_info_score(classes, clusters)),
        "ari": float(adjusted_rand_score(classes, clusters)),
    }


class Clustering:
    """Accumulator of :func:`clustering` of the most probable cluster of each x.

    ``y`` holds the labels of all x, in the order of the data.
    """

    def __init__(self, y: Int64[Tensor, " N"]) -> None:
        self.y, self.clusters = y, list[Tensor]()

    def add(self, batch: Batch) -> None:
        prior = prior_of_clusters(batch.model)
        if prior is None:
            probabilities = batch.responsibilities
        else:
            probabilities = clusters_of_prior(prior, batch.posteriors[0])
        self.clusters.append(probabilities.cpu().argmax(-1))

    def result(self) -> dict[str, float]:
        return clustering(torch.cat(self.clusters), self.y)

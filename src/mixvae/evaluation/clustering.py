"""How well the components find the classes."""

from jaxtyping import Int64
from torch import Tensor


def clustering(component: Int64[Tensor, " N"], y: Int64[Tensor, " N"]) -> dict[str, float]:
    """How well an assignment of examples to components agrees with labels; each is 1 at best.

    Returns:
        ``acc``, the accuracy under the best one-to-one map of components to classes (Hungarian
        method; components beyond the number of classes, or the other way round, count as wrong);
        ``nmi``, the normalised mutual information; ``ari``, the adjusted Rand index (0 by chance).
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    found, truth = component.numpy(), y.numpy()
    counts = contingency_matrix(truth, found)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return {
        "acc": float(matched / len(truth)),
        "nmi": float(normalized_mutual_info_score(truth, found)),
        "ari": float(adjusted_rand_score(truth, found)),
    }

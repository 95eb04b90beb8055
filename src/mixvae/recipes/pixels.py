"""The likelihood of a recipe that can let pixels depend on each other."""

from collections.abc import Sequence

from ..likelihoods import Likelihood, LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..pixelcnn import PixelCNNLikelihood


def pixel_likelihood(
    name: LikelihoodName, x_shape: Sequence[int], pixelcnn: bool, n_features: int, n_layers: int
) -> Likelihood:
    """p(x | z) of pixels that are independent given z, or with ``pixelcnn`` read those before."""
    alone = make_likelihood(name, x_shape)
    if not pixelcnn:
        return alone
    return PixelCNNLikelihood(alone, n_features=n_features, n_layers=n_layers)

"""The parts that a model is made of: modules that return distributions.

Likelihoods are in :mod:`mixvae.likelihoods`, the networks inside of the parts in :mod:`mixvae.nn`.
"""

from ..decoders import Decoder, blend, keep
from ..dropout import ComponentDropout, ConcreteDropout, GaussianDropout
from ..flows import FlowPosterior, FlowPrior
from ..labels import NO_LABELS, Labels, OneHot
from ..posteriors import (
    ChainPosterior,
    ConditionalNormal,
    NormalPosterior,
    OneHotPosterior,
    PairPosterior,
    StickPosterior,
)
from ..priors import (
    ChainPrior,
    Encode,
    GaussianMixturePrior,
    NormalPrior,
    StickPrior,
    VampPrior,
)
from ..routing import Routing
from ..subset import Subset
from ..weights import DirichletWeights, KnownWeights, PairWeights, StickWeights, Weights

__all__ = [
    "NO_LABELS",
    "ChainPosterior",
    "ChainPrior",
    "ComponentDropout",
    "ConcreteDropout",
    "ConditionalNormal",
    "Decoder",
    "DirichletWeights",
    "Encode",
    "FlowPosterior",
    "FlowPrior",
    "GaussianDropout",
    "GaussianMixturePrior",
    "KnownWeights",
    "Labels",
    "NormalPosterior",
    "NormalPrior",
    "OneHot",
    "OneHotPosterior",
    "PairPosterior",
    "PairWeights",
    "Routing",
    "StickPosterior",
    "StickPrior",
    "StickWeights",
    "Subset",
    "VampPrior",
    "Weights",
    "blend",
    "keep",
]

"""The parts of a model: modules that return distributions.

Likelihoods are in :mod:`mixvae.likelihoods`, the networks inside the parts in :mod:`mixvae.nn`.
"""

from .component_dropout import ComponentDropout, ConcreteDropout, GaussianDropout
from .component_sampler import ComponentGate, ComponentSubset
from .decoders import Decoder, separate, weighted_sum
from .flows import FlowPosterior, FlowPrior
from .labels import NO_LABELS, Labels, OneHot
from .posteriors import (
    ConditionalNormal,
    HierarchicalPosterior,
    NormalPosterior,
    OneHotPosterior,
    PointPosterior,
    StickPosterior,
    TwoLayerPosterior,
)
from .priors import (
    Encode,
    GaussianMixturePrior,
    HierarchicalPrior,
    NormalPrior,
    StickPrior,
    VampPrior,
)
from .weights import CategoricalWeights, DirichletWeights, StickWeights, TwoLayerWeights, Weights

__all__ = [
    "NO_LABELS",
    "CategoricalWeights",
    "ComponentDropout",
    "ComponentGate",
    "ComponentSubset",
    "ConcreteDropout",
    "ConditionalNormal",
    "Decoder",
    "DirichletWeights",
    "Encode",
    "FlowPosterior",
    "FlowPrior",
    "GaussianDropout",
    "GaussianMixturePrior",
    "HierarchicalPosterior",
    "HierarchicalPrior",
    "Labels",
    "NormalPosterior",
    "NormalPrior",
    "OneHot",
    "OneHotPosterior",
    "PointPosterior",
    "StickPosterior",
    "StickPrior",
    "StickWeights",
    "TwoLayerPosterior",
    "TwoLayerWeights",
    "VampPrior",
    "Weights",
    "separate",
    "weighted_sum",
]

"""The parts of a model: modules that return distributions.

Likelihoods are in :mod:`mixvae.likelihoods`, the networks inside the parts in :mod:`mixvae.nn`.
"""

from .boltzmann import BinaryPosterior, BoltzmannPrior
from .component_dropout import ComponentDropout, ConcreteDropout, GaussianDropout
from .component_sampler import ComponentGate, ComponentSubset
from .decoders import Decoder, LowerLevel, separate, weighted_sum
from .flows import FlowPosterior, FlowPrior
from .labels import NO_LABELS, Labels, OneHot
from .ladder import BottomUp, LadderPosterior, LadderPrior
from .posteriors import (
    ConditionalMixture,
    ConditionalNormal,
    HierarchicalPosterior,
    NormalPosterior,
    OneHotPosterior,
    PointPosterior,
    StickPosterior,
    TwoLayerPosterior,
)
from .priors import (
    ClusterPrior,
    ComponentMixturePrior,
    Encode,
    GaussianMixturePrior,
    HierarchicalMixturePrior,
    HierarchicalPrior,
    NormalPrior,
    StickPrior,
    VampPrior,
)
from .weights import (
    CategoricalWeights,
    DirichletWeights,
    GatingWeights,
    SharedStickWeights,
    StickWeights,
    TwoLayerWeights,
    Weights,
)

__all__ = [
    "NO_LABELS",
    "BinaryPosterior",
    "BoltzmannPrior",
    "BottomUp",
    "CategoricalWeights",
    "ClusterPrior",
    "ComponentDropout",
    "ComponentGate",
    "ComponentMixturePrior",
    "ComponentSubset",
    "ConcreteDropout",
    "ConditionalMixture",
    "ConditionalNormal",
    "Decoder",
    "DirichletWeights",
    "Encode",
    "FlowPosterior",
    "FlowPrior",
    "GatingWeights",
    "GaussianDropout",
    "GaussianMixturePrior",
    "HierarchicalMixturePrior",
    "HierarchicalPosterior",
    "HierarchicalPrior",
    "Labels",
    "LadderPosterior",
    "LadderPrior",
    "LowerLevel",
    "NormalPosterior",
    "NormalPrior",
    "OneHot",
    "OneHotPosterior",
    "PointPosterior",
    "SharedStickWeights",
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

"""The parts of a model: modules that return distributions.

Likelihoods are in :mod:`mixvae.likelihoods`, the networks inside the parts in :mod:`mixvae.nn`.
"""

from .component_dropout import ComponentDropout, ConcreteDropout, GaussianDropout
from .component_sampler import ComponentGate, ComponentSubset
from .decoders import Decoder, LowerLevel, separate, weighted_sum
from .draw import Canvas, DrawPosterior
from .flows import FlowPosterior, FlowPrior
from .gaussian_process import GaussianProcessPosterior
from .labels import NO_LABELS, Labels, OneHot
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
    "Canvas",
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
    "DrawPosterior",
    "Encode",
    "FlowPosterior",
    "FlowPrior",
    "GatingWeights",
    "GaussianDropout",
    "GaussianMixturePrior",
    "GaussianProcessPosterior",
    "HierarchicalMixturePrior",
    "HierarchicalPosterior",
    "HierarchicalPrior",
    "Labels",
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

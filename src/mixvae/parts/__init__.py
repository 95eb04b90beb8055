"""The parts of a model: modules that return distributions.

Likelihoods are in :mod:`mixvae.likelihoods`, the networks inside the parts in :mod:`mixvae.nn`.
"""

from .auxiliary import Augmented, AuxiliaryPosterior, HamiltonianPosterior, WithInput, leapfrog
from .boltzmann import BinaryPosterior, BoltzmannPrior
from .component_dropout import ComponentDropout, ConcreteDropout, GaussianDropout
from .component_sampler import ComponentGate, ComponentSubset
from .decoders import Decoder, LowerLevel, separate, weighted_sum
from .draw import Canvas, DrawPosterior
from .exemplars import ExemplarPrior
from .flows import (
    ComponentFlowPrior,
    FlowPosterior,
    FlowPrior,
    InverseAutoregressivePosterior,
)
from .gaussian_process import GaussianProcessPosterior
from .labels import NO_LABELS, Labels, OneHot
from .ladder import BottomUp, LadderPosterior, LadderPrior
from .planar import PlanarPosterior
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
from .resampled_prior import ResampledPrior
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
    "Augmented",
    "AuxiliaryPosterior",
    "BinaryPosterior",
    "BoltzmannPrior",
    "BottomUp",
    "Canvas",
    "CategoricalWeights",
    "ClusterPrior",
    "ComponentDropout",
    "ComponentFlowPrior",
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
    "ExemplarPrior",
    "FlowPosterior",
    "FlowPrior",
    "GatingWeights",
    "GaussianDropout",
    "GaussianMixturePrior",
    "GaussianProcessPosterior",
    "HamiltonianPosterior",
    "HierarchicalMixturePrior",
    "HierarchicalPosterior",
    "HierarchicalPrior",
    "InverseAutoregressivePosterior",
    "Labels",
    "LadderPosterior",
    "LadderPrior",
    "LowerLevel",
    "NormalPosterior",
    "NormalPrior",
    "OneHot",
    "OneHotPosterior",
    "PlanarPosterior",
    "PointPosterior",
    "ResampledPrior",
    "SharedStickWeights",
    "StickPosterior",
    "StickPrior",
    "StickWeights",
    "TwoLayerPosterior",
    "TwoLayerWeights",
    "VampPrior",
    "Weights",
    "WithInput",
    "leapfrog",
    "separate",
    "weighted_sum",
]

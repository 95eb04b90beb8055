"""Distributions that :mod:`torch.distributions` lacks."""

from .bernoulli import Bernoulli, BernoulliVector
from .binomial import BinomialLevels, on_levels
from .codes import Codes
from .columns import Columns
from .continuous_bernoulli import ContinuousBernoulli
from .correlated import CorrelatedNormal
from .delta import Delta
from .discretized import DiscretizedLogistic, LogisticMixture
from .face import Face
from .hierarchical import Hierarchical, chain, independent_levels
from .kl_by_points import kl_by_points
from .kumaraswamy import Kumaraswamy, kl_series
from .library_size import OfLibrarySize, log_library_size
from .negative_binomial import NegativeBinomialOfMean
from .normal_mixture import NormalMixture, components_at, kl_to_mixture, mixture
from .observed import ObservedEntries
from .outer import OuterProduct
from .pairs import diagonal_normal, kl_pairs, log_prob_each
from .sampling import mean_and_log_prob, rsample_and_log_prob, with_log_prob
from .sequential import Sequential, SequentialNormal, SequentialSamples
from .stick_breaking import StickBreaking, by_quadrature, dirichlet_sticks, process_sticks
from .widened import log_prob_widened, widened
from .zero_inflated import ZeroInflated

__all__ = [
    "Bernoulli",
    "BernoulliVector",
    "BinomialLevels",
    "Codes",
    "Columns",
    "ContinuousBernoulli",
    "CorrelatedNormal",
    "Delta",
    "DiscretizedLogistic",
    "Face",
    "Hierarchical",
    "Kumaraswamy",
    "LogisticMixture",
    "NegativeBinomialOfMean",
    "NormalMixture",
    "ObservedEntries",
    "OfLibrarySize",
    "OuterProduct",
    "Sequential",
    "SequentialNormal",
    "SequentialSamples",
    "StickBreaking",
    "ZeroInflated",
    "by_quadrature",
    "chain",
    "components_at",
    "diagonal_normal",
    "dirichlet_sticks",
    "independent_levels",
    "kl_by_points",
    "kl_pairs",
    "kl_series",
    "kl_to_mixture",
    "log_library_size",
    "log_prob_each",
    "log_prob_widened",
    "mean_and_log_prob",
    "mixture",
    "on_levels",
    "process_sticks",
    "rsample_and_log_prob",
    "widened",
    "with_log_prob",
]

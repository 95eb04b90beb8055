"""Priors: p(z | k), batch (K,) or (), event (L,).

A prior is called with ``encode``, the model's map from data to the mixture q(z | x), so that a
prior of pseudo-inputs need not own the encoder.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import (
    Beta,
    Categorical,
    Distribution,
    MixtureSameFamily,
)

from mixvae.distributions import (
    Hierarchical,
    NormalMixture,
    StickBreaking,
    diagonal_normal,
    log_prob_each,
    mixture,
    process_sticks,
)
from mixvae.errors import MixvaeError, at_least

from .posteriors import MIN_LEVEL_SCALE, ConditionalMixture, ConditionalNormal

Encode = Callable[[Tensor], Distribution]
ROUNDING = 1e-6  # codes whose range is less, relative to the largest, differ by rounding


class NormalPrior(nn.Module):
    """The normal prior N(loc, I).

    Parameters
    ----------
    loc
        Mean, (L,), or (K, L) for a prior of each component. It is not learned.
    """

    loc: Tensor

    def __init__(self, loc: Tensor) -> None:
        super().__init__()
        self.register_buffer("loc", loc)

    def forward(self, encode: Encode) -> Distribution:
        return diagonal_normal(self.loc, torch.ones_like(self.loc))


class VampPrior(nn.Module):
    r"""The mean posterior of C learned pseudo-inputs, a mixture of C K normals.

    .. math:: p(z) = \frac1C\sum_c q(z | a_c)

    VampPrior (Tomczak & Welling, AISTATS 2018, eq. 9); GMMpVAE (Guo et al. 2020, eq. 15).
    Pseudo-inputs are sigmoids, so that they stay in (0, 1). Initially they are noise.

    Parameters
    ----------
    x_shape
        Shape of one x.
    n_pseudo_inputs
        Number C of pseudo-inputs.
    from_data
        Whether :func:`mixvae.build` is to set them to training examples, by :meth:`start_from`.

    Raises
    ------
    MixvaeError
        For no pseudo-inputs.
    """

    def __init__(
        self, x_shape: Sequence[int], n_pseudo_inputs: int, *, from_data: bool = False
    ) -> None:
        super().__init__()
        at_least(1, n_pseudo_inputs=n_pseudo_inputs)
        self.from_data = from_data
        self.logits = nn.Parameter(torch.randn(n_pseudo_inputs, *x_shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """a, (C, *X)."""
        return self.logits.sigmoid()

    def forward(self, encode: Encode) -> Distribution:
        posterior = encode(self.pseudo_inputs)
        assert isinstance(posterior, NormalMixture)
        return posterior.pool()

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set the pseudo-inputs to random rows of x, sampled without replacement.

        Parameters
        ----------
        x
            Training examples, (N, *X).

        Raises
        ------
        MixvaeError
            If there are fewer examples than pseudo-inputs.
        """
        n = len(self.logits)
        if len(x) < n:
            raise MixvaeError(
                f"{n} pseudo-inputs cannot start from {len(x)} training examples; use "
                f"n_pseudo_inputs {len(x)} or fewer, or pseudo_inputs noise."
            )
        rows = x[torch.randperm(len(x))[:n]]
        self.logits.copy_(rows.clamp(0.05, 0.95).logit())  # where a sigmoid still has a slope


class StickPrior(nn.Module):
    r"""Stick-breaking weights as the code: GEM(:math:`α_0`) truncated at L weights.

    The fractions are :math:`v_l \sim Beta(1, α_0)`. Stick-breaking VAE (Nalisnick & Smyth, ICLR
    2017).

    Parameters
    ----------
    n_latent
        Number L of weights, at least 2.
    concentration
        alpha_0, positive.

    Raises
    ------
    MixvaeError
        For a value outside its range.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, n_latent: int, concentration: float = 5.0) -> None:
        super().__init__()
        at_least(2, n_latent=n_latent)
        sticks = process_sticks(n_latent, concentration)
        self.register_buffer("alpha", sticks.concentration1)
        self.register_buffer("beta", sticks.concentration0)

    def forward(self, encode: Encode) -> Distribution:
        return StickBreaking(Beta(self.alpha, self.beta, validate_args=False))


class ClusterPrior(nn.Module, ABC):
    """A prior that is a mixture, whose components are the clusters of x; the base class.

    Attributes
    ----------
    n_clusters
        Number C of clusters.
    """

    n_clusters: int

    @abstractmethod
    def responsibilities(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n C"]:
        """Posterior probabilities p(c | z) of the clusters, given codes."""


class HierarchicalPrior(nn.Module):
    r"""A prior of two levels, :math:`p(z_2)\, p(z_1 | z_2)`: batch (), event (L2 + L1,).

    Tomczak & Welling (AISTATS 2018), Section 5.

    Parameters
    ----------
    first
        Prior of z2. Its ``encode`` gives q(z2 | x) alone, so that under a :class:`VampPrior`
        :math:`p(z_2) = \frac1C\sum_c q(z_2 | a_c)`.
    second
        z2 to p(z1 | z2).
    """

    def __init__(self, first: nn.Module, second: ConditionalNormal | ConditionalMixture) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, encode: Encode) -> Distribution:
        first = self.first(lambda x: _first_level(encode(x)))
        mixed = isinstance(self.second, ConditionalMixture)
        return Hierarchical(first, self.second, self.second.n_latent, not mixed)


class HierarchicalMixturePrior(HierarchicalPrior, ClusterPrior):
    r"""A prior of two levels, the lower one a mixture of C normals given the upper one.

    .. math:: p(z_2) \frac1C \sum_c N(z_1; \mu_c(z_2), \sigma_c^2(z_2))

    The prior of GMVAE (Dilokthanakul et al. 2016), whose w is z2 and whose latent x is z1.

    Parameters
    ----------
    first
        Prior of z2.
    second
        z2 to p(z1 | z2).
    """

    second: ConditionalMixture

    def __init__(self, first: nn.Module, second: ConditionalMixture) -> None:
        super().__init__(first, second)
        self.n_clusters = second.n_components

    def responsibilities(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n C"]:
        """p(c | z2, z1), with z = (z2, z1)."""
        above, below = z.tensor_split([-self.second.n_latent], -1)
        p = self.second(above)
        log_prob = p.component_distribution.log_prob(below.unsqueeze(-2))
        return (log_prob + p.mixture_distribution.logits).softmax(-1)


def _first_level(posterior: Distribution) -> Distribution:
    """q(z2 | x), from q(z2, z1 | x)."""
    assert isinstance(posterior, MixtureSameFamily)
    components = posterior.component_distribution
    assert isinstance(components, Hierarchical)
    return mixture(posterior.mixture_distribution.probs, components.first)


class GaussianMixturePrior(ClusterPrior):
    r"""A mixture of C diagonal normals, :math:`p(z) = \sum_c \pi_c N(z; \mu_c, \sigma_c^2)`.

    The prior of VaDE (Jiang et al., IJCAI 2017). Initially its means are samples from N(0, I), its
    scales 1 and its weights 1/C; :meth:`start_from` fits it to codes.

    Parameters
    ----------
    n_components
        Number C of normals.
    n_latent
        Size L of the code.
    learned
        Whether weights, means and scales are trained.

    Raises
    ------
    MixvaeError
        For sizes under 1.

    Examples
    --------
    >>> prior = GaussianMixturePrior(n_components=3, n_latent=2)
    >>> prior.responsibilities(torch.zeros(4, 2)).shape
    torch.Size([4, 3])
    """

    logits: Tensor
    loc: Tensor
    raw_scale: Tensor

    def __init__(self, n_components: int, n_latent: int, *, learned: bool = True) -> None:
        super().__init__()
        at_least(1, n_components=n_components, n_latent=n_latent)
        self.n_clusters = n_components
        one = torch.full((n_components, n_latent), 1 - MIN_LEVEL_SCALE)
        initial = {
            "logits": torch.zeros(n_components),
            "loc": torch.randn(n_components, n_latent),
            "raw_scale": _softplus_inverse(one),
        }
        for name, value in initial.items():
            if learned:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, encode: Encode) -> NormalMixture:
        scale = F.softplus(self.raw_scale) + MIN_LEVEL_SCALE
        normals = diagonal_normal(self.loc, scale)
        index = Categorical(logits=self.logits, validate_args=False)
        return NormalMixture(index, normals, validate_args=False)

    def responsibilities(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n C"]:
        r"""p(c | z), proportional to :math:`\pi_c N(z; \mu_c, \sigma_c^2)`."""
        p_z = self.forward(no_data)
        log_prob = log_prob_each(p_z.component_distribution, z)
        return (log_prob + p_z.mixture_distribution.logits).softmax(-1)

    @torch.no_grad()
    def start_from(
        self, loc: Float[Tensor, "N L"], scale: Float[Tensor, "N L"], seed: int = 0
    ) -> None:
        """Fit the mixture to normal posteriors.

        scikit-learn fits a mixture to their means; the variances of the posteriors are added to it.
        No scale becomes less than a tenth of the standard deviation of all means.

        Parameters
        ----------
        loc
            Posterior means, (N, L).
        scale
            Posterior scales, (N, L).
        seed
            Seed of scikit-learn's initialisation.

        Raises
        ------
        MixvaeError
            For fewer posteriors than normals, and for means that are not finite or all the same.
        """
        if len(loc) < len(self.logits):
            raise MixvaeError(
                f"a mixture of {len(self.logits)} normals cannot start from {len(loc)} codes; use "
                "as many components or fewer."
            )
        if not (loc.isfinite() & scale.isfinite()).all():
            raise MixvaeError("the codes to start from are not finite; try a smaller lr.")
        if float((loc.amax(0) - loc.amin(0)).max()) <= ROUNDING * float(loc.abs().max()):
            raise MixvaeError(
                f"the {len(loc)} codes to start from are all the same and have no clusters: the "
                "training data are all the same, or the encoder ignores them. Look at the data, or "
                "use start='random' (--start random)."
            )
        fitted = _fit(loc, len(self.logits), seed)
        weights, means, variances = map(
            torch.from_numpy, (fitted.weights_, fitted.means_, fitted.covariances_)
        )
        responsibility = torch.from_numpy(fitted.predict_proba(loc.double().cpu().numpy())).T
        total = responsibility.sum(1, keepdim=True).clamp_min(1e-12)  # (C, 1)
        within = responsibility @ scale.double().cpu().square() / total
        raw = (variances + within).sqrt() - MIN_LEVEL_SCALE
        self.logits.copy_(weights.log())
        self.loc.copy_(means)
        self.raw_scale.copy_(_softplus_inverse(raw.clamp_min(MIN_LEVEL_SCALE)))


class PartitionEstimate(NamedTuple):
    """An estimate of a prior's log Z, and its standard error, in nats."""

    value: float
    standard_error: float


class ComponentMixturePrior(nn.Module):
    r"""A learned mixture of M diagonal normals for each component: batch (K,), event (L,).

    .. math:: p(z | k) = \sum_m \rho_{km} N(z; \mu_{km}, \sigma_{km}^2)

    Initially its means are samples from N(0, I), its scales 1 and its weights 1/M;
    :meth:`start_from` fits those of one component to codes.

    Parameters
    ----------
    n_components
        Number K of components.
    n_normals
        Number M of normals in each component's prior.
    n_latent
        Size L of the code.

    Raises
    ------
    MixvaeError
        For sizes under 1.
    """

    def __init__(self, n_components: int, n_normals: int, n_latent: int) -> None:
        super().__init__()
        at_least(1, n_components=n_components, n_normals=n_normals, n_latent=n_latent)
        shape = (n_components, n_normals, n_latent)
        self.logits = nn.Parameter(torch.zeros(shape[:2]))
        self.loc = nn.Parameter(torch.randn(shape))
        self.raw_scale = nn.Parameter(_softplus_inverse(torch.full(shape, 1 - MIN_LEVEL_SCALE)))

    def forward(self, encode: Encode) -> NormalMixture:
        scale = F.softplus(self.raw_scale) + MIN_LEVEL_SCALE
        index = Categorical(logits=self.logits, validate_args=False)
        return NormalMixture(index, diagonal_normal(self.loc, scale), validate_args=False)

    @torch.no_grad()
    def start_from(self, component: int, z: Float[Tensor, "N L"], seed: int = 0) -> None:
        """Fit the prior of one component to codes, by scikit-learn.

        Parameters
        ----------
        component
            Which component.
        z
            Its codes.
        seed
            Seed of scikit-learn's initialisation.

        Raises
        ------
        MixvaeError
            For fewer codes than normals.
        """
        n_normals = self.logits.shape[1]
        if len(z) < n_normals:
            raise MixvaeError(
                f"a prior of {n_normals} normals cannot start from the {len(z)} codes of component "
                f"{component}; use n_normals {max(len(z), 1)} or fewer, or fewer components."
            )
        fitted = _fit(z, n_normals, seed, n_init=2)
        self.logits[component] = torch.from_numpy(fitted.weights_).log()
        self.loc[component] = torch.from_numpy(fitted.means_).to(self.loc)
        scale = torch.from_numpy(fitted.covariances_).sqrt() - MIN_LEVEL_SCALE
        self.raw_scale[component] = _softplus_inverse(scale).to(self.raw_scale)


def _fit(z: Float[Tensor, "N L"], n_components: int, seed: int, n_init: int = 5) -> Any:
    """scikit-learn's mixture of diagonal normals, the best of ``n_init``."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    min_variance = 0.01 * float(z.var(0).mean())
    options = {"covariance_type": "diag", "reg_covar": min_variance, "n_init": n_init}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # training goes on from here
        model = GaussianMixture(n_components, random_state=seed, **options)
        return model.fit(z.double().cpu().numpy())


def _softplus_inverse(x: Tensor) -> Tensor:
    return x + (-torch.expm1(-x)).log()


def no_data(x: Tensor) -> Distribution:
    """The ``encode`` of priors that encode nothing."""
    raise AssertionError("this prior does not encode")

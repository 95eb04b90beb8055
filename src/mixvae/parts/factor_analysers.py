r"""A mixture of factor analysers, and the networks by which a deep mixture departs from it.

Component k of a mixture of factor analysers (Ghahramani & Hinton 1997) has codes
:math:`z \sim N(0, I_L)` and x in :math:`R^D`,

.. math:: x | z, k \sim N(m_k + W_k z,\; \operatorname{diag} s_k^2), \qquad
          x | k \sim N(m_k,\; W_k W_k^T + \operatorname{diag} s_k^2)

The deep mixture adds networks of (z, k) to the mean and to the log scale, and networks of (x, k) to
the exact posterior of the linear model. Where all are zero, it is the mixture of factor analysers.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import CorrelatedNormal, diagonal_normal
from mixvae.distributions.pairs import to_float64
from mixvae.errors import at_least
from mixvae.likelihoods import ColumnKinds, Likelihood
from mixvae.likelihoods.columns import REAL
from mixvae.nn import MLP, full_precision
from mixvae.nn.linear import Linear

from .batch_shift import BatchShift
from .column_features import ColumnFeatures
from .decoders import Decoder

Noise = Literal["decoder", "component", "column", "all"]
MAX_LOG_SCALE = 3.0  # of what networks change in log scales: a factor of 20
ALL = slice(None)


class FactorAnalysers(nn.Module):
    """Means m, loadings W and noise scales s of K factor analysers.

    Parameters
    ----------
    n_columns
        Number D of columns.
    n_latent
        Size L of a code.
    n_components
        Number K of components.
    noise
        What has a scale s of its own: each column of each component (component, decoder), each
        column, or all columns one.
    n_batches
        Number of technical batches; of several each has a shift, which :meth:`decode` leaves out.
    """

    def __init__(
        self,
        n_columns: int,
        n_latent: int,
        n_components: int,
        noise: Noise = "component",
        n_batches: int = 1,
    ) -> None:
        super().__init__()
        at_least(1, n_columns=n_columns, n_latent=n_latent, n_components=n_components)
        shape = {"all": (1, 1), "column": (1, n_columns)}.get(noise, (n_components, n_columns))
        scale = n_latent**-0.5
        self.mean = nn.Parameter(torch.randn(n_components, n_columns))
        self.loadings = nn.Parameter(scale * torch.randn(n_components, n_columns, n_latent))
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = BatchShift(n_batches, n_columns) if n_batches > 1 else None

    @property
    def log_scales(self) -> Float[Tensor, "K D"]:
        """log s of each component and column."""
        return self.log_scale.expand(self.mean.shape)

    def decode(self, z: Float[Tensor, "N M L"], k: slice = ALL) -> Float[Tensor, "N M D"]:
        """m_k + W_k z of M codes of the components k."""
        loadings, mean = self.loadings[k].mT, self.mean[k].unsqueeze(1)
        return torch.baddbmm(mean, z.transpose(0, 1), loadings).transpose(0, 1)

    def posterior(
        self, x: Float[Tensor, "B D"], columns: slice | Tensor = ALL
    ) -> tuple[Float[Tensor, "B K L"], Float[Tensor, "K L"]]:
        r"""Means and scales of the best diagonal normals for p(z | x, k).

        The exact posterior has precision :math:`A = I + W^T \operatorname{diag}(s^{-2}) W`. Means
        are its own, and a scale is :math:`A_{ll}^{-1/2}`, which is exact where A is diagonal.

        Parameters
        ----------
        x
            Rows without missing entries.
        columns
            The columns of the factor analysers that those of x are; by default all. The others are
            taken for unknown.
        """
        mean, loadings, weighted = self._in_float64(columns)
        one = torch.eye(loadings.shape[2], dtype=loadings.dtype, device=loadings.device)
        precision = one + loadings.mT @ weighted
        gain = torch.cholesky_solve(weighted.mT, torch.linalg.cholesky(precision))  # (K, L, D)
        shift = (gain @ mean.unsqueeze(2)).squeeze(2)
        flat = F.linear(x, gain.flatten(0, 1).to(x.dtype), -shift.flatten().to(x.dtype))
        scale = precision.diagonal(dim1=1, dim2=2).rsqrt()
        return flat.unflatten(1, shift.shape), scale.to(x.dtype)

    def posterior_of_observed(
        self,
        x: Float[Tensor, "B D"],
        observed: Bool[Tensor, "B D"],
        columns: slice | Tensor = ALL,
    ) -> tuple[Float[Tensor, "B K L"], Float[Tensor, "B K L L"]]:
        r"""Means of p(z | x_observed, k), and Cholesky factors R of its precisions A = R R^T.

        Parameters
        ----------
        x
            Rows; what they hold where they are not observed has no effect.
        observed
            Which entries are observed; rows with the same ones share a factorisation.
        columns
            As in :meth:`posterior`.

        Returns
        -------
        mean, root
            Exact but for rows of which all is observed: their R has :math:`A_{ll}^{1/2}` alone, as
            in :meth:`posterior`.
        """
        mean, loadings, weighted = self._in_float64(columns)
        if torch.compiler.is_exporting():  # how many patterns there are is not known then
            patterns, pattern = observed, torch.arange(observed.shape[0], device=observed.device)
        else:
            patterns, pattern = observed.unique(dim=0, return_inverse=True)
        k, d, n_latent = loadings.shape
        products = (weighted.unsqueeze(3) * loadings.unsqueeze(2)).transpose(0, 1)  # (D, K, L, L)
        own = patterns.to(mean.dtype) @ products.reshape(d, -1)
        one = torch.eye(n_latent, dtype=mean.dtype, device=mean.device)
        precision = one + own.unflatten(1, (k, n_latent, n_latent))
        deviation = (x.to(mean.dtype).unsqueeze(1) - mean).masked_fill(~observed.unsqueeze(1), 0)
        target = torch.einsum("bkd,kdl->bkl", deviation, weighted).unsqueeze(3)
        root = torch.linalg.cholesky(precision)
        found = torch.cholesky_solve(target, root[pattern]).squeeze(3)
        complete = patterns.all(1)[:, None, None, None]
        diagonal = torch.diag_embed(precision.diagonal(dim1=2, dim2=3).sqrt())
        root = torch.where(complete, diagonal, root)[pattern]
        return found.to(x.dtype), root.to(x.dtype)

    def _in_float64(self, columns: slice | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of some columns m (K, D), W (K, D, L), and W divided by the variances of the noise."""
        mean, loadings, log_scales = (
            to_float64(t[:, columns]) for t in (self.mean, self.loadings, self.log_scales)
        )
        return mean, loadings, loadings * (-2 * log_scales).exp().unsqueeze(2)

    @torch.no_grad()
    def start_from(
        self,
        mean: Float[Tensor, "K D"],
        loadings: Float[Tensor, "K D L"],
        scale: Float[Tensor, "K D"],
    ) -> None:
        """Take these values; scales that components or columns share are the root mean square."""
        axes = [axis for axis in (0, 1) if self.log_scale.shape[axis] == 1]
        variance = scale.square()
        self.log_scale.copy_(0.5 * (variance.mean(axes, True) if axes else variance).log())
        self.mean.copy_(mean)
        self.loadings.copy_(loadings)


class ComponentMLP(nn.Module):
    """An MLP of a vector and the component's one-hot.

    Parameters
    ----------
    n_inputs, n_outputs
        Sizes of the vector and of the output.
    hidden
        Widths of the hidden layers.
    n_components
        Number K of components.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, hidden: Sequence[int], n_components: int
    ) -> None:
        super().__init__()
        self.read = Linear(n_inputs, hidden[0], bias=False)
        limit = n_inputs**-0.5
        self.bias = nn.Parameter(torch.empty(n_components, hidden[0]).uniform_(-limit, limit))
        self.rest = MLP(hidden[0], n_outputs, hidden[1:], nn.SiLU)

    def start_at_zero(self) -> None:
        """Set the last layer to zero, and so the output."""
        for p in self.rest[-1].parameters():
            nn.init.zeros_(p)

    def forward(self, x: Float[Tensor, "N _M I"], k: slice = ALL) -> Float[Tensor, "N M O"]:
        """The output of M components k for a vector each, or for one that all read."""
        return self.rest(F.silu(self.read(x) + self.bias[k]))


class ObservedFeatures(nn.Module):
    """What a network reads of a row with missing entries: values, 0 where missing, and the mask.

    Parameters
    ----------
    mask
        Whether the mask, 1 where an entry is observed, follows the values. A network that was
        trained on complete rows has none, and reads 0, the mean of standardised columns.
    kinds
        The likelihood of each column, for :class:`ColumnFeatures`; None: all are real, and read as
        they are.
    library_size
        As of :class:`.ColumnLikelihood`.
    """

    def __init__(
        self,
        mask: bool = True,
        kinds: ColumnKinds | None = None,
        library_size: float | None = None,
    ) -> None:
        super().__init__()
        self.mask = mask
        self.values = nn.Identity() if kinds is None else ColumnFeatures(kinds, library_size)

    def n_features(self, n_columns: int) -> int:
        """Number F of features of a row."""
        own = self.values.n_features if isinstance(self.values, ColumnFeatures) else n_columns
        return own + n_columns * self.mask

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B F"]:
        values = self.values(x)
        values = values.masked_fill(values.isnan(), 0)
        return torch.cat([values, (~x.isnan()).to(x.dtype)], -1) if self.mask else values


class ResidualPosterior(nn.Module):
    r"""The linear model's posterior, changed by a network: :math:`N(\mu + r, (\sigma e^{t})^2)`.

    Entries of x that are NaN are missing: the posterior is then that given the others, with
    correlations, which those of complete rows do not have at the start. Where batches have shifts,
    a one-hot of the batch follows x: the linear model is given x less its shift, the network both.

    Parameters
    ----------
    residual
        Features and k to r and t, (B, K, 2 L).
    features
        x to the features; by default x itself, 0 where missing.
    kinds
        The likelihood of each column, of which the linear model's posterior reads those of real
        values. None: all are real.
    """

    def __init__(
        self,
        residual: ComponentMLP,
        features: nn.Module | None = None,
        kinds: ColumnKinds | None = None,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.features = ObservedFeatures(mask=False) if features is None else features
        self._columns: tuple[slice | Tensor, slice | Tensor] = (ALL, ALL)  # of x, of the analysers
        if kinds is not None:
            real = kinds.those(*REAL)
            outputs = kinds.first_outputs(real)
            self._columns = torch.tensor(real).long(), torch.tensor(outputs).long()
        self._linear: tuple[FactorAnalysers, ...] = ()

    def reads(self, linear: FactorAnalysers) -> None:
        """Take the decoder's factor analysers, whose posterior this is.

        Parameters
        ----------
        linear
            Kept in a tuple, so that its parameters are the decoder's alone.
        """
        self._linear = (linear,)

    def forward(self, h: Float[Tensor, "B 1 D"]) -> Distribution:
        of_x, of_linear = self._columns
        h, batch = split_batch(h, self._linear[0].shift)
        x = full_precision(h.squeeze(1))[:, of_x]
        if (shift := self._linear[0].shift) is not None:
            x = x - full_precision(shift(batch.squeeze(1)))[:, of_linear]
        observed = ~x.isnan()
        read = torch.cat([self.features(h), batch], -1)
        r, t = full_precision(self.residual(read)).chunk(2, -1)
        factor = t.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE).exp()
        if self._is_complete(observed):
            mean, scale = self._linear[0].posterior(x, columns=of_linear)
            return diagonal_normal(mean + r, scale * factor)
        mean, root = self._linear[0].posterior_of_observed(x, observed, of_linear)
        return CorrelatedNormal(mean + r, factor, root)

    @property
    def has_missing(self) -> bool:
        """Whether the network was trained on rows with missing entries, whose mask it reads."""
        return isinstance(self.features, ObservedFeatures) and self.features.mask

    def _is_complete(self, observed: Bool[Tensor, "B C"]) -> bool:
        """Whether nothing is missing; an exported program takes it for what it is in training."""
        return not self.has_missing if torch.compiler.is_exporting() else bool(observed.all())


class ResidualBranch(nn.Module):
    """Codes to means and log scales, linear in the code, changed by a network.

    Where batches have shifts, a one-hot of the batch follows the code.

    Parameters
    ----------
    linear
        The factor analysers.
    residual
        z and k to what is added to the D means, or with 2 D outputs to the log scales too.
    has_scales
        Whether there are log scales, which counts and categories do not have.
    """

    def __init__(
        self, linear: FactorAnalysers, residual: ComponentMLP, has_scales: bool = True
    ) -> None:
        super().__init__()
        self.linear, self.residual, self.has_scales = linear, residual, has_scales

    def forward(self, z: Float[Tensor, "N M L"], k: slice = ALL) -> Float[Tensor, "N M P"]:
        n_columns = self.linear.mean.shape[1]
        change = full_precision(self.residual(z, k))
        z, batch = split_batch(z, self.linear.shift)
        mean = self.linear.decode(full_precision(z), k) + change[..., :n_columns]
        if self.linear.shift is not None:
            mean = mean + full_precision(self.linear.shift(batch))
        if not self.has_scales:
            return mean
        log_scale = self.linear.log_scales[k].expand_as(mean)
        if change.shape[-1] > n_columns:
            log_scale = log_scale + change[..., n_columns:].clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)
        return torch.cat([mean, log_scale], -1)


def split_batch(
    values: Float[Tensor, "*N V"], shift: BatchShift | None
) -> tuple[Float[Tensor, "*N U"], Float[Tensor, "*N n"]]:
    """Values and the one-hot of the batch that follows them, which is empty without shifts."""
    n = values.shape[-1] - (0 if shift is None else shift.n_batches)
    return values[..., :n], values[..., n:]


class ResidualDecoder(Decoder):
    """The decoder of factor analysers and a network.

    Parameters
    ----------
    branch
        Codes to means and log scales.
    likelihood
        One whose parameters these are.
    """

    branch: ResidualBranch
    needs_codes = False

    def __init__(self, branch: ResidualBranch, likelihood: Likelihood) -> None:
        super().__init__(branch, likelihood)

    def of_component(self, z: Float[Tensor, "S B 1 L"], component: int) -> Distribution:
        own = slice(component, component + 1)
        return self._likelihood(self.branch(z.flatten(0, 1), own), z)

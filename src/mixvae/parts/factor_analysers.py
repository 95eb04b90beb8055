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
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import diagonal_normal
from mixvae.distributions.pairs import to_float64
from mixvae.errors import at_least
from mixvae.likelihoods import ColumnKinds, Likelihood
from mixvae.likelihoods.columns import REAL
from mixvae.nn import MLP, full_precision
from mixvae.nn.linear import Linear

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
    """

    def __init__(
        self, n_columns: int, n_latent: int, n_components: int, noise: Noise = "component"
    ) -> None:
        super().__init__()
        at_least(1, n_columns=n_columns, n_latent=n_latent, n_components=n_components)
        shape = {"all": (1, 1), "column": (1, n_columns)}.get(noise, (n_components, n_columns))
        scale = n_latent**-0.5
        self.mean = nn.Parameter(torch.randn(n_components, n_columns))
        self.loadings = nn.Parameter(scale * torch.randn(n_components, n_columns, n_latent))
        self.log_scale = nn.Parameter(torch.zeros(shape))

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
            Rows.
        columns
            The columns of the factor analysers that those of x are; by default all. The others are
            taken for unknown.
        """
        loadings, mean = (to_float64(t[:, columns]) for t in (self.loadings, self.mean))
        log_scales = to_float64(self.log_scales[:, columns])
        weighted = loadings * (-2 * log_scales).exp().unsqueeze(2)  # (K, D, L)
        one = torch.eye(loadings.shape[2], dtype=loadings.dtype, device=loadings.device)
        precision = one + loadings.mT @ weighted
        gain = torch.cholesky_solve(weighted.mT, torch.linalg.cholesky(precision))  # (K, L, D)
        shift = (gain @ mean.unsqueeze(2)).squeeze(2)
        flat = F.linear(x, gain.flatten(0, 1).to(x.dtype), -shift.flatten().to(x.dtype))
        scale = precision.diagonal(dim1=1, dim2=2).rsqrt()
        return flat.unflatten(1, shift.shape), scale.to(x.dtype)

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


class ResidualPosterior(nn.Module):
    r"""The linear model's posterior, changed by a network: :math:`N(\mu + r, (\sigma e^{t})^2)`.

    Parameters
    ----------
    residual
        Features and k to r and t, (B, K, 2 L).
    kinds
        The kinds of the columns of x, of which the linear model's posterior reads those of real
        values, and the network :class:`ColumnFeatures`. None: all are real, and the network reads
        them.
    """

    def __init__(self, residual: ComponentMLP, kinds: ColumnKinds | None = None) -> None:
        super().__init__()
        self.residual = residual
        self.features = nn.Identity() if kinds is None else ColumnFeatures(kinds)
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
        x = full_precision(h.squeeze(1))
        mean, scale = self._linear[0].posterior(x[:, of_x], of_linear)
        r, t = full_precision(self.residual(self.features(h))).chunk(2, -1)
        return diagonal_normal(mean + r, scale * t.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE).exp())


class ResidualBranch(nn.Module):
    """Codes to means and log scales, linear in the code, changed by a network.

    Parameters
    ----------
    linear
        The factor analysers.
    residual
        z and k to what is added to the D means, or with 2 D outputs to the log scales too.
    """

    def __init__(self, linear: FactorAnalysers, residual: ComponentMLP) -> None:
        super().__init__()
        self.linear, self.residual = linear, residual

    def forward(self, z: Float[Tensor, "N M L"], k: slice = ALL) -> Float[Tensor, "N M P"]:
        n_columns = self.linear.mean.shape[1]
        change = full_precision(self.residual(z, k))
        mean = self.linear.decode(full_precision(z), k) + change[..., :n_columns]
        log_scale = self.linear.log_scales[k].expand_as(mean)
        if change.shape[-1] > n_columns:
            log_scale = log_scale + change[..., n_columns:].clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)
        return torch.cat([mean, log_scale], -1)


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

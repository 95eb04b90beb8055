"""The exemplar prior: a mixture of normals about the codes of training examples."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import NormalMixture, diagonal_normal, mixture
from mixvae.errors import MixvaeError, at_least

from .priors import Encode


class ExemplarPrior(nn.Module):
    r"""A mixture of normals about the mean codes of C training examples, with one learned scale.

    .. math:: p(z) = \frac1C \sum_c N\big(z; \mu(x_c), \sigma^2 I\big)

    In evaluation the examples are fixed rows of the training data. In training they are the other
    rows of x's own batch, a random subset of the training data without x (leave-one-out), whose
    codes the step has already: in expectation that bound is below the one with all of them.

    Parameters
    ----------
    x_shape
        Shape of one x.
    n_exemplars
        Number C of examples in evaluation. Until :meth:`start_from` they are noise.

    Raises
    ------
    MixvaeError
        For no exemplars.

    References
    ----------
    Norouzi, Fleet & Norouzi, Exemplar VAE, NeurIPS 2020. There the random subset is
    larger than a batch, or consists of approximate nearest neighbours.
    """

    exemplars: Tensor

    def __init__(self, x_shape: Sequence[int], n_exemplars: int) -> None:
        super().__init__()
        at_least(1, n_exemplars=n_exemplars)
        self.register_buffer("exemplars", torch.rand(n_exemplars, *x_shape))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, encode: Encode) -> NormalMixture:
        return self._about(encode(self.exemplars).mean)

    def leave_one_out(self, q_z: Distribution) -> NormalMixture:
        """The prior of each row of a training batch, whose exemplars are the batch's other rows.

        Parameters
        ----------
        q_z
            Posteriors of the batch, batch (B, 1), event (L,).

        Returns
        -------
        prior
            Batch (B, 1), of B - 1 components.

        Raises
        ------
        MixvaeError
            For a batch of one row.
        """
        n = len(q_z.mean)
        if n < 2:
            raise MixvaeError(
                "an exemplar prior is trained on batches of two rows or more, each of which has "
                "the others as exemplars; got one row. Use a larger batch_size."
            )
        others = torch.arange(n - 1, device=q_z.mean.device).expand(n, -1)
        others = others + (others >= torch.arange(n, device=others.device).unsqueeze(1))
        return self._about(q_z.mean.squeeze(1)[others].unsqueeze(1))

    def _about(self, loc: Float[Tensor, "*n C L"]) -> NormalMixture:
        """Normals about C codes, with equal weights."""
        weights = loc.new_full(loc.shape[:-1], 1 / loc.shape[-2])
        found = mixture(weights, diagonal_normal(loc, self.log_scale.exp().expand_as(loc)))
        assert isinstance(found, NormalMixture)
        return found

    @torch.no_grad()
    def start_from(self, x: Float[Tensor, "N *X"]) -> None:
        """Set the exemplars to random rows of x, sampled without replacement.

        Parameters
        ----------
        x
            Training examples as the encoder sees them.

        Raises
        ------
        MixvaeError
            For examples of another shape, or fewer than there are exemplars.
        """
        n, *x_shape = self.exemplars.shape
        if list(x.shape[1:]) != x_shape:
            raise MixvaeError(
                f"exemplars must have the shape {tuple(x_shape)} of one x; got examples of shape "
                f"{tuple(x.shape[1:])}."
            )
        if len(x) < n:
            raise MixvaeError(
                f"{n} exemplars cannot be chosen from {len(x)} training examples; use n_exemplars "
                f"{len(x)} or fewer."
            )
        self.exemplars.copy_(x[torch.randperm(len(x))[:n]])

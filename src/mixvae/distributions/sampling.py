"""Samples whose density is known as they are drawn."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

SampleAndLogProb = Callable[[Sequence[int]], tuple[Tensor, Tensor]]


def with_log_prob(q: Distribution) -> SampleAndLogProb | None:
    """The method ``rsample_and_log_prob(sample_shape)`` of q, or None where q has none.

    A distribution may have one whose samples' density is cheap, or known at all, only while they
    are drawn: planar and inverse autoregressive flows. Its ``log_prob`` may then raise.
    """
    method: SampleAndLogProb | None = getattr(q, "rsample_and_log_prob", None)
    return method


def rsample_and_log_prob(
    q: Distribution, sample_shape: Sequence[int]
) -> tuple[Tensor, Tensor | None]:
    """A sample (*sample, *batch, *event), and its log density where q gives both together."""
    shape, method = torch.Size(sample_shape), with_log_prob(q)
    return (q.rsample(shape), None) if method is None else method(shape)

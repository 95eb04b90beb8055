"""Samples together with their log density."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

SampleAndLogProb = Callable[[Sequence[int]], tuple[Tensor, Tensor]]


def with_log_prob(q: Distribution) -> SampleAndLogProb | None:
    """The method ``rsample_and_log_prob(sample_shape)`` of a distribution, where it has one.

    Planar and inverse autoregressive flows have one: the density of a sample is cheap while it is
    drawn, and expensive or unknown afterwards. Their ``log_prob`` may raise.

    Parameters
    ----------
    q
        Any distribution.

    Returns
    -------
    method
        Of a shape, to a sample (*sample, *batch, *event) and its log density (*sample, *batch) in
        nats; None where q has no such method.
    """
    method: SampleAndLogProb | None = getattr(q, "rsample_and_log_prob", None)
    return method


def rsample_and_log_prob(
    q: Distribution, sample_shape: Sequence[int]
) -> tuple[Tensor, Tensor | None]:
    """Sample with gradients, and its log density where the distribution gives both together.

    Parameters
    ----------
    q
        Any distribution with ``rsample``.
    sample_shape
        Leading axes of the sample.

    Returns
    -------
    sample
        (*sample, *batch, *event).
    log_prob
        (*sample, *batch), nats; None where q has no ``rsample_and_log_prob``.

    Examples
    --------
    >>> from torch.distributions import Normal
    >>> z, log_q = rsample_and_log_prob(Normal(torch.zeros(3), torch.ones(3)), (2,))
    >>> z.shape, log_q
    (torch.Size([2, 3]), None)
    """
    shape, method = torch.Size(sample_shape), with_log_prob(q)
    return (q.rsample(shape), None) if method is None else method(shape)


def mean_and_log_prob(q: Distribution) -> tuple[Tensor, Tensor | None]:
    """The mean, and its log density where the distribution gives both together.

    Distributions with ``rsample_and_log_prob`` may have a method of this name, without arguments.

    Parameters
    ----------
    q
        Any distribution with a mean.

    Returns
    -------
    mean
        (*batch, *event).
    log_prob
        (*batch), nats; None where q has no such method.
    """
    method = getattr(q, "mean_and_log_prob", None)
    return (q.mean, None) if method is None else method()

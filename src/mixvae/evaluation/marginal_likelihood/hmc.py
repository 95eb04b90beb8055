"""Hamiltonian Monte Carlo of many chains at once, each with a step size of its own.

Neal, *MCMC using Hamiltonian dynamics*, 2011.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .unconstrained import PerChain, Point, Real

TARGET = 0.65  # acceptance: about the most efficient in many dimensions (Neal 2011, Section 4.4)
GAIN = 0.3  # by how much an acceptance of one too many raises the logarithm of the step size


def leapfrog(
    point_at: Callable[[Real], Point],
    point: Point,
    momentum: Real,
    beta: float,
    step: PerChain,
    n_steps: int,
) -> tuple[Point, Real]:
    """Where n steps of Hamiltonian dynamics under log p(u) p(x | u)^beta lead; unit masses."""
    step = step.unsqueeze(-1)
    for _ in range(n_steps):
        half = momentum + 0.5 * step * point.gradient(beta)
        point = point_at(point.u + step * half)
        momentum = half + 0.5 * step * point.gradient(beta)
    return point, momentum


def move(
    point_at: Callable[[Real], Point],
    point: Point,
    beta: float,
    step: PerChain,
    n_steps: int,
    momentum: Real,
    uniform: PerChain,
) -> tuple[Point, PerChain]:
    """A move that leaves p(u) p(x | u)^beta invariant, and how likely it was to be accepted.

    Parameters
    ----------
    point_at : callable
        From u to the densities and gradients there.
    point : Point
        Where the chains are.
    beta : float
        The inverse temperature.
    step : Tensor
        (S, B), the size of the leapfrog steps.
    n_steps : int
        How many of them.
    momentum : Tensor
        (S, B, D), standard normal noise.
    uniform : Tensor
        (S, B), noise between 0 and 1.

    Returns
    -------
    tuple of Point and Tensor
        Where the chains are then; the probabilities of acceptance (S, B), 0 where the proposal or
        its density is not finite.
    """
    proposal, final = leapfrog(point_at, point, momentum, beta, step, n_steps)
    log_density = proposal.log_density(beta)
    kinetic = 0.5 * (momentum.square() - final.square()).sum(-1)
    probability = (log_density - point.log_density(beta) + kinetic).clamp(max=0).exp()
    usable = log_density.isfinite() & probability.isfinite()
    probability = torch.where(usable, probability, 0.0)
    return point.moved(uniform < probability, proposal), probability


def adapted(
    log_step: Float[Tensor, "G B"], probability: PerChain, group: Int64[Tensor, "S B"]
) -> Float[Tensor, "G B"]:
    """Log step sizes nearer to those of the wanted acceptance, by each group's mean acceptance."""
    total = torch.zeros_like(log_step).scatter_add(0, group, probability - TARGET)
    count = torch.zeros_like(log_step).scatter_add(0, group, torch.ones_like(probability))
    return log_step + GAIN * total / count.clamp_min(1)

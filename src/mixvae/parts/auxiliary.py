"""Posteriors with auxiliary variables, whose density q(z | x) alone is unknown."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from mixvae.distributions import diagonal_normal
from mixvae.errors import MixvaeError, at_least
from mixvae.nn import full_precision

from .posteriors import ConditionalNormal, concatenated

Follow = Callable[[Tensor, bool], tuple[Tensor, Tensor]]
STEP = 0.05  # initial size of a leapfrog step


class Augmented(Distribution):
    r"""A distribution of z that is sampled together with auxiliary variables v.

    In place of log q(z) it has :math:`\log q(z, v) - \log r(v | z)` of its own samples, where r is
    a reverse model. Bounds and importance sampling stay valid with any r, since
    :math:`E[p(x, z)\, r(v | z) / q(z, v)] = p(x)`; the better r, the tighter they are.

    ``mean`` is z where every variable is at its mean given those before it, which is not the mean
    of q(z); there is no ``variance``, and ``log_prob`` raises a MixvaeError.

    Parameters
    ----------
    first
        Distribution of the variable that is sampled first, batch (\*batch).
    follow
        A function of a sample of ``first``, (\*sample, \*batch, M), and of whether what follows is
        sampled or at its mean. It returns z (\*sample, \*batch, L), and
        :math:`\log q(z, v) - \log r(v | z)` without the density of ``first``.
    n_latent
        L.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, first: Distribution, follow: Follow, n_latent: int) -> None:
        self.first, self.follow = first, follow
        super().__init__(first.batch_shape, torch.Size([n_latent]), validate_args=False)

    def rsample_and_log_prob(self, sample_shape: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """Samples, and the logarithm of the density ratio that takes the place of q(z)."""
        first = self.first.rsample(torch.Size(sample_shape))
        z, log_ratio = self.follow(first, True)
        return z, self.first.log_prob(first) + log_ratio

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.rsample_and_log_prob(sample_shape)[0]

    def log_prob(self, value: Tensor) -> NoReturn:
        raise MixvaeError(
            "the density of a posterior with auxiliary variables is unknown; call "
            "rsample_and_log_prob, which has a density ratio of its own samples."
        )

    @property
    def mean(self) -> Tensor:
        return self.follow(self.first.mean, False)[0]


class AuxiliaryPosterior(nn.Module):
    r"""A mixture over an auxiliary variable, :math:`q(z | x) = \int q(a | x)\, q(z | a, x)\, da`.

    Maaløe et al. (ICML 2016), Section 2.2; the paper's p(a | x, z) is the reverse model r.

    Parameters
    ----------
    auxiliary
        h (B, K, H) to q(a | x), event (A,).
    conditional
        h and a concatenated, (..., H + A), to q(z | a, x), event (L,).
    reverse
        h and z concatenated, (..., H + L), to r(a | x, z), event (A,).
    """

    def __init__(
        self, auxiliary: nn.Module, conditional: ConditionalNormal, reverse: ConditionalNormal
    ) -> None:
        super().__init__()
        self.auxiliary, self.conditional, self.reverse = auxiliary, conditional, reverse

    def forward(self, h: Float[Tensor, "B K H"]) -> Augmented:
        return Augmented(self.auxiliary(h), partial(self._follow, h), self.conditional.n_latent)

    def _follow(self, h: Tensor, a: Tensor, sampled: bool) -> tuple[Tensor, Tensor]:
        q_z = self.conditional(concatenated(h, a))
        z = q_z.rsample() if sampled else q_z.mean
        return z, q_z.log_prob(z) - self.reverse(concatenated(h, z)).log_prob(a)


class HamiltonianPosterior(nn.Module):
    r"""A posterior of T iterations of Hamiltonian dynamics from a normal (HVI).

    Salimans, Kingma & Welling (ICML 2015), Algorithm 3: z starts from q(z0 | x). Each iteration
    draws a momentum v ~ N(0, I) and takes leapfrog steps along the gradient of log p(x, z), which
    preserve volume. Step sizes are learned, one for each iteration and dimension; together they are
    the paper's step size and diagonal mass matrix. A step of size 0 leaves z as it is.

    Parameters
    ----------
    start
        Features (B, 1, H) to q(z0 | x), batch (B, 1), event (L,).
    reverse
        For each of the T iterations: features and z concatenated, (..., H + L), to r(v | x, z).
    decoder
        z (S, B, 1, L) and weights to p(x | z).
    prior
        The prior of z, one that does not call the encoder.
    x_shape
        Shape of one x.
    n_latent
        Size L of the code.
    n_steps
        Leapfrog steps of an iteration.

    Raises
    ------
    MixvaeError
        For less than one iteration or step; when called, for a q(z0 | x) that is not of real
        numbers with gradients, or a p(x, z) without a gradient in z.
    """

    def __init__(
        self,
        start: nn.Module,
        reverse: nn.ModuleList,
        decoder: nn.Module,
        prior: nn.Module,
        *,
        x_shape: Sequence[int],
        n_latent: int,
        n_steps: int = 5,
    ) -> None:
        super().__init__()
        at_least(1, n_iterations=len(reverse), n_steps=n_steps)
        self.start, self.reverse = start, reverse
        self.step = nn.Parameter(torch.full((len(reverse), n_latent), STEP))
        self.n_steps, self.x_shape = n_steps, tuple(x_shape)
        self._shared = [decoder, prior]  # in a list, as their weights are the model's

    def forward(self, h: Float[Tensor, "B 1 J"]) -> Augmented:
        """q(z | x) of features with x beside them, as :class:`WithInput` returns them."""
        n_inputs = prod(self.x_shape)
        features, x = h.split([h.shape[-1] - n_inputs, n_inputs], -1)
        q, x = self.start(features), full_precision(x).unflatten(-1, self.x_shape)
        if not (q.has_rsample and getattr(q.support, "base_constraint", None) is constraints.real):
            raise MixvaeError(
                "Hamiltonian dynamics need a code of real numbers with gradients, such as that of "
                f"NormalPosterior; got {type(q).__name__}, whose values are discrete or bounded."
            )
        return Augmented(q, partial(self._follow, features, x), self.step.shape[1])

    def _follow(self, h: Tensor, x: Tensor, z: Tensor, sampled: bool) -> tuple[Tensor, Tensor]:
        log_ratio = z.new_zeros(())
        momentum = diagonal_normal(torch.zeros_like(z), torch.ones_like(z))
        for step, reverse in zip(self.step, self.reverse, strict=True):
            v = momentum.rsample() if sampled else momentum.mean
            log_ratio = log_ratio + momentum.log_prob(v)
            z, v = leapfrog(partial(self._slope, x), z, v, step, self.n_steps)
            log_ratio = log_ratio - reverse(concatenated(h, z)).log_prob(v)
        return z, log_ratio

    def _slope(self, x: Float[Tensor, "B 1 *X"], z: Float[Tensor, "*n B 1 L"]) -> Tensor:
        """The gradient of log p(x, z) in z, differentiable where gradients are recorded."""
        if torch.compiler.is_compiling():
            raise MixvaeError(
                "Hamiltonian dynamics take gradients of log p(x, z), which a compiled or exported "
                "program cannot; train without compile, and call model.infer in Python"
            )
        recorded = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            x, z = x.clone(), z.clone()  # tensors of inference mode have no gradients
            z = z if z.requires_grad else z.requires_grad_()
            log_p, slope = self._log_joint(x, z), None
            if log_p.requires_grad:
                (slope,) = torch.autograd.grad(
                    log_p.sum(), z, create_graph=recorded, allow_unused=True
                )
        if slope is None:
            raise MixvaeError(
                "Hamiltonian dynamics need the gradient of log p(x, z) in z, and there is none; "
                "use a likelihood and a prior that are differentiable."
            )
        return slope

    def _log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        decoder, prior = self._shared
        codes = z.reshape(-1, *z.shape[-3:])
        log_lik = decoder(codes, torch.ones_like(codes[..., 0])).log_prob(x)
        return log_lik + prior(_no_encoder).log_prob(codes)


class WithInput(nn.Module):
    r"""An encoder whose features have x beside them: x (B, \*X) to (B, 1, H + D).

    Parameters
    ----------
    encoder
        x to features (B, 1, H).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Float[Tensor, "B *X"]) -> Float[Tensor, "B 1 J"]:
        return torch.cat([self.encoder(x), x.flatten(1).unsqueeze(1)], -1)


def leapfrog(
    slope: Callable[[Tensor], Tensor], z: Tensor, v: Tensor, step: Tensor, n_steps: int
) -> tuple[Tensor, Tensor]:
    r"""Leapfrog steps of positions z and momenta v; invertible, and volume-preserving.

    Parameters
    ----------
    slope
        The gradient of the log density, a function of z.
    z, v
        Positions and momenta, (\*n, L).
    step
        Step size of each dimension, (L,).
    n_steps
        Number of steps.

    Returns
    -------
    z, v
        After the steps. From z and -v the same steps lead back.
    """
    force = slope(z)
    for _ in range(n_steps):
        v = v + 0.5 * step * force
        z = z + step * v
        force = slope(z)
        v = v + 0.5 * step * force
    return z, v


def _no_encoder(x: Tensor) -> NoReturn:
    raise MixvaeError(
        "Hamiltonian dynamics need a prior that does not call the encoder, which this one does."
    )

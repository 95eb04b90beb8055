"""Distributions of T latent variables in sequence, each given the ones before it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence

from mixvae.errors import MixvaeError

from .pairs import diagonal_normal, loc_and_scale
from .widened import log_prob_widened, widened


@runtime_checkable
class Recurrence(Protocol):
    """What gives a sequence's conditionals, of N rows."""

    n_steps: int
    n_latent: int

    def start(self, h: Float[Tensor, "N H"]) -> Any:
        """The state before the first step, of what the whole sequence depends on."""

    def step(self, state: Any, z: Float[Tensor, "N L"] | None) -> tuple[Distribution, Any]:
        """The next variable's distribution, batch (N,), event (L,), and the state.

        ``z`` is the value of the variable before it; None at first.
        """


class Sequential(Distribution):
    r"""Joint distribution of T latent variables, event (T L,): the base class.

    .. math:: q(z) = \prod_t q(z_t | z_1, \dots, z_{t-1})

    ``mean`` and ``variance`` are those of each variable given that the ones before it are at such
    means; they are not the moments of z, except for means that are linear in earlier variables.

    Parameters
    ----------
    recurrence
        What gives the conditionals.
    h
        What they depend on, (\*batch, H).
    batch_shape
        The batch shape, to which that of ``h`` is expanded. None: that of ``h``.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        recurrence: Recurrence,
        h: Float[Tensor, "*batch H"],
        batch_shape: Sequence[int] | None = None,
    ) -> None:
        self.recurrence, self.h = recurrence, h
        event = torch.Size([recurrence.n_steps * recurrence.n_latent])
        batch = torch.Size(h.shape[:-1] if batch_shape is None else batch_shape)
        super().__init__(batch, event, validate_args=False)

    def expand(
        self, batch_shape: Sequence[int], _instance: Distribution | None = None
    ) -> "Sequential":
        return type(self)(self.recurrence, self.h, batch_shape)

    @property
    def mean(self) -> Tensor:
        return self._run(lambda q, _: q.mean, self.batch_shape)[0]

    @property
    def variance(self) -> Tensor:
        _, conditionals = self._run(lambda q, _: q.mean, self.batch_shape)
        variances = torch.cat([q.variance for q in conditionals], -1)
        return variances.unflatten(0, self.batch_shape)

    def _run(
        self, choose: Callable[[Distribution, int], Tensor], shape: Sequence[int]
    ) -> tuple[Float[Tensor, "*n TL"], list[Distribution]]:
        """Codes (*n) whose parts ``choose`` takes, given each conditional and its number."""
        recurrence, z, chosen, conditionals = self.recurrence, None, [], []
        with torch.autocast(self.h.device.type, enabled=False):
            state = recurrence.start(self.h.expand(*shape, -1).reshape(-1, self.h.shape[-1]))
            for t in range(recurrence.n_steps):
                q, state = recurrence.step(state, z)
                z = choose(q, t)
                chosen.append(z)
                conditionals.append(q)
        return torch.cat(chosen, -1).unflatten(0, tuple(shape)), conditionals


class SequentialNormal(Sequential):
    """A sequence whose conditionals are diagonal normals, so that every code has a density.

    The conditionals of the last sample are kept, so that its density and KL take no second pass.
    """

    _last: tuple[Tensor, Distribution, bool] | None = None  # and whether gradients were recorded

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        z, conditionals = self._run(lambda q, _: q.rsample(), shape)
        self._last = z, self._joined(conditionals, shape), torch.is_grad_enabled()
        return z

    def log_prob(self, value: Float[Tensor, "*n TL"]) -> Float[Tensor, "*m"]:
        return self.conditionals(value).log_prob(self._steps(value)).sum(-1)

    def kl(self, p: Distribution, z: Float[Tensor, "*n TL"]) -> Float[Tensor, "*m"]:
        """Estimate of KL(q || p) for each z from q: each step's, in closed form given z before it.

        Parameters
        ----------
        p
            A diagonal normal, batch () or that of q, event (T L,).
        z
            Samples of q.
        """
        of_steps = diagonal_normal(*map(self._steps, loc_and_scale(p)))
        return kl_divergence(self.conditionals(z), of_steps).sum(-1)

    def conditionals(self, z: Float[Tensor, "*n TL"]) -> Distribution:
        """The distribution of each step given the steps of z before it, batch (..., T)."""
        if self._last is not None and self._last[0] is z:
            _, known, with_gradient = self._last
            if with_gradient or not torch.is_grad_enabled():
                return known
        shape = torch.broadcast_shapes(z.shape[:-1], self.batch_shape)
        steps = self._steps(z.expand(*shape, -1)).flatten(0, -3)
        return self._joined(self._run(lambda _, t: steps[:, t], shape)[1], shape)

    def _steps(self, z: Tensor) -> Float[Tensor, "*n T L"]:
        return z.unflatten(-1, (self.recurrence.n_steps, -1))

    def _joined(self, conditionals: Sequence[Distribution], shape: Sequence[int]) -> Distribution:
        pairs = zip(*map(loc_and_scale, conditionals), strict=True)
        return diagonal_normal(*(torch.stack(t, -2).unflatten(0, tuple(shape)) for t in pairs))


class SequentialSamples(Sequential):
    """A sequence whose conditionals know the density of their own samples only."""

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(
        self, sample_shape: Sequence[int] = ()
    ) -> tuple[Float[Tensor, "*n TL"], Float[Tensor, "*n"]]:
        """A sample, and its log density: the sum of those that the conditionals give, nats.

        Parameters
        ----------
        sample_shape
            Leading axes of the sample.
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        return self._with_log_prob(lambda q: q.rsample_and_log_prob(), shape)

    def mean_and_log_prob(self) -> tuple[Float[Tensor, "*n TL"], Float[Tensor, "*n"]]:
        """``mean``, and the sum of what the conditionals' ``mean_and_log_prob`` give for it."""
        return self._with_log_prob(lambda q: q.mean_and_log_prob(), self.batch_shape)

    def _with_log_prob(
        self, choose: Callable[[Any], tuple[Tensor, Tensor]], shape: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        log_q: list[Tensor] = []

        def choose_code(q: Distribution, _: int) -> Tensor:
            z, of_step = choose(q)
            log_q.append(of_step)
            return z

        z, _ = self._run(choose_code, shape)
        return z, torch.stack(log_q).sum(0).unflatten(0, tuple(shape))

    def log_prob(self, value: Float[Tensor, "*n TL"]) -> Float[Tensor, "*m"]:
        raise MixvaeError(
            "this posterior knows the density of its own samples only; take both together, from "
            "rsample_and_log_prob."
        )


class _Wider:
    """A recurrence whose conditionals are widened."""

    def __init__(self, recurrence: Recurrence, factor: float) -> None:
        self.n_steps, self.n_latent = recurrence.n_steps, recurrence.n_latent
        self.start, self.recurrence, self.factor = recurrence.start, recurrence, factor

    def step(self, state: Any, z: Tensor | None) -> tuple[Distribution, Any]:
        q, state = self.recurrence.step(state, z)
        return widened(q, self.factor), state


@widened.register
def _(q: SequentialNormal, factor: float) -> Distribution:
    return SequentialNormal(_Wider(q.recurrence, factor), q.h, q.batch_shape)


@log_prob_widened.register
def _(q: SequentialNormal, factors: Sequence[float], z: Tensor) -> Tensor:
    of_steps = log_prob_widened(
        q.conditionals(z), factors, z.unflatten(-1, (-1, q.recurrence.n_latent))
    )
    return of_steps.sum(-2)

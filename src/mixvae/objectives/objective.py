"""The objective of training: a bound's mean over the batch, and penalties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mixvae.errors import at_least
from mixvae.trace import Scale, Terms, Trace

Bound = Callable[..., Terms]  # (trace, kl_scale) -> terms of shape (B,)
Penalty = Callable[[Trace], Tensor]


def is_kl(name: str) -> bool:
    """Whether a term of this name is minus a KL divergence, which is shown as a positive number."""
    return name.startswith("kl_")


@dataclass(frozen=True)
class Objective:
    """An objective to maximise: the mean of a bound over the batch, plus penalties.

    Parameters
    ----------
    bound
        ``(trace, kl_scale) -> terms``, each (B,), nats; the terms add up to the bound.
    penalties
        Functions of a trace by name, each a scalar that is added: negative where it is a penalty.
    n_samples
        Samples S of the latent variables in a pass.
    is_bound
        Whether the objective is known to be a lower bound on log p(x), given that p(x | z) is a
        normalised density or a probability. With penalties it is false whatever is passed.
    x_noise
        Standard deviation of normal noise that is added to x while the model is in training mode.

    Raises
    ------
    MixvaeError
        For fewer than one sample.

    Examples
    --------
    >>> import mixvae, torch
    >>> from mixvae.objectives import elbo
    >>> objective = Objective(elbo, {"size": lambda t: -t.z.square().mean()}, is_bound=True)
    >>> objective.is_bound
    False
    >>> model = mixvae.build("vae", (4,), n_latent=2).model
    >>> list(objective(model, torch.zeros(3, 4)))
    ['log_lik', 'kl_z', 'size']
    """

    bound: Bound
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    n_samples: int = 1
    is_bound: bool = False
    x_noise: float = 0.0

    def __post_init__(self) -> None:
        at_least(1, n_samples=self.n_samples)
        object.__setattr__(self, "is_bound", self.is_bound and not self.penalties)

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        kl_scale: Scale = 1.0,
        y: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Terms:
        """Terms of a forward pass over x.

        Parameters
        ----------
        model
            ``(x, n_samples, y) -> trace``.
        x
            A batch (B, *X).
        kl_scale
            Weight of the KL terms.
        y
            Class labels (B,) of a conditional model, or None.
        weight
            Weights (B,) of the rows, as in :meth:`terms`.
        """
        if self.x_noise and model.training:
            x = x + self.x_noise * torch.randn_like(x)
        return self.terms(model(x, self.n_samples, y), kl_scale, weight)

    def terms(self, trace: Trace, kl_scale: Scale = 1.0, weight: Tensor | None = None) -> Terms:
        """Scalars by name, nats; the objective is their sum, and the loss is its negative.

        With weights a term is the mean of weight times value. Where the weights of all data have
        the mean 1, its expectation over random batches is the weighted mean over the data, which
        division by the batch's own sum of weights would bias. Penalties are statistics of the batch
        without weights.

        Parameters
        ----------
        trace
            A forward pass.
        kl_scale
            Weight of the KL terms.
        weight
            Weights (B,) of the rows, relative to the mean over all data; None where all are 1.
        """
        values = self.bound(trace, kl_scale)
        if weight is not None:
            values = {name: weight * value for name, value in values.items()}
        terms = {name: value.mean() for name, value in values.items()}
        return terms | {name: penalty(trace) for name, penalty in self.penalties.items()}

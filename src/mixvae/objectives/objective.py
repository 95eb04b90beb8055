"""What is maximised: a bound's mean over the batch, and penalties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    """To be maximised: the mean of a bound over the batch, and penalties.

    ``is_bound`` says whether it is known to be a lower bound on log p(x), p(x | z) being a
    density; with penalties it never is.
    """

    bound: Bound
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    n_samples: int = 1
    is_bound: bool = False

    def __post_init__(self) -> None:
        at_least(1, n_samples=self.n_samples)
        object.__setattr__(self, "is_bound", self.is_bound and not self.penalties)

    def __call__(
        self, model: nn.Module, x: Tensor, kl_scale: Scale = 1.0, y: Tensor | None = None
    ) -> Terms:
        """The terms of a fresh pass over x, with its labels if the model is conditional."""
        return self.terms(model(x, self.n_samples, y), kl_scale)

    def terms(self, trace: Trace, kl_scale: Scale = 1.0) -> Terms:
        """Scalars by name; the objective is their sum, and the loss minus that."""
        terms = {name: term.mean() for name, term in self.bound(trace, kl_scale).items()}
        return terms | {name: penalty(trace) for name, penalty in self.penalties.items()}

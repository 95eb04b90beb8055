"""What is maximised: a bound's mean over the batch, and penalties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from ..errors import at_least
from ..trace import Scale, Trace

Terms = dict[str, Tensor]
Bound = Callable[..., Terms]  # (trace, kl_scale) -> terms of shape (B,)
Penalty = Callable[[Trace], Tensor]


@dataclass(frozen=True)
class Objective:
    """To be maximised: the mean of a bound over the batch, and penalties."""

    bound: Bound
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    n_samples: int = 1

    def __post_init__(self) -> None:
        at_least(1, n_samples=self.n_samples)

    def __call__(
        self, model: nn.Module, x: Tensor, kl_scale: Scale = 1.0, y: Tensor | None = None
    ) -> Terms:
        """The terms of a fresh pass over x, with its labels if the model is conditional."""
        return self.terms(model(x, self.n_samples, y), kl_scale)

    def terms(self, trace: Trace, kl_scale: Scale = 1.0) -> Terms:
        """Scalars by name; the objective is their sum, and the loss minus that."""
        terms = {name: term.mean() for name, term in self.bound(trace, kl_scale).items()}
        return terms | {name: penalty(trace) for name, penalty in self.penalties.items()}

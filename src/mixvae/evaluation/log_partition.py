"""The estimate of log Z under a prior whose density is known up to a constant, and its error."""

from typing import Any

from mixvae.model import MixtureVAE
from mixvae.parts.boltzmann import BoltzmannPrior

from .one_pass import Batch

MAX_ERROR = 0.01  # nats


class LogPartitions:
    """Accumulator of the estimate, which does not depend on data."""

    def __init__(self, model: MixtureVAE) -> None:
        assert isinstance(model.prior, BoltzmannPrior)
        self.prior = model.prior

    def add(self, batch: Batch) -> None: ...

    def result(self) -> dict[str, Any]:
        value, error = self.prior.log_partition()
        return {"value": value, "standard_error": error, "warning": _warning(error)}


def has_partition(model: MixtureVAE) -> bool:
    """Whether the density of the model's prior has a constant that is estimated."""
    return isinstance(model.prior, BoltzmannPrior)


def _warning(error: float) -> str | None:
    """What an error above 0.01 nats, or one that is not a number, means for other figures."""
    if error <= MAX_ERROR:
        return None
    return (
        f"log Z of the prior has a standard error of {error:.3f} nats, more than {MAX_ERROR}: the "
        "ELBO and log p(x) of every example are off by the same error, which theirs do not "
        "include. Fewer codes (n_latent) or fewer epochs make the prior easier to normalise."
    )

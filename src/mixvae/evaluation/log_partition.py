"""The estimate of log Z under a prior whose density is known up to a constant, and its error."""

from collections.abc import Callable
from typing import Any

from .one_pass import Batch

MAX_ERROR = 0.01  # nats


class LogPartition:
    """Accumulator of log Z and its standard error, which do not depend on data.

    Parameters
    ----------
    estimate
        Returns both, in nats.
    """

    def __init__(self, estimate: Callable[[], tuple[float, float]]) -> None:
        self.estimate = estimate

    def add(self, batch: Batch) -> None: ...

    def result(self) -> dict[str, Any]:
        value, error = self.estimate()
        return {"value": value, "standard_error": error, "warning": warning_of(error)}


def warning_of(error: float) -> str | None:
    """What an error above 0.01 nats, or one that is not a number, means for other figures."""
    if error <= MAX_ERROR:
        return None
    return (
        f"log Z of the prior has a standard error of {error:.3f} nats, more than {MAX_ERROR}: the "
        "ELBO and log p(x) of every example are off by the same error, which theirs do not "
        "include. Fewer codes (n_latent) or fewer epochs make the prior easier to normalise."
    )

"""The estimate of a prior's normaliser, on which every bound and log p(x) depends."""

from mixvae.parts.resampled_prior import Resampled, ResampledPrior

from .metric import Subject
from .one_pass import Batch


def has_normalizer(s: Subject) -> bool:
    """Whether the prior's normaliser is estimated: that of LARS."""
    return isinstance(s.recipe.model.prior, ResampledPrior)


class PriorNormalizer:
    """Accumulator of log Z of the prior and its standard error, which do not depend on the data."""

    def add(self, batch: Batch) -> None:
        p_z = batch.model.prior(batch.model.encode)
        assert isinstance(p_z, Resampled)
        self.value, self.error = float(p_z.log_z.value), p_z.log_z.error

    def result(self) -> dict[str, float]:
        return {"log_z": self.value, "log_z_error": self.error}

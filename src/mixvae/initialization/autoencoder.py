"""A prior that is a mixture of normals, fitted to an autoencoder's codes (Jiang et al. 2017)."""

from mixvae.data.dataset import Dataset
from mixvae.data.rows import parts_of
from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.objectives import Objective
from mixvae.parts.priors import GaussianMixturePrior

from .phase import Initialization, Phase, check_enough, posteriors, sampled


class Autoencoder(Initialization):
    """Training without the KL terms, after which the prior is fitted to the codes.

    Parameters
    ----------
    epochs
        Epochs of the autoencoder.

    References
    ----------
    Jiang et al., Variational deep embedding, IJCAI 2017.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def check(self, model: MixtureVAE, data: Dataset) -> None:
        assert isinstance(model.prior, GaussianMixturePrior)
        check_enough("clusters", len(model.prior.logits), data)
        first = data.train.x[:1]
        if data.binarize != "dynamic" and all(
            bool((part == first).all()) for part in parts_of(data.train.x)
        ):
            raise MixvaeError(
                f"the {len(data.train)} training examples of {data.name} are all the same and have "
                "no clusters; look at the data, or use start='random' (--start random)."
            )

    def phases(
        self, model: MixtureVAE, objective: Objective, data: Dataset, *, seed: int, n_batches: int
    ) -> list[Phase]:
        def fit_prior() -> None:
            assert isinstance(model.prior, GaussianMixturePrior)
            codes = posteriors(model, sampled(data, data.train.x))
            model.prior.cpu().start_from(*codes, seed % 2**32)

        no_kl = lambda step, n_steps: 0.0  # an autoencoder, with the codes' noise
        return [Phase("autoencoder", model, objective, self.epochs, no_kl, at_end=fit_prior)]

"""Variational GMM: Gaussian mixture with priors on its parameters (Attias 2000; scikit-learn).

Its log density is that under the expected logarithms of the parameters' posterior, which is at most
the log of the predictive density. No paper's table quotes it.
"""

from experiments.rivals.gmm import ALL, fit
from experiments.rivals.system import System, Trained
from sklearn.mixture import BayesianGaussianMixture

from mixvae.data import Dataset


def train(data: Dataset, epochs: int) -> Trained:
    """A mixture by variational inference."""
    return fit(BayesianGaussianMixture, data, epochs)


SYSTEM = System("variational-gmm", train, epochs=ALL, binary=True)

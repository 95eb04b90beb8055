"""``mixvae.DeepMixture`` passes scikit-learn's own checks of estimators."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixvae import DeepMixture

pytestmark = [
    pytest.mark.filterwarnings("ignore::mixvae.MixvaeWarning"),  # of a dozen rows, mostly
    pytest.mark.usefixtures("unchecked"),  # wrong types meet our own messages
]


@parametrize_with_checks([DeepMixture(n_components=2, max_epochs=2)])
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)

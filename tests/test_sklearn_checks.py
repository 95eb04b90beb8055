"""``mixvae.DeepMixture`` passes scikit-learn's own checks of estimators."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixvae import DeepMixture

pytestmark = [
    pytest.mark.filterwarnings("ignore::mixvae.MixvaeWarning"),  # of a dozen rows, mostly
    pytest.mark.usefixtures("unchecked"),  # wrong types meet our own messages
]


REPEATED = (
    "which rows are held out depends on their number, and so does the noise of training, for rows "
    "that are repeated"
)
CLASSIFIER = "the check takes everything with predict_proba and sparse input to be a classifier"
FAILING = {
    "check_sample_weight_equivalence_on_dense_data": REPEATED,
    "check_sample_weight_equivalence_on_sparse_data": REPEATED,
    "check_estimator_sparse_array": CLASSIFIER,
    "check_estimator_sparse_matrix": CLASSIFIER,
}


@parametrize_with_checks(
    [DeepMixture(n_components=2, max_epochs=2)],
    expected_failed_checks=lambda estimator: FAILING,
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)

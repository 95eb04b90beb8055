"""One likelihood for each column: the sum of what each kind's own likelihood says."""

import pytest
import torch

from mixvae.errors import MixvaeError
from mixvae.likelihoods import (
    CategoricalLikelihood,
    ColumnKinds,
    ColumnLikelihood,
    NormalLikelihood,
    OrdinalLikelihood,
    likelihood,
)
from mixvae.parts.column_features import ColumnFeatures

pytestmark = pytest.mark.usefixtures("maths")
KINDS = ColumnKinds(
    (
        *(("categorical", 3), ("normal", 1), ("poisson", 1), ("ordinal", 4), ("bernoulli", 1)),
        *(("student-t", 1), ("zero-inflated-poisson", 1), ("categorical", 2), ("normal", 1)),
        *(("negative-binomial", 1), ("zero-inflated-negative-binomial", 1), ("ordinal", 2)),
    )
)
X = torch.tensor(
    [
        [2.0, -1.3, 4.0, 3.0, 1.0, 0.7, 0.0, 1.0, 2.2, 5.0, 0.0, 0.0],
        [0.0, 0.1, 0.0, 0.0, 0.0, -9.0, 2.0, 0.0, 0.0, 0.0, 7.0, 1.0],
    ],
    dtype=torch.float64,
)


def own(name: str, n_levels: int):
    """The likelihood of one column by itself."""
    if name in ("categorical", "ordinal"):
        kind = CategoricalLikelihood if name == "categorical" else OrdinalLikelihood
        return kind((1,), n_levels)
    return likelihood(name, (1,))


def made():
    torch.manual_seed(0)
    one = ColumnLikelihood((12,), KINDS)
    return one, torch.randn(2, one.n_params)


def test_log_p_is_the_sum_over_columns_of_what_their_likelihoods_say():
    one, params = made()
    n, expected = KINDS.n_outputs, torch.zeros(2)
    for i, (name, n_levels) in enumerate(KINDS.kinds):
        outputs = params[:, KINDS.slices[i]]
        if name in ("normal", "student-t"):
            outputs = torch.cat([outputs, params[:, n:][:, KINDS.slices[i]]], 1)
        expected = expected + own(name, n_levels)(outputs).log_prob(X[:, i : i + 1])
    torch.testing.assert_close(one(params).log_prob(X), expected)


def test_the_outputs_of_columns_follow_each_other():
    assert KINDS.n_outputs == 3 + 1 + 1 + 1 + 1 + 1 + 2 + 2 + 1 + 1 + 2 + 1
    assert [i for s in KINDS.slices for i in range(s.start, s.stop)] == list(range(17))


def test_means_and_samples_are_of_each_columns_kind():
    one, params = made()
    p = one(params)
    torch.manual_seed(0)
    one.check(p.sample((100,)).flatten(0, 1))
    assert p.mean.shape == p.variance.shape == (2, 12)
    categories = KINDS.those("categorical", "ordinal")
    assert p.variance.isnan().any(0).nonzero().squeeze(1).tolist() == categories
    most_probable = torch.zeros(2, 12)
    most_probable[:, categories] = p.mean[:, categories]
    one.check(most_probable)


def test_one_kind_for_all_columns_is_its_likelihood():
    kinds, params = ColumnKinds((("normal", 1),) * 3), torch.randn(5, 6)
    x = torch.randn(5, 3)
    torch.testing.assert_close(
        ColumnLikelihood((3,), kinds)(params).log_prob(x),
        NormalLikelihood((3,))(params).log_prob(x),
    )


def test_batches_broadcast_as_those_of_other_likelihoods():
    one, params = made()
    many = params.expand(4, 3, 2, -1)
    assert one(many).log_prob(X).shape == (4, 3, 2)


def test_gradients_reach_every_parameter_of_the_likelihood():
    one, params = made()
    params.requires_grad_()
    one(params).log_prob(X).sum().backward()
    for name, p in one.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.any() or not p.numel(), name
    real = KINDS.those("normal", "student-t")
    used = [17 + KINDS.slices[i].start for i in real]
    assert params.grad.any(0).nonzero().squeeze(1).tolist() == [*range(17), *used]


def test_bad_values_and_kinds_are_refused():
    one, _ = made()
    bad = X.clone()
    bad[0, 2] = -1
    with pytest.raises(MixvaeError, match="whole numbers from 0"):
        one.check(bad)
    with pytest.raises(MixvaeError, match="Did you mean 'poisson'"):
        ColumnKinds((("poison", 1),))
    with pytest.raises(MixvaeError, match="n_levels"):
        ColumnKinds((("categorical", 1),))
    with pytest.raises(MixvaeError, match="n_levels 1; got 3"):
        ColumnKinds((("normal", 3),))
    with pytest.raises(MixvaeError, match="a likelihood for each column"):
        ColumnLikelihood((3,), ColumnKinds((("normal", 1),)))


def test_networks_read_categories_as_columns_of_zeros_and_ones():
    features = ColumnFeatures(KINDS)(X)
    log = torch.tensor([5.0, 1.0, 6.0, 1.0]).log()  # of one plus a count
    expected = [0, 0, 1, -1.3, log[0], 1, 1, 0.7, log[1], 0, 1, 2.2, log[2], log[3], -1]
    torch.testing.assert_close(features[0], torch.tensor(expected))
    assert ColumnFeatures(KINDS).n_features == 15

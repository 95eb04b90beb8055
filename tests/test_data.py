"""Data in memory: layouts, ranges, splits, binarisation."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mixvae import data
from mixvae.data.dataset import check_binarize
from mixvae.errors import MixvaeError
from mixvae.seeding import seed_of_row

RNG = np.random.default_rng(0)


def grey(n: int = 100, *shape: int) -> np.ndarray:
    return RNG.random((n, *(shape or (6,))), dtype=np.float32)


def all_rows(dataset: data.Dataset) -> torch.Tensor:
    return torch.cat([dataset.train.x, dataset.val.x, dataset.test.x])


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ((20, 12), (12,)),
        ((20, 8, 6), (1, 8, 6)),
        ((20, 8, 6, 1), (1, 8, 6)),
        ((20, 8, 6, 3), (3, 8, 6)),
        ((20, 1, 8, 6), (1, 8, 6)),
        ((20, 3, 8, 6), (3, 8, 6)),
    ],
)
def test_images_are_held_channels_first_and_vectors_flat(
    given: tuple[int, ...], held: tuple[int, ...]
) -> None:
    dataset = data.from_arrays(grey(*given))
    assert dataset.x_shape == held
    assert dataset.train.x.dtype == torch.float32


def test_channels_last_moves_pixels_and_does_not_only_reshape() -> None:
    x = grey(10, 4, 5, 3)
    test = data.from_arrays(x, test=x).test.x
    assert torch.equal(test, torch.from_numpy(x).permute(0, 3, 1, 2))


def test_bytes_are_divided_by_255_and_bytes_of_0_and_1_are_not() -> None:
    x = np.array([[0, 51], [255, 102]], np.uint8)
    assert torch.equal(data.from_arrays(x, test=x, n_val=1).test.x, torch.tensor(x) / 255)
    binary = (x > 100).astype(np.uint8)
    dataset = data.from_arrays(binary, test=binary, n_val=1)
    assert torch.equal(dataset.test.x, torch.tensor(binary).float())
    assert dataset.is_binary


def test_lists_and_tensors_and_double_precision_are_read_alike() -> None:
    x = grey(10, 3)
    for same in (x.tolist(), torch.tensor(x), x.astype(np.float64), x.astype(">f4")):
        assert torch.equal(data.from_arrays(same, test=same).test.x, torch.tensor(x))


def test_a_data_set_is_a_copy() -> None:
    x = grey(10, 3)
    dataset = data.from_arrays(x, test=x)
    before = dataset.test.x.clone()
    x[:] = 0
    assert torch.equal(dataset.test.x, before)


def with_value(value: float) -> np.ndarray:
    x = grey(20, 4)
    x[3, 2] = value
    return x


def unscaled(x: np.ndarray) -> data.Dataset:
    return data.from_arrays(x, standardize=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.from_arrays(with_value(np.nan)), r"1 of 80 are NaN.* index \(3, 2\)"),
        (lambda: data.from_arrays(with_value(np.nan)[:, None]), r"1 of 80 are NaN or infinite"),
        (lambda: data.from_arrays(with_value(np.inf)), "1 of 80 are infinite, in column 2"),
        (lambda: unscaled(with_value(255)), r"max 255\), the first at index \(3, 2\).*255"),
        (lambda: unscaled(with_value(-0.5)), "min -0.5.*or train with standardize=True"),
        (lambda: data.from_arrays([[0, 1], [0]]), "rows that differ in length"),
        (lambda: data.from_arrays(np.array([{}, {}])), "dtype object"),
        (lambda: data.from_arrays(grey(20)[:, 0]), r"expected shape \(N, D\)"),
        (lambda: data.from_arrays(grey()[:0]), r"at least one example, got shape \(0, 6\)"),
        (lambda: data.from_arrays(grey()[:1]), "must have at least 1 and leave at least 1"),
        (lambda: data.from_arrays(grey(20), np.zeros(19)), "one label for each of the 20"),
        (lambda: data.from_arrays(grey(20), np.full(20, 0.5)), "whole numbers"),
        (lambda: data.from_arrays(grey(20), np.full(20, np.inf)), "whole numbers"),
        (lambda: data.from_arrays(grey(20), np.array(["cat", 3] * 10, object)), "return_inverse"),
        (lambda: data.from_arrays(grey(20), n_val=0), "best epoch is chosen"),
        (lambda: data.from_arrays(grey(20), n_val=-1), r"n_val.*got -1"),
        (lambda: data.from_arrays(grey(20), n_val=16), r"n_val.*16 examples.*got 16"),
        (lambda: data.from_arrays(grey(20), n_test=20), r"n_test.*20 examples.*got 20"),
        (lambda: data.from_arrays(grey(20), test=grey(3), n_test=2), "its own test split of 3"),
        (lambda: data.from_arrays(grey(20), val=grey(3), n_val=2), "its own validation split of 3"),
        (lambda: data.from_arrays(grey(20), test=grey(3, 5)), r"\(6,\) and test \(5,\)"),
        (lambda: check_binarize("dynamik"), "Did you mean 'dynamic'"),
        (lambda: data.from_arrays(grey()).subset(0), "1 to 72 training examples, got n=0"),
        (lambda: data.from_arrays(grey()).subset(73), "1 to 72 training examples, got n=73"),
        (lambda: data.Split(torch.rand(3)), r"\(N, D\) in float32, got shape \(3,\)"),
        (lambda: data.Split(torch.rand(3, 2).double()), "float64; mixvae.data.from_arrays"),
        (lambda: data.Split(torch.rand(0, 2)), "needs at least one example"),
        (lambda: data.Split(torch.rand(3, 2), torch.arange(2)), "label for each of the 3 examples"),
        (lambda: data.load("mnits"), "Did you mean 'mnist'"),
        (lambda: data.load("digits", image_size=(4, 4)), "image_size resizes folders"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(MixvaeError, match=message):
        make()


def test_splits_are_disjoint_complete_and_a_function_of_the_seed() -> None:
    x = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    one, same, other = (data.from_arrays(x, seed=seed) for seed in (1, 1, 2))
    assert [len(one.train), len(one.val), len(one.test)] == [72, 8, 20]
    assert torch.equal(all_rows(one).sort(0).values, torch.from_numpy(x))
    assert torch.equal(all_rows(one), all_rows(same))
    assert not torch.equal(one.test.x, other.test.x)


def test_labels_stay_with_their_images() -> None:
    y = np.arange(100) % 7
    dataset = data.from_arrays(np.linspace(0, 1, 100)[:, None], y)
    assert dataset.labels
    for split in (dataset.train, dataset.val, dataset.test):
        rows = (split.x[:, 0] * 99).round().long()
        assert split.y is not None
        assert torch.equal(split.y, torch.from_numpy(y)[rows])


@pytest.mark.parametrize("n", [1, 10, 37, 98, 99])
def test_held_out_classes_keep_their_shares(n: int) -> None:
    x, y = np.zeros((100, 1)), [0] * 50 + [1] * 30 + [2] * 20
    dataset = data.from_arrays(x, y, val=x[:1], n_test=n)
    held = dataset.test
    assert len(held) == n
    assert len(dataset.train) == 100 - n
    assert held.y is not None
    shares = n * torch.tensor([0.5, 0.3, 0.2])
    assert (held.y.bincount(minlength=3) - shares).abs().max() <= 1


def test_given_splits_are_kept_as_they_are() -> None:
    x, val, test = grey(30), grey(4), grey(5)
    dataset = data.from_arrays(x, np.arange(30), val=(val, np.arange(4)), test=test)
    assert torch.equal(dataset.val.x, torch.from_numpy(val))
    assert torch.equal(dataset.test.x, torch.from_numpy(test))
    assert dataset.train.y is not None
    assert torch.equal(dataset.train.x, torch.from_numpy(x)[dataset.train.y])
    assert not dataset.labels  # the test images have none


def test_the_first_training_images_are_a_fair_sample_whatever_splits_are_given() -> None:
    x, y = grey(200), np.repeat([0, 1], 100)  # sorted by class
    own = (grey(4), np.zeros(4, dtype=int))
    for given in ({}, {"val": own}, {"test": own}, {"val": own, "test": own}):
        train, other = (data.from_arrays(x, y, **given, seed=s).train.y for s in (0, 1))
        assert train is not None
        assert other is not None
        assert 10 < int(train[:40].sum()) < 30  # four standard deviations
        assert not torch.equal(train, other)


def test_dynamic_keeps_grey_levels_for_training_and_draws_the_rest_once() -> None:
    x, test = grey(50), grey(400)
    dataset, same = (data.from_arrays(x, test=test, binarize="dynamic") for _ in range(2))
    other = data.from_arrays(x, test=test, binarize="dynamic", seed=1)
    assert not ((dataset.train.x == 0) | (dataset.train.x == 1)).any()
    assert set(torch.cat([dataset.val.x, dataset.test.x]).flatten().tolist()) == {0, 1}
    assert torch.equal(dataset.test.x, same.test.x)
    assert not torch.equal(dataset.test.x, other.test.x)
    # 2,400 draws: the mean's standard error is below 0.5 / sqrt(2400) = 0.010
    assert abs(dataset.test.x.mean().item() - test.mean()) < 0.05


def test_training_images_as_a_model_sees_them_are_drawn_once_where_they_are_dynamic() -> None:
    dynamic, plain = (data.from_arrays(grey(50), binarize=how) for how in ("dynamic", "none"))
    seen = dynamic.seen("train")
    assert set(seen.x.flatten().tolist()) == {0, 1}
    assert torch.equal(seen.x, dynamic.seen("train").x)
    assert torch.equal(dynamic.seen("test").x, dynamic.test.x)
    assert plain.seen("train") is plain.train
    # 50 x 6 draws or more: the mean's standard error is below 0.03
    assert abs(seen.x.mean() - dynamic.train.x.mean()) < 0.12


def test_test_draws_do_not_depend_on_the_size_of_the_validation_split() -> None:
    x, test = grey(50), grey(20)
    one, two = (data.from_arrays(x, test=test, n_val=n, binarize="dynamic") for n in (5, 9))
    assert torch.equal(one.test.x, two.test.x)


def test_threshold_is_the_same_in_every_split() -> None:
    x = grey()
    plain, binary = data.from_arrays(x), data.from_arrays(x, binarize="threshold")
    assert torch.equal(all_rows(binary), (all_rows(plain) > 0.5).float())


@pytest.mark.parametrize("binarize", data.Binarize.__args__)  # type: ignore[attr-defined]
def test_binarising_binary_data_changes_nothing(binarize: data.Binarize) -> None:
    x = (grey() > 0.5).astype(np.float32)
    assert torch.equal(
        all_rows(data.from_arrays(x, binarize=binarize)), all_rows(data.from_arrays(x))
    )


def test_the_likelihood_follows_from_the_values() -> None:
    assert data.from_arrays(grey()).likelihood == "gaussian"
    assert data.from_arrays(grey() > 0.5).likelihood == "bernoulli"
    assert data.from_arrays(grey(), binarize="dynamic").likelihood == "bernoulli"


def test_few_equally_spaced_levels_are_binomial_with_as_many_trials() -> None:
    levels = lambda n: np.arange(96).reshape(8, 12).astype(np.float32) % (n + 1) / n
    for n in (2, 3, 10, 16, 32):
        found = data.from_arrays(levels(n))
        assert (found.likelihood, found.n_trials) == ("binomial", n)
    assert data.from_arrays(levels(33)).n_trials is None
    assert data.from_arrays(np.minimum(levels(4), 0.5)).n_trials == 4  # by the steps of 1/4
    assert data.from_arrays(levels(4) * 0.99).n_trials is None
    for binarize in ("dynamic", "threshold"):
        assert data.from_arrays(levels(4), binarize=binarize).n_trials is None
    assert data.load("digits").n_trials == 16


def test_two_values_have_no_levels() -> None:
    x = np.where(grey() > 0.5, 0.75, 0.25)
    assert (data.from_arrays(x).likelihood, data.from_arrays(x).n_trials) == ("gaussian", None)
    assert data.from_arrays(grey() > 0.5).n_trials is None


def test_one_row_off_the_levels_leaves_none() -> None:
    x = (4 * np.random.default_rng(0).random((350, 3))).round() / 4
    assert data.from_arrays(x, val=x[:5], test=x[:5]).n_trials == 4
    x[-1, -1] = 0.3
    assert data.from_arrays(x, val=x[:5], test=x[:5]).n_trials is None


def test_the_seed_of_a_row_depends_on_its_values_its_class_and_the_seed_alone() -> None:
    x, y = torch.tensor([[[0.0, 0.5], [1.0, 0.25]]]), torch.tensor([3])
    minus_zero = torch.where(x == 0, -0.0, x)
    assert seed_of_row(0, x) == seed_of_row(0, x.flatten()) == seed_of_row(0, minus_zero)
    changed = [(1, x, None), (0, x.flip(-1), None), (0, x, y), (0, x, y + 1), (0, x[..., :1], None)]
    assert len({seed_of_row(0, x), *(seed_of_row(*row) for row in changed)}) == 6


def test_a_subset_may_be_asked_for_in_loading() -> None:
    few, same = data.load("digits", subset=50), data.load("digits").subset(50)
    assert few.describe() == same.describe()
    assert len(few.train) == 50
    with pytest.raises(MixvaeError, match="1 to 1295 training examples, got n=0"):
        data.load("digits", subset=0)


def test_a_subset_is_the_first_training_images_and_nothing_else() -> None:
    dataset = data.from_arrays(grey(), np.arange(100) % 3)
    few = dataset.subset(7)
    assert torch.equal(few.train.x, dataset.train.x[:7])
    assert few.train.y is not None
    assert len(few.train.y) == 7
    assert few.val is dataset.val
    assert few.test is dataset.test


def test_a_description_survives_json() -> None:
    record = data.from_arrays(grey(100, 4, 5), np.arange(100) % 3, seed=3).describe()
    assert json.loads(json.dumps(record)) == record
    assert record["x_shape"] == [1, 4, 5]
    assert (record["n_train"], record["n_val"], record["n_test"]) == (72, 8, 20)
    assert (record["n_classes"], record["seed"]) == (3, 3)


def test_digits_come_without_a_download() -> None:
    dataset = data.load("digits")
    assert dataset.x_shape == (1, 8, 8)
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [1295, 143, 359]
    assert (all_rows(dataset) * 16 % 1 == 0).all()
    assert dataset.labels


def test_every_named_set_says_what_it_is() -> None:
    named = ["binarized-mnist", "cifar10", "cifar100", "digits", "fashion-mnist", "frey-faces"]
    named += ["mnist", "omniglot"]
    assert data.names() == named
    assert all(len(line) > 20 for line in data.descriptions().values())


def test_importing_the_data_imports_no_heavy_library() -> None:
    heavy = {"sklearn", "PIL", "scipy", "lightning", "matplotlib", "pandas", "polars", "pyarrow"}
    code = f"import sys, mixvae.data; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"

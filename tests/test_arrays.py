"""Arrays that would be misread: read right, or refused with what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mixvae import DeepMixture, MixvaeError, data


def grey(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape or (20, 6), dtype=np.float32)


def masked(*, hidden: bool) -> np.ma.MaskedArray:
    x = np.ma.masked_array(grey(), mask=False)
    if hidden:
        x[3, 2] = np.ma.masked
    return x


STRUCTURED = np.zeros(20, [("height", "f4"), ("width", "f4")])
OBJECTS = grey().astype(object)
TIMES = np.arange(40).reshape(20, 2)
READ_IN_VAIN: list[tuple[Callable[[], Any], str]] = [
    (lambda: grey(20, 8, 8, 4), r"last axis .* 4 channels; if they are RGB and alpha, drop alpha"),
    (lambda: grey(20, 8, 8, 2), r"if they are grey and alpha, drop alpha: x\[\.\.\., :1\]"),
    (lambda: grey(20, 9, 8, 5), r"5 channels; put channels first: x.transpose\(0, 3, 1, 2\)"),
    (lambda: masked(hidden=True), "missing values are for tables of real values"),
    (lambda: list(masked(hidden=True)), "missing values are for tables of real values"),
    (lambda: torch.tensor(grey()).to_sparse(), r"sparse or nested tensor .*x.to_dense\(\)"),
    (lambda: torch.nested.nested_tensor([torch.rand(2), torch.rand(2)]), "sparse or nested"),
    (lambda: torch.empty(20, 2, device="meta"), "device meta has no values"),
    (lambda: OBJECTS, r"dtype object; .*x.astype\(float\)"),
    (lambda: grey() + 1j, r"dtype complex64; .*np.abs\(x\)"),
    (lambda: torch.tensor(grey()) + 1j, r"dtype complex64"),
    (lambda: TIMES.astype("M8[D]"), r"dtype datetime64\[D\]; give numbers"),
    (lambda: TIMES.astype("m8[s]"), r"dtype timedelta64\[s\]; give numbers"),
    (lambda: STRUCTURED, "structured_to_unstructured"),
    (lambda: [["a", "b"]] * 20, "dtype <U1; give float values"),
    (lambda: [torch.rand(2, requires_grad=True)] * 20, "NumPy cannot read"),
    (lambda: (grey(20, 6, 6) * 65535).astype(np.uint16), "16-bit ones by 65535"),
]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(("make", "message"), READ_IN_VAIN)
def test_what_would_be_misread_is_refused_with_what_to_do(
    make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(MixvaeError, match=message) as refused:
        data.from_arrays(make())
    assert "\n" not in str(refused.value)
    x = make()
    if not (isinstance(x, np.ndarray) and x.dtype.kind in "Oc"):  # scikit-learn has its own words
        with pytest.raises(MixvaeError, match=message):
            DeepMixture(recipe="vae", max_epochs=1).fit(x)


def test_a_mask_that_hides_nothing_is_no_matter() -> None:
    x = masked(hidden=False)
    assert torch.equal(data.from_arrays(x, test=x).test.x, torch.tensor(grey()))


@pytest.mark.parametrize("shape", [(20, 2, 8, 8), (20, 4, 8, 8), (20, 16, 4, 4), (20, 3, 8, 4)])
def test_any_number_of_channels_may_come_first(shape: tuple[int, ...]) -> None:
    x = grey(*shape)
    assert torch.equal(data.from_arrays(x, test=x).test.x, torch.tensor(x))


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(20)[:, None],
        torch.arange(20)[:, None],
        [[i] for i in range(20)],
        np.arange(20).astype(np.float64),
        np.arange(20, dtype=np.uint64),
        np.ma.masked_array(np.arange(20), mask=False),
    ],
)
def test_labels_in_a_column_and_of_any_type_are_whole_numbers(labels: Any) -> None:
    x = np.linspace(0, 1, 20)[:, None]
    y = data.from_arrays(x, test=(x, labels)).test.y
    assert y is not None
    assert torch.equal(y, torch.arange(20))


def with_label(value: Any, dtype: Any) -> np.ndarray:
    y = np.zeros(20, dtype)
    y[4] = value
    return y


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (with_label(1e30, float), "class numbers from 0 on, below"),
        (with_label(2**63, float), "class numbers from 0 on, below"),
        (with_label(2**63, np.uint64), "class numbers from 0 on, below"),
        (with_label(-1, int), "class numbers from 0 on, .* got -1 to 0"),
        (with_label(np.nan, float), "whole numbers"),
        (with_label(0.5, float), "whole numbers"),
        (np.zeros((20, 2), int), r"shape \(20,\), got shape \(20, 2\)"),
        (np.zeros((1, 20), int), r"got shape \(1, 20\)"),
        (np.ma.masked_array(np.zeros(20, int), mask=[True] + [False] * 19), "whole numbers"),
        (np.zeros(20, complex), "complex128"),
        (np.zeros(20, "M8[D]"), "datetime64"),
        (csr_matrix(np.zeros((20, 1))), "sparse matrix"),
        (np.array(["cat", 3] * 10, object), "return_inverse"),
    ],
)
def test_labels_that_would_be_misread_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(MixvaeError, match=message):
        data.from_arrays(grey(), labels)


def test_the_largest_label_is_kept() -> None:
    x = grey()
    y = data.from_arrays(x, test=(x, with_label(2**63 - 1, np.int64))).test.y
    assert y is not None
    assert y.max() == 2**63 - 1

"""What the arrays of an .npz file may be called, and what happens to others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixvae import data
from mixvae.errors import MixvaeError

# the images that are made here have few and dark levels
pytestmark = pytest.mark.filterwarnings("ignore:.*integers were divided by")


def rows(n: int, value: float) -> np.ndarray:
    return np.full((n, 3), value)


def load(folder: Path, **arrays: Any) -> data.Dataset:
    np.savez(folder / "set.npz", **arrays)
    return data.load(folder / "set.npz")


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y", "X_test", "Y_test"),
        ("X", "Y", "test_x", "test_y"),
        ("X", "label", "test", "test_label"),
        ("X_train", "Y_train", "x_test", "y_test"),
        ("xTrain", "yTrain", "xTest", "yTest"),
        ("x_trn", "y_trn", "x_tst", "y_tst"),
        ("x_tr", "y_tr", "x_te", "y_te"),
        ("train", "target", "Test", "test_targets"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images_train", "labels-train", "images test", "labels.test"),
        ("training_data", "training_target", "testing_data", "testing_target"),
        ("image", "labels", "img_test", "LABELS_TEST"),
    ],
)
def test_common_spellings_are_understood(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = rows(10, 0.25), np.arange(10), rows(4, 0.75), np.arange(4)
    dataset = load(tmp_path, **dict(zip(names, arrays, strict=True)))
    assert [len(dataset.train), len(dataset.test)] == [9, 4]
    assert (dataset.train.x == 0.25).all()
    assert (dataset.test.x == 0.75).all()
    assert dataset.test.y is not None
    assert dataset.test.y.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("val", "val_y"),
        ("X_valid", "y_valid"),
        ("dev_images", "dev_labels"),
        ("Validation", "Y_VAL"),
    ],
)
def test_validation_data_have_their_spellings_too(tmp_path: Path, x: str, y: str) -> None:
    dataset = load(tmp_path, x=rows(10, 0.25), y=np.zeros(10), **{x: rows(3, 0.5), y: np.arange(3)})
    assert len(dataset.val) == 3
    assert dataset.val.y is not None
    assert dataset.val.y.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["pictures", "z", "test_mask", "labels2", "x_extra", "arr_0"])
def test_an_array_of_another_name_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(MixvaeError, match=f"expected an array named x or .*, got {name}; rename"):
        load(tmp_path, x=rows(10, 0.25), **{name: rows(10, 0.5)})


def test_all_arrays_of_other_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(MixvaeError, match="got names, extra; rename or remove"):
        load(tmp_path, names=np.zeros(3), x=rows(10, 0.25), extra=rows(10, 0.5))


def test_a_file_without_training_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MixvaeError, match=r"expected an array named x or .* got X_test, labels"):
        load(tmp_path, X_test=rows(10, 0.25), labels=np.zeros(10))


@pytest.mark.parametrize(
    ("one", "other"),
    [("x", "X"), ("x", "X_train"), ("x", "train"), ("x", "data")],
)
def test_two_names_for_the_training_images_are_refused(
    tmp_path: Path, one: str, other: str
) -> None:
    with pytest.raises(MixvaeError, match=f"{one} and {other} mean the same thing"):
        load(tmp_path, **{one: rows(10, 0.25), other: rows(10, 0.5)})


@pytest.mark.parametrize(
    ("one", "other"),
    [("y", "Y"), ("label", "labels"), ("test", "x_test"), ("val", "dev"), ("y_test", "test_y")],
)
def test_two_names_for_the_same_array_are_refused(tmp_path: Path, one: str, other: str) -> None:
    with pytest.raises(MixvaeError, match=f"{one} and {other} mean the same thing"):
        load(tmp_path, x=rows(10, 0.25), **{one: rows(10, 0.5), other: rows(10, 0.5)})


def test_labels_in_a_column_are_labels(tmp_path: Path) -> None:
    labels = np.arange(10)
    column = labels[:, None].astype(np.uint8)
    read = load(tmp_path, x=rows(10, 0.25), y=column, x_test=rows(10, 0.5), y_test=column)
    given = [
        data.from_arrays(rows(10, 0.25), y, test=(rows(10, 0.5), y))
        for y in (column, torch.from_numpy(column), column.tolist())
    ]
    for dataset in (read, *given):
        assert dataset.test.y is not None
        assert dataset.train.y is not None
        assert dataset.test.y.tolist() == labels.tolist()
        assert dataset.train.y.ndim == 1


def test_labels_in_several_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MixvaeError, match=r"one label for each .* got shape \(10, 2\)"):
        load(tmp_path, x=rows(10, 0.25), y=np.zeros((10, 2)))

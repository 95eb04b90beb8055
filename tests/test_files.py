"""Files are whole or not there."""

import os
import resource

import numpy as np
import pytest
import torch

from mixvae.storage.files import whole, write_array, write_checkpoint, write_text
from mixvae.storage.weights import write_weights
from mixvae.training.checkpoints import save


def test_text_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "log.csv"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "log.csv"
    write_text(path, "old")

    def fail():
        with whole(path) as partial:
            partial.write_text("ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoints_come_back_and_make_their_folder(tmp_path):
    (tmp_path / "recipe.json").touch()  # without it there is no run to save for
    path = tmp_path / "checkpoints" / "last.ckpt"
    save(path, {"weight": torch.arange(3)})
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.arange(3))


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path):
    (tmp_path / "recipe.json").touch()
    path = tmp_path / "checkpoints" / "last.ckpt"
    save(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save(path, {"epoch": 2, "generator": (i for i in range(3))})
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def full_disk():
    """No file may grow beyond 20 kB: the operating system refuses as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(
    "write",
    [
        lambda path, x: write_checkpoint(path, {"x": x}),
        lambda path, x: write_weights({"x": x}, {}, path),
        lambda path, x: write_array(path, x.numpy()),
    ],
)
def test_a_full_disk_is_an_oserror_that_names_the_file_and_leaves_the_old_one(tmp_path, write):
    path = tmp_path / "file"
    write(path, torch.zeros(3))
    before = path.read_bytes()
    with pytest.raises(OSError, match="too large") as error:
        write(path, torch.zeros(10_000))
    assert error.value.filename == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_weights({"x": torch.zeros(3)}, {}, tmp_path / "weights")
        write_array(tmp_path / "array", np.zeros(3))
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o640"}

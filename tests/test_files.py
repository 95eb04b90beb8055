"""Files are whole or not there."""

import pytest
import torch

from mixvae.files import whole, write_text
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
    path = tmp_path / "checkpoints" / "last.ckpt"
    save(path, {"weight": torch.arange(3)})
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.arange(3))


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path):
    path = tmp_path / "last.ckpt"
    save(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save(path, {"epoch": 2, "generator": (i for i in range(3))})
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]

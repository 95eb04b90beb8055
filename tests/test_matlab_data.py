"""Omniglot and Frey Faces, out of small MATLAB files."""

import gzip
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from mixvae import data
from mixvae.data.formats.matlab import read_matlab
from mixvae.data.sets import frey_faces, omniglot
from mixvae.errors import MixvaeError


def write_omniglot(folder: Path, n: int = 30, n_test: int = 6, **changes: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "data": rng.random((784, n)),
        "target": np.eye(50)[:, np.arange(n) % 50],
        "testdata": rng.random((784, n_test)),
        "testtarget": np.eye(50)[:, np.arange(n_test)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "chardata.mat", arrays | changes)
    return folder / "chardata.mat"


def write_frey(folder: Path, n: int = 20) -> np.ndarray:
    faces = np.random.default_rng(0).integers(0, 256, (560, n), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "frey_rawface.mat", {"ff": faces})
    return faces


@pytest.mark.parametrize("folder", ["omniglot", "."])
def test_omniglot_has_images_column_after_column_and_alphabets(tmp_path: Path, folder: str):
    pixels = np.zeros((784, 30))
    pixels[28 * 3 + 5] = 1  # fourth column, sixth row
    write_omniglot(tmp_path / folder, data=pixels)
    parts = omniglot.read(tmp_path)
    assert parts.train.x.shape == (30, 1, 28, 28)
    assert parts.test.x.shape == (6, 1, 28, 28)
    assert (parts.train.x.nonzero()[:, 2:] == parts.train.x.new_tensor([5, 3])).all()
    assert parts.train.y.tolist() == list(range(30))
    assert parts.test.y.tolist() == list(range(6))


def test_frey_faces_are_levels_and_their_test_images_always_the_same(tmp_path: Path):
    faces = write_frey(tmp_path / "frey_faces")
    parts = frey_faces.read(tmp_path)
    assert (len(parts.train), len(parts.test)) == (10, 10)
    assert parts.train.x.shape[1:] == (1, 28, 20)
    read = np.concatenate([parts.test.x.numpy(), parts.train.x.numpy()]) * 255
    assert np.abs(read - read.round()).max() < 1e-4
    rows = read.round().astype(np.uint8).reshape(20, 560)
    assert {row.tobytes() for row in rows} == {face.tobytes() for face in faces.T}
    assert (frey_faces.read(tmp_path).test.x == parts.test.x).all()


def test_200_faces_are_held_out_where_there_are_enough(tmp_path: Path):
    write_frey(tmp_path, n=500)
    set_ = data.load("frey-faces", data_dir=tmp_path, n_val=200)
    assert (len(set_.train), len(set_.val), len(set_.test)) == (100, 200, 200)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def cut_early(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])  # within the header


def empty(path: Path) -> None:
    path.write_bytes(b"")


def hdf5(path: Path) -> None:
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(1000))


def text(path: Path) -> None:
    path.write_text("<html>not found</html>" * 20)


two_hot = np.ones((50, 30))
halves = np.concatenate([np.full((2, 30), 0.5), np.zeros((48, 30))])  # columns sum to 1
cells = np.full((784, 30), "a", dtype=object)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "cut short or damaged"),
        (empty, "cut short or damaged"),
        (cut_early, "cut short or damaged"),
        (text, "cut short or damaged"),
        (hdf5, r"version 7\.3 \(HDF5\); save it again with save\('-v7'\)"),
        (
            lambda path: write_omniglot(path.parent, data=np.zeros((100, 3))),
            r"of shape \(784, N\), got \(100, 3\)",
        ),
        (lambda path: savemat(path, {"x": np.zeros(3)}), "got none"),
        (lambda path: write_omniglot(path.parent, data=csc_matrix((784, 30))), "a sparse matrix"),
        (lambda path: write_omniglot(path.parent, data=cells), r"\(784, 30\) \(object\)"),
        (lambda path: write_omniglot(path.parent, data=np.full((784, 30), 1j)), "complex128"),
        (lambda path: write_omniglot(path.parent, data=np.zeros((784, 30, 2))), r"\(784, 30, 2\)"),
        (lambda path: write_omniglot(path.parent, target=two_hot), "not all one-hot"),
        (lambda path: write_omniglot(path.parent, target=halves), "not all one-hot"),
        (
            lambda path: write_omniglot(path.parent, target=np.eye(50)),
            "one alphabet for each of 30",
        ),
        (lambda path: write_omniglot(path.parent, data=np.full((784, 30), 2.0)), "data"),
        (lambda path: write_omniglot(path.parent, data=np.full((784, 30), np.nan)), "data"),
        (lambda path: write_omniglot(path.parent, data=np.full((784, 30), 1e300)), "infinite"),
    ],
)
def test_a_file_that_is_another_is_refused(tmp_path: Path, spoil, said: str):
    path = write_omniglot(tmp_path)
    spoil(path)
    with pytest.raises(MixvaeError, match=said):
        omniglot.read(tmp_path)


def test_a_compressed_file_is_read_too(tmp_path: Path):
    path = write_omniglot(tmp_path)
    plain = omniglot.read(tmp_path)
    path.with_name("chardata.mat.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert (omniglot.read(tmp_path).train.x == plain.train.x).all()


@pytest.mark.parametrize("read", [omniglot.read, frey_faces.read])
def test_where_to_put_a_file_that_cannot_be_had_is_told(tmp_path: Path, read, monkeypatch):
    def refuse(*args: object, **how: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("mixvae.data.download.urlopen", refuse)
    with pytest.raises(MixvaeError, match=r"(?s)no network.*\.mat  from https"):
        read(tmp_path)


def test_what_scipy_writes_is_read_whatever_its_type_compressed_or_not(tmp_path: Path):
    for kind in ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"]:
        for compressed in (False, True):
            x = np.random.default_rng(0).integers(0, 2, (3, 5)).astype(kind)
            arrays = {"other": np.zeros((100, 100)), "x": x, "text": "abc", "s": {"a": 1}}
            savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
            found = read_matlab(tmp_path / "a.mat", {"x": (3, None)})["x"]
            assert (found == x).all()
            assert found.dtype == loadmat(tmp_path / "a.mat")["x"].dtype


def test_a_compressed_array_is_unpacked_no_further_than_its_header_says(tmp_path: Path):
    savemat(tmp_path / "a.mat", {"x": np.zeros((1000, 1000))}, do_compression=True)
    content = (tmp_path / "a.mat").read_bytes()
    whole = zlib.decompress(content[136:])
    short = whole[:4] + (len(whole) - 8 - 80_000).to_bytes(4, "little") + whole[8:]
    packed = zlib.compress(short)
    (tmp_path / "a.mat").write_bytes(content[:132] + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(MixvaeError, match="is promised, and others follow"):
        read_matlab(tmp_path / "a.mat", {"x": (None, None)})


@pytest.mark.parametrize("compressed", [False, True])
def test_no_altered_byte_ends_in_anything_but_an_error_or_numbers(tmp_path: Path, compressed: bool):
    """SciPy's reader ends the process at some of them."""
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    savemat(path, {"x": np.eye(3), "y": np.eye(2)}, do_compression=compressed)
    whole = path.read_bytes()
    for _ in range(200):
        content = bytearray(whole)
        content[rng.integers(100, len(whole))] ^= rng.integers(1, 256)
        path.write_bytes(content)
        with suppress(MixvaeError):
            assert read_matlab(path, {"x": (3, 3)})["x"].shape == (3, 3)

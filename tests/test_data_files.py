"""Data in files: IDX, amat, npz, pictures, and the download of what is missing."""

import builtins
import gzip
import hashlib
import io
import lzma
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from mixvae import data
from mixvae.data import download
from mixvae.data.download import Remote
from mixvae.data.formats import idx, image_folder
from mixvae.data.sets.binarized_mnist import read_amat
from mixvae.errors import MixvaeError

RNG = np.random.default_rng(0)
SQUEEZE: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", refuse)
    monkeypatch.delenv("MIXVAE_DATA", raising=False)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write_idx_set(folder: Path, suffix: str = ".gz", n: int = 30) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, size in (("train", n), ("t10k", 5)):
        arrays[f"{part}-images-idx3-ubyte"] = RNG.integers(0, 256, (size, 28, 28), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = RNG.integers(0, 10, size).astype(np.uint8)
    for name, array in arrays.items():
        (folder / (name + suffix)).write_bytes(SQUEEZE[suffix](idx_bytes(array)))
    return arrays


@pytest.mark.parametrize("suffix", SQUEEZE)
@pytest.mark.parametrize("inside", ["", "mnist", "MNIST/raw"])
def test_mnist_is_found_plain_or_compressed_in_the_usual_folders(
    tmp_path: Path, suffix: str, inside: str
) -> None:
    arrays = write_idx_set(tmp_path / inside, suffix)
    dataset = data.load("mnist", data_dir=tmp_path)
    x = torch.from_numpy(arrays["t10k-images-idx3-ubyte"])[:, None] / 255
    assert torch.equal(dataset.test.x, x)
    assert dataset.test.y is not None
    assert dataset.test.y.tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()
    assert [len(dataset.train), len(dataset.val)] == [27, 3]


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(tmp_path / "FashionMNIST" / "raw")
    monkeypatch.setenv("MIXVAE_DATA", str(tmp_path))
    assert data.load("fashion-mnist").x_shape == (1, 28, 28)


def test_one_sets_files_are_not_taken_for_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = write_idx_set(tmp_path)["t10k-labels-idx1-ubyte"]
    digest = hashlib.md5(labels.tobytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(idx._TEST_LABELS, "mnist", digest)
    assert data.load("mnist", data_dir=tmp_path).labels
    with pytest.raises(MixvaeError, match=r"are mnist's, not fashion-mnist's"):
        data.load("fashion-mnist", data_dir=tmp_path)


IMAGES = np.zeros((4, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.gz",
            gzip.compress(idx_bytes(IMAGES), mtime=0)[:-9],
            r"a\.gz: expected a whole \.gz file",
        ),
        ("a.gz", b"<html>not found</html>", r"a\.gz: expected a whole \.gz file"),
        ("a.xz", lzma.compress(idx_bytes(IMAGES))[:-9], r"a\.xz: expected a whole \.xz file"),
        ("a", idx_bytes(IMAGES)[:-1], r"promises 16 bytes for shape \(4, 2, 2\), but 15 follow"),
        ("a", idx_bytes(IMAGES) + b"\0", "but 17 follow"),
        ("a", struct.pack(">4I", 2051, *[2**32 - 1] * 3), "but 0 follow"),
        ("a", idx_bytes(IMAGES[:, 0, 0]), "expected an IDX file with magic number 2051.* got 2049"),
        ("a", b"\0\0\x08\x03", "header of 16 bytes"),
        ("a", b"", "in a file of 0 bytes"),
    ],
    ids=lambda value: f"{len(value)}-bytes" if isinstance(value, bytes) else None,
)
def test_a_damaged_idx_file_is_named_with_what_was_expected(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MixvaeError, match=message):
        idx.read_idx(tmp_path / name, idx.IMAGES)


def test_images_and_labels_must_agree_in_number(tmp_path: Path) -> None:
    write_idx_set(tmp_path, "")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(29, np.uint8)))
    with pytest.raises(MixvaeError, match=r"train-images.*one label for each of the 30 examples"):
        data.load("mnist", data_dir=tmp_path)


def amat(bits: np.ndarray, end: str = "\n") -> bytes:
    return "".join(" ".join(map(str, row)) + end for row in bits).encode()


@pytest.mark.parametrize("suffix", SQUEEZE)
@pytest.mark.parametrize("inside", ["", "binarized_mnist"])
def test_binarized_mnist_keeps_its_own_splits(tmp_path: Path, suffix: str, inside: str) -> None:
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    bits = {
        part: RNG.integers(0, 2, (n, 784))
        for part, n in zip(("train", "valid", "test"), (6, 3, 2), strict=True)
    }
    for part, rows in bits.items():
        (folder / f"binarized_mnist_{part}.amat{suffix}").write_bytes(SQUEEZE[suffix](amat(rows)))
    dataset = data.load("binarized-mnist", data_dir=tmp_path)
    assert dataset.x_shape == (1, 28, 28)
    assert dataset.is_binary
    assert not dataset.labels
    assert len(dataset.train) == 6
    for split, part in ((dataset.val, "valid"), (dataset.test, "test")):
        assert torch.equal(split.x.flatten(1), torch.from_numpy(bits[part]).float())
    with pytest.raises(MixvaeError, match="its own validation split of 3"):
        data.load("binarized-mnist", data_dir=tmp_path, n_val=2)


def test_an_amat_file_may_end_its_lines_in_either_way(tmp_path: Path) -> None:
    bits, path = RNG.integers(0, 2, (3, 784)), tmp_path / "a.amat"
    for text in (amat(bits), amat(bits, "\r\n"), amat(bits).rstrip()):
        path.write_bytes(text)
        assert (read_amat(path) == bits).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (amat(np.eye(3, 783, dtype=int)), "lines of 784 digits.* got 783 in the first"),
        (amat(np.eye(3, 784, dtype=int))[:-700], "may be cut short"),
        (amat(np.eye(3, 784, dtype=int)).replace(b"1", b"2"), r"got b'2 ' in line 1, column 1\."),
        (
            amat(np.eye(3, 784, dtype=int))[::-1].replace(b" 1", b",1", 1)[::-1],
            "in line 3, column 3",
        ),
        (b"", "got 0 in the first line"),
    ],
)
def test_a_damaged_amat_file_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.amat").write_bytes(text)
    with pytest.raises(MixvaeError, match=message):
        read_amat(tmp_path / "a.amat")


def test_without_a_network_the_error_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(MixvaeError) as caught:
        data.load("mnist", data_dir=tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path), "MNIST/raw", "no route to host", "MIXVAE_DATA", "data_dir"):
        assert part in message
    for name in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        assert f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}" in message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_a_folder_the_users_cache_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.data_home() == tmp_path / "mixvae"
    assert download.data_home("elsewhere") == Path("elsewhere")


class Response(io.BytesIO):
    """What urlopen returns, as far as it is used."""

    headers = Message()


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(download, "urlopen", lambda *_, **__: Response(content))


def remote(content: bytes) -> Remote:
    digest = hashlib.sha256(content).hexdigest()
    return Remote("file.gz", "https://example.org/file.gz", "sha256", digest)


def test_a_download_with_the_right_checksum_appears_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, b"content")
    found = download.locate("set", [remote(b"content")], tmp_path, ["raw"])
    assert found == {"file": tmp_path / "raw" / "file.gz"}
    assert found["file"].read_bytes() == b"content"
    assert list((tmp_path / "raw").iterdir()) == [found["file"]]


def test_a_download_with_another_checksum_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, b"conte")
    with pytest.raises(MixvaeError, match=r"expected sha256 .* got .* not kept"):
        download.fetch(remote(b"content"), tmp_path / "file.gz")
    assert not list(tmp_path.iterdir())


def test_npz_files_are_read_under_their_usual_names(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (20, 4, 4, 3), np.uint8)
    y, path = np.arange(20) % 2, tmp_path / "set.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:5], y_test=y[:5], x_val=x[:3], y_val=y[:3])
    full = data.load(path)
    assert [len(full.train), len(full.val), len(full.test)] == [20, 3, 5]
    assert full.labels
    assert full.name == "set.npz"
    np.savez(path, images=x, labels=y)
    held = data.load(path, n_val=2)
    assert [len(held.train), len(held.val), len(held.test)] == [14, 2, 4]
    assert held.x_shape == (3, 4, 4)


def test_an_npy_file_is_images_without_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(10, dtype=np.float32))
    dataset = data.load(str(tmp_path / "x.npy"))
    assert dataset.x_shape == (10,)
    assert not dataset.labels


def save(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: save(p, x=np.array([{}, {}])), "Python objects are not loaded"),
        (lambda p: save(p, pictures=np.eye(5)), "named x or .* got pictures"),
        (lambda p: save(p, x=np.eye(5), images=np.eye(5)), "x and images mean the same"),
        (lambda p: save(p, x=np.eye(5), y_test=np.zeros(5)), "y_test without images x_test"),
        (lambda p: save(p, x=np.ones((5, 2, 2)) * 9), r"set\.npz, train: values must lie in \[0"),
        (lambda p: p.write_bytes(b"PK\x03\x04 not a zip"), "expected a .npy or .npz"),
        (lambda p: p.write_bytes(b"rubbish"), "expected a .npy or .npz"),
        (lambda p: p.write_bytes(b""), "expected a .npy or .npz"),
        (lambda p: None, "no such file or folder"),
    ],
)
def test_an_npz_file_that_cannot_be_used_is_refused(
    tmp_path: Path, write: Callable[[Path], Any], message: str
) -> None:
    write(tmp_path / "set.npz")
    with pytest.raises(MixvaeError, match=message):
        data.load(tmp_path / "set.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text("0,1")
    with pytest.raises(MixvaeError, match=r"folder of images, a \.npy or \.npz file, or a table"):
        data.load(tmp_path / "set.txt")


def picture(path: Path, level: int = 0, mode: str = "L", size: tuple[int, int] = (6, 4)) -> None:
    """Save a plain picture of ``size`` (width, height)."""
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new(mode, size, level if mode != "RGB" else (level, 0, 0)).save(path)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "jpg", "PNG"])
def test_grey_pictures_side_by_side_have_one_channel_and_no_labels(
    tmp_path: Path, suffix: str
) -> None:
    for i in range(10):
        picture(tmp_path / f"{i}.{suffix}", level=20 * i)
    (tmp_path / "readme.txt").write_text("not a picture")
    dataset = data.load(tmp_path)
    assert dataset.x_shape == (1, 4, 6)
    assert not dataset.labels
    levels = torch.cat([s.x for s in (dataset.train, dataset.val, dataset.test)])[:, 0, 0, 0]
    assert levels.mul(255).round().sort().values.tolist() == [20 * i for i in range(10)]


def test_subfolders_are_classes_and_one_colour_picture_makes_all_three_channels(
    tmp_path: Path,
) -> None:
    for i in range(10):
        picture(tmp_path / "cat" / f"{i}.png", level=51)
        picture(tmp_path / "dog" / f"{i}.png", level=255, mode="RGB")
    dataset = data.load(tmp_path)
    assert dataset.x_shape == (3, 4, 6)
    for split in (dataset.train, dataset.val, dataset.test):
        assert split.y is not None
        colours = torch.tensor([[0.2, 0.2, 0.2], [1, 0, 0]])
        assert torch.equal(split.x[:, :, 0, 0], colours[split.y])


RED, GREEN, BLUE, HIDDEN, GREY = (
    (255, 0, 0, 255),
    (0, 255, 0, 255),
    (0, 0, 255, 255),
    (9, 0, 0, 0),
    (51, 51, 51, 255),
)


def pixels(path: Path, colours: list[list[tuple[int, ...]]], mode: str, **options: Any) -> None:
    """Save a picture of these lines of (red, green, blue, opaque), as ``mode`` has them."""
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(np.array(colours, np.uint8)).convert(mode).save(path, **options)


def first(folder: Path, image_size: tuple[int, int] | None = None) -> torch.Tensor:
    """The one image of a folder, (C, H, W)."""
    return image_folder.read(folder, image_size).train.x[0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("suffix", ["png", "bmp", "gif"])
def test_colours_are_kept_whatever_way_a_picture_holds_them(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    pixels(tmp_path / f"0.{suffix}", [[RED, GREEN, BLUE], [GREY, BLUE, RED]], mode)
    lines = [[RED, GREEN, BLUE], [GREY, BLUE, RED]]
    assert torch.equal(first(tmp_path), torch.tensor(lines)[..., :3].permute(2, 0, 1) / 255)


def test_colour_images_lie_in_memory_channels_first(tmp_path: Path) -> None:
    for i in range(3):
        pixels(tmp_path / f"{i}.png", [[RED, GREEN], [BLUE, GREY]], "RGB")
    x = image_folder.read(tmp_path).train.x
    assert x.shape == (3, 3, 2, 2)
    assert x.is_contiguous()


def test_a_palette_of_greys_is_grey(tmp_path: Path) -> None:
    pixels(tmp_path / "0.png", [[GREY, GREY], [GREY, GREY]], "P")
    assert torch.equal(first(tmp_path), torch.full((1, 2, 2), 0.2))


@pytest.mark.parametrize(
    ("mode", "n_channels", "options"),
    [
        ("RGBA", 3, {}),
        ("LA", 1, {}),
        ("RGB", 3, {"transparency": (9, 0, 0)}),
        ("L", 1, {"transparency": 3}),  # the grey that HIDDEN's red becomes
        ("P", 3, {"transparency": bytes([0] + [255] * 255)}),
    ],
)
def test_what_is_transparent_is_white(
    tmp_path: Path, mode: str, n_channels: int, options: dict[str, Any]
) -> None:
    opaque = GREY if n_channels == 1 else RED
    pixels(tmp_path / "0.png", [[HIDDEN, opaque]], mode, **options)
    image = first(tmp_path)
    assert image.shape == (n_channels, 1, 2)
    assert image[:, 0, 0].tolist() == [1] * n_channels
    assert torch.equal(image[:, 0, 1], torch.tensor(opaque[:n_channels]) / 255)


def test_half_transparent_is_half_way_to_white(tmp_path: Path) -> None:
    pixels(tmp_path / "0.png", [[(255, 0, 0, 51)]], "RGBA")
    assert torch.allclose(first(tmp_path).flatten(), torch.tensor([1, 0.8, 0.8]))


def test_resizing_averages_each_colour_and_takes_height_then_width(tmp_path: Path) -> None:
    pixels(tmp_path / "0.png", [[RED, BLUE, GREEN, GREEN], [RED, BLUE, GREEN, RED]], "RGB")
    half = torch.tensor([[0.5, 0.25], [0, 0.75], [0.5, 0]])
    assert torch.allclose(first(tmp_path, (1, 2))[:, 0], half, atol=1 / 255)
    for size in ((0, 2), (2, -1)):
        with pytest.raises(MixvaeError, match="at least 1 pixel"):
            data.load(tmp_path, image_size=size)


def test_grey_and_colour_and_transparent_pictures_are_made_alike_in_all_splits(
    tmp_path: Path,
) -> None:
    pixels(tmp_path / "train" / "a" / "0.png", [[GREY, GREY]], "L")
    pixels(tmp_path / "train" / "b" / "1.gif", [[RED, GREY]], "P")
    pixels(tmp_path / "val" / "a" / "2.png", [[HIDDEN, GREY]], "LA")
    pixels(tmp_path / "test" / "b" / "3.png", [[HIDDEN, BLUE]], "RGBA")
    parts = image_folder.read(tmp_path)
    assert parts.val is not None
    assert parts.test is not None
    grey, white = [0.2] * 3, [1.0] * 3
    expected = [[grey, grey], [[1, 0, 0], grey]], [[white, grey]], [[white, [0, 0, 1]]]
    for split, colours in zip((parts.train, parts.val, parts.test), expected, strict=True):
        assert torch.allclose(split.x[:, :, 0].transpose(1, 2), torch.tensor(colours))
    assert parts.test.y is not None
    assert parts.test.y.tolist() == [1]


def test_train_val_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for part, n in (("train", 5), ("val", 2), ("test", 3)):
        for i in range(n):
            picture(tmp_path / part / "b" / f"{i}.png")
    picture(tmp_path / "train" / "a" / "0.png")
    dataset = data.load(tmp_path)
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [6, 2, 3]
    assert dataset.test.y is not None
    assert dataset.test.y.tolist() == [1, 1, 1]  # numbered as in all splits together


def test_pictures_of_different_sizes_are_refused_or_resized(tmp_path: Path) -> None:
    for i in range(9):
        picture(tmp_path / f"{i}.png", level=255)
    picture(tmp_path / "9.png", size=(5, 3), level=255)
    with pytest.raises(MixvaeError, match=r"0\.png has 4 by 6 .*9\.png 3 by 5.* image_size"):
        data.load(tmp_path)
    dataset = data.load(tmp_path, image_size=(2, 3))
    assert dataset.x_shape == (1, 2, 3)
    assert (dataset.train.x == 1).all()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MixvaeError, match="found none"):
        data.load(tmp_path)
    picture(tmp_path / "a" / "0.png")
    picture(tmp_path / "1.png")
    with pytest.raises(MixvaeError, match=r"1\.png is outside"):
        data.load(tmp_path)
    (tmp_path / "1.png").write_bytes(b"not a picture")
    with pytest.raises(MixvaeError, match=r"outside|cannot be read"):
        data.load(tmp_path)


@pytest.mark.parametrize("content", [b"not a picture", b"\x89PNG\r\n\x1a\n", b""])
def test_a_damaged_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.png").write_bytes(content)
    with pytest.raises(MixvaeError, match=r"0\.png: cannot be read as an image"):
        data.load(tmp_path)


def test_pictures_of_16_bits_are_refused_and_not_clipped(tmp_path: Path) -> None:
    picture(tmp_path / "0.png", level=1000, mode="I;16")
    for size in (None, (2, 2)):
        with pytest.raises(MixvaeError, match="8 bits a channel"):
            data.load(tmp_path, image_size=size)


def test_without_pillow_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0.png").touch()
    whole = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "PIL":
            raise ImportError(name)
        return whole(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MixvaeError, match=r"pip install 'mixvae\[data\]'"):
        data.load(tmp_path)


# -- bombs


def test_a_compressed_file_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_bytes(IMAGES))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(MixvaeError, match=r"promises 16 bytes .* but 48 follow at the least"):
        idx.read_idx(path, idx.IMAGES)
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


def test_text_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixvae.data.formats.compressed.MAX_BYTES", 1 << 20)
    (tmp_path / "a.amat.gz").write_bytes(gzip.compress(bytes(1 << 21)))
    with pytest.raises(MixvaeError, match="unpacks to more than 1,048,576 bytes"):
        read_amat(tmp_path / "a.amat.gz")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_an_array_of_another_size_than_its_header_says_is_refused(
    tmp_path: Path, suffix: str
) -> None:
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6, 3)}
    np.lib.format.write_array_header_1_0(file, header)
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        path.write_bytes(file.getvalue() + bytes(100))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", file.getvalue() + bytes(100))
    with pytest.raises(MixvaeError, match="12,000,000,000,000 bytes is promised, and 100 follow"):
        data.load(path)


def test_arrays_that_are_larger_than_memory_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixvae.data.formats.numpy_file.MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((20, 1 << 16), np.uint8))
    with pytest.raises(MixvaeError, match="its arrays are larger than 1,048,576 bytes"):
        data.load(tmp_path / "x.npz")


@pytest.mark.parametrize("by_columns", [False, True])
def test_arrays_of_either_order_and_byte_order_are_read(tmp_path: Path, by_columns: bool) -> None:
    x = RNG.random((20, 3, 4)).astype(">f4")
    np.save(tmp_path / "x.npy", np.asfortranarray(x) if by_columns else x)
    rows = torch.cat([s.x for s in vars(data.load(tmp_path / "x.npy")).values() if hasattr(s, "x")])
    found = {row.numpy().tobytes() for row in rows}
    assert found == {row[None].astype("<f4").tobytes() for row in x}


def test_a_folder_of_other_things_is_not_searched_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MixvaeError, match="holds all files there are"):
        data.load("/")
    monkeypatch.setattr("mixvae.data.formats.image_search.MAX_OTHERS", 30)
    for i in range(31):
        (tmp_path / f"{i}.txt").touch()
    with pytest.raises(MixvaeError, match="30 files and folders in it are none"):
        data.load(tmp_path)

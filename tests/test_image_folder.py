"""Folders of images: which files are read, as which split and class, and which way up."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixvae import data
from mixvae.cli import main
from mixvae.errors import MixvaeError

# the images that are made here have few and dark levels
pytestmark = pytest.mark.filterwarnings("ignore:.*integers were divided by")

Image = pytest.importorskip("PIL.Image")
N = {"train": 5, "val": 2, "test": 3}


def save(path: Path, level: int = 0) -> Path:
    """A grey picture, 6 pixels wide and 4 high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4), level).save(path)
    return path


def fill(folder: Path, n: int, level: int = 0) -> None:
    for i in range(n):
        save(folder / f"{i}.png", level)


def levels(split: data.Split) -> set[int]:
    return {round(v * 255) for v in split.x.flatten().tolist()}


def sizes(dataset: data.Dataset) -> list[int]:
    return [len(dataset.train), len(dataset.val), len(dataset.test)]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Train", "Val", "Test"),
        ("TRAIN", "VALID", "TEST"),
        ("training", "validation", "testing"),
        ("Training", "dev", "test"),
        ("training_set", "dev-set", "test set"),
        ("train_images", "valImages", "TestData"),
        ("trn", "val", "tst"),
        ("tr", "va", "te"),
        ("set/train", "set/val", "set/test"),
        ("a/b c/Train", "a/b c/Valid", "a/b c/Testing"),
        ("train/train", "val", "test/Test"),
        ("training_set/training_set", "val", "test_set/test_set"),
    ],
)
def test_folders_named_for_splits_are_the_splits_however_spelled_and_however_deep(
    tmp_path: Path, names: tuple[str, str, str]
) -> None:
    for level, name, n in zip((10, 20, 30), names, N.values(), strict=True):
        fill(tmp_path / name / "cat", n, level)
        fill(tmp_path / name / "dog", 1, level)
    dataset = data.load(tmp_path)
    assert sizes(dataset) == [6, 3, 4]
    assert [levels(s) for s in (dataset.train, dataset.val, dataset.test)] == [{10}, {20}, {30}]
    assert dataset.n_classes == 2


def test_train_and_test_leave_validation_to_be_held_out_of_train(tmp_path: Path) -> None:
    fill(tmp_path / "Training", 20, 10)
    fill(tmp_path / "Testing", 4, 30)
    dataset = data.load(tmp_path)
    assert sizes(dataset) == [18, 2, 4]
    assert levels(dataset.val) == {10}


def test_train_alone_is_split_in_three(tmp_path: Path) -> None:
    fill(tmp_path / "TRAIN" / "cat", 20)
    assert sizes(data.load(tmp_path)) == [15, 1, 4]


def test_classes_may_lie_one_folder_deeper(tmp_path: Path) -> None:
    fill(tmp_path / "set" / "cat", 10, 10)
    fill(tmp_path / "set" / "dog", 10, 20)
    dataset = data.load(tmp_path)
    assert dataset.n_classes == 2


def test_one_class_folder_alone_is_a_class(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 10)
    assert data.load(tmp_path).n_classes == 1


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["val", "test"], "found test, val, but no train"),
        (["test"], "found test, but no train"),
        (["Validation/a"], "found Validation, but no train"),
        (["train", "cat", "dog"], "train would be splits, but cat, dog beside not.*train/train/IM"),
        (["test", "cat", "dog"], "test would be splits, but cat, dog"),
        (["tr", "te", "de"], "te, tr would be splits, but de beside not"),
        (["train", "test", "0.png"], r"train would be splits, but 0\.png beside"),
        (["train", "Training"], "Training, train are both the train split"),
        (["train", "val", "dev"], "dev, val are both the val split"),
        (["set/train", "set/Test", "set/testing"], "are both the test split"),
        (["cat/train", "cat/test", "dog/train"], "a split would be inside another folder"),
        (["cat/train", "dog"], "a split would be inside another folder"),
        (["seg_train/a", "seg_test/a"], "may be splits or classes"),
        (["train2017", "val2017"], "may be splits or classes"),
        (["train/train", "train/test"], "the train split has test, train inside"),
        (["train/test"], "the train split has test inside"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(
    tmp_path: Path, folders: list[str], message: str
) -> None:
    for name in folders:
        if name.endswith(".png"):
            save(tmp_path / name)
        else:
            fill(tmp_path / name, 10)
    with pytest.raises(MixvaeError, match=f"(?s){message}") as caught:
        data.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_class_may_be_called_train_inside_a_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("car", "train", "test"):
            fill(tmp_path / split / name, 5)
    dataset = data.load(tmp_path)
    assert dataset.n_classes == 3
    assert len(dataset.test) == 15


@pytest.mark.parametrize("empty", ["train", "val", "test"])
def test_a_split_without_images_is_refused(tmp_path: Path, empty: str) -> None:
    for split in N:
        (tmp_path / split).mkdir()
        if split != empty:
            fill(tmp_path / split, 3)
    with pytest.raises(MixvaeError, match=f"{empty}: expected images .* found none"):
        data.load(tmp_path)


def test_folders_without_images_beside_the_splits_do_not_matter(tmp_path: Path) -> None:
    for split, n in N.items():
        fill(tmp_path / "images" / split, n)
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "labels" / split / "0.txt").write_text("0")
    (tmp_path / "README.md").write_text("my set")
    assert sizes(data.load(tmp_path)) == [5, 2, 3]


@pytest.mark.parametrize(
    "hidden",
    [
        ".ipynb_checkpoints/0.png",
        ".thumbnails/large/0.png",
        "__MACOSX/cat/0.png",
        "cat/@eaDir/0.png",
        "cat/.ipynb_checkpoints/0-checkpoint.png",
        "cat/deep/.hidden/deeper/0.png",
        "cat/._0.png",
        ".0.heic",
        ".train/0.png",
    ],
)
def test_hidden_files_and_folders_are_left_out_at_any_depth(tmp_path: Path, hidden: str) -> None:
    root = tmp_path / ".cache" / "set"  # a hidden folder above is the user's own choice
    fill(root / "cat", 10, 10)
    fill(root / "dog", 10, 20)
    save(tmp_path / "copy.png", 99).rename(_made(root / hidden))
    dataset = data.load(root)
    assert sum(sizes(dataset)) == 20
    assert dataset.n_classes == 2
    assert levels(dataset.train) == {10, 20}


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_hidden_images_alone_are_none(tmp_path: Path) -> None:
    fill(tmp_path / ".ipynb_checkpoints", 10)
    with pytest.raises(MixvaeError, match="found none that is not hidden"):
        data.load(tmp_path)


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    fill(tmp_path / "store" / "1", 10, 10)
    fill(tmp_path / "store" / "2", 10, 20)
    root = tmp_path / "set"
    for name, target in (("cat", "1"), ("dog", "2")):
        _made(root / "train" / name).symlink_to(tmp_path / "store" / target)
    save(root / "test" / "dog" / "0.png", 30)
    (root / "test" / "dog" / "link.png").symlink_to(save(tmp_path / "other.png", 40))
    dataset = data.load(root)
    assert sizes(dataset) == [18, 2, 2]
    assert [levels(s) for s in (dataset.train, dataset.test)] == [{10, 20}, {30, 40}]
    assert dataset.n_classes == 2
    (tmp_path / "whole").symlink_to(root)
    assert torch.equal(data.load(tmp_path / "whole").train.x, dataset.train.x)


def test_splits_may_be_links_to_the_same_folder(tmp_path: Path) -> None:
    fill(tmp_path / "store", 4)
    for split in N:
        _made(tmp_path / "set" / split).symlink_to(tmp_path / "store")
    assert sizes(data.load(tmp_path / "set")) == [4, 4, 4]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("target", [".", "..", "../..", "/"])
def test_a_link_to_a_folder_around_it_is_refused_at_once_and_by_name(
    tmp_path: Path, target: str
) -> None:
    fill(tmp_path / "set" / "cat", 10)
    (tmp_path / "set" / "cat" / "again").symlink_to(target)
    with pytest.raises(
        MixvaeError, match=r"cat/again: a loop, as it links to .*, in which it lies itself"
    ):
        data.load(tmp_path / "set")


@pytest.mark.timeout(20)
def test_folders_linked_to_each_other_are_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        fill(tmp_path / name, 5)
        (tmp_path / name / "x").symlink_to(tmp_path / other)
    with pytest.raises(MixvaeError, match="in which it lies itself"):
        data.load(tmp_path)


@pytest.mark.timeout(20)
def test_links_that_double_at_each_of_forty_levels_are_refused(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i}").mkdir()
        for side in "ab":
            (tmp_path / f"{i}" / side).symlink_to(tmp_path / f"{i + 1}")
    fill(tmp_path / "40", 10)
    with pytest.raises(MixvaeError, match=r"or more paths to .*; link to a folder once"):
        data.load(tmp_path / "0")


@pytest.mark.parametrize(("link", "target"), [("dog", "gone"), ("a.png", "gone.png"), ("x", "x")])
def test_a_link_that_leads_nowhere_is_refused_by_name(
    tmp_path: Path, link: str, target: str
) -> None:
    fill(tmp_path / "cat", 10)
    (tmp_path / link).symlink_to(target)
    with pytest.raises(MixvaeError, match=rf"{link}: cannot be opened .*mend the link"):
        data.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 10)
    fill(tmp_path / "dog", 10)
    (tmp_path / "dog").chmod(0)
    try:
        with pytest.raises(MixvaeError, match="dog: cannot be opened"):
            data.load(tmp_path)
    finally:
        (tmp_path / "dog").chmod(0o700)


@pytest.mark.parametrize("suffix", ["webp", "tif", "tiff", "TIF", "jfif"])
def test_all_kinds_of_images_are_read_side_by_side(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path, 10, 10)
    Image.new("RGB", (6, 4), (20, 20, 20)).save(
        tmp_path / f"0.{suffix}", **({"lossless": True} if suffix == "webp" else {})
    )
    dataset = data.load(tmp_path)
    assert sum(sizes(dataset)) == 11
    assert set.union(*(levels(s) for s in (dataset.train, dataset.val, dataset.test))) == {10, 20}


@pytest.mark.parametrize("suffix", ["heic", "svg", "jp2", "avif", "pgm", "PPM", "tga", "dng"])
def test_images_of_a_kind_that_is_not_read_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path / "cat", 10)
    for i in range(2):
        (tmp_path / "cat" / f"photo{i}.{suffix}").write_bytes(b"x")
    with pytest.raises(MixvaeError, match=rf"photo0\.{suffix}: .* not read \(2 such .*; convert"):
        data.load(tmp_path)


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 10)
    for name in ("Thumbs.db", "README", "labels.csv", "meta.json", "notes.txt", "desktop.ini"):
        (tmp_path / name).write_text("x")
        (tmp_path / "cat" / name).write_text("x")
    assert sum(sizes(data.load(tmp_path))) == 10


def png16(path: Path, n_channels: int) -> None:
    """A PNG file of 16 bits a channel, which Pillow cannot write in colour."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[n_channels]
    lines = b"".join(b"\0" + np.full((6, n_channels), 0x1234, ">u2").tobytes() for _ in range(4))

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", 6, 4, 16, colour, 0, 0, 0)
    pixels = zlib.compress(lines)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def tiff(path: Path, *, bits: int, n_channels: int, sample_format: int = 1) -> None:
    """An uncompressed TIFF file of one strip, all zero."""
    content = bytes(6 * 4 * n_channels * bits // 8)
    lists = struct.pack(f"<{2 * n_channels}H", *[bits] * n_channels, *[sample_format] * n_channels)
    tags = [(256, 6), (257, 4), (258, bits), (259, 1), (262, 1 if n_channels == 1 else 2)]
    tags += [(273, 0), (277, n_channels), (278, 4), (279, len(content)), (339, sample_format)]
    after = 8 + 2 + 12 * len(tags) + 4
    values = {273: (4, 1, after + len(lists))}
    if n_channels > 2:
        values |= {258: (3, n_channels, after), 339: (3, n_channels, after + 2 * n_channels)}
    entries = [(tag, *values.get(tag, (4, 1, value))) for tag, value in tags]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    path.write_bytes(head + table + bytes(4) + lists + content)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["0.png", "0.jpg"])
def test_a_png_of_16_bits_is_refused_and_not_cut_to_8(
    tmp_path: Path, n_channels: int, name: str
) -> None:
    png16(tmp_path / name, n_channels)
    with pytest.raises(MixvaeError, match=rf"{name}: expected 8 bits a channel, got .*16"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 16, "n_channels": 1}, "8 bits a channel, got .*16"),
        ({"bits": 16, "n_channels": 3}, "8 bits a channel, got 16 bits"),
        ({"bits": 16, "n_channels": 4}, "8 bits a channel, got 16 bits"),
        ({"bits": 32, "n_channels": 1, "sample_format": 3}, "8 bits a channel, got .*F"),
        ({"bits": 8, "n_channels": 1, "sample_format": 2}, "got signed values"),
    ],
)
def test_a_tiff_of_other_than_8_bits_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    tiff(tmp_path / "0.tif", **options)
    with pytest.raises(MixvaeError, match=rf"0\.tif: expected .*{message}"):
        data.load(tmp_path)


@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_a_tiff_of_8_bits_is_read(tmp_path: Path, n_channels: int) -> None:
    for i in range(10):
        tiff(tmp_path / f"{i}.tif", bits=8, n_channels=n_channels)
    assert data.load(tmp_path).x_shape == (1 if n_channels == 1 else 3, 4, 6)


def test_a_file_of_another_format_named_png_is_refused(tmp_path: Path) -> None:
    content = np.full((4, 6, 3), 0x1234, ">u2").tobytes()
    (tmp_path / "0.png").write_bytes(b"P6 6 4 65535\n" + content)  # Pillow reads it, cut to 8 bits
    with pytest.raises(MixvaeError, match=r"0\.png: cannot be read as an image"):
        data.load(tmp_path)


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png"])
def test_a_file_of_several_frames_or_pages_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    first, *others = (Image.new("RGB", (6, 4), (level, 0, 0)) for level in (0, 90, 180))
    first.save(tmp_path / f"0.{suffix}", save_all=True, append_images=others)
    with pytest.raises(MixvaeError, match=rf"0\.{suffix}: expected one image, got several frames"):
        data.load(tmp_path)


def test_the_preview_inside_a_photograph_is_no_second_frame(tmp_path: Path) -> None:
    photo, preview = Image.new("L", (6, 4), 50), Image.new("L", (3, 2), 50)
    for i in range(10):
        path = tmp_path / f"{i}.jpg"
        photo.save(path, "MPO", save_all=True, append_images=[preview])
    assert data.load(tmp_path).x_shape == (1, 4, 6)


# How a viewer shows the pixels 1 2 3 / 4 5 6 for each value of the EXIF tag "orientation".
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize(
    ("suffix", "modes"),
    [
        ("png", ["L", "RGB", "P", "RGBA"]),
        ("tif", ["L", "RGB", "P", "RGBA"]),
        ("webp", ["RGB", "RGBA"]),
        ("jpg", ["L", "RGB"]),
    ],
)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_upright_as_their_exif_data_say(
    tmp_path: Path, suffix: str, modes: list[str], orientation: int
) -> None:
    blocks = 40 * np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    image = Image.fromarray(blocks.repeat(8, 0).repeat(8, 1))  # a JPEG's blocks have 8 pixels
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    for i in range(3 * len(modes)):
        mode = modes[i % len(modes)]
        image.convert(mode).save(tmp_path / f"{i}.{suffix}", exif=exif, **options)
    expected = 40 * torch.tensor(UPRIGHT[orientation], dtype=torch.float32)
    dataset = data.load(tmp_path)
    for split in (dataset.train, dataset.val, dataset.test):
        x = split.x.mul(255)
        assert x.shape[2:] == (8 * expected.shape[0], 8 * expected.shape[1])
        assert torch.allclose(x[:, :, 4::8, 4::8], expected.expand(*x.shape[:2], -1, -1), atol=2)


def test_resizing_is_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(40 * np.array([[1, 2], [3, 4], [5, 6], [5, 6]], np.uint8))
    for i in range(10):
        image.save(tmp_path / f"{i}.png", exif=exif)
    x = data.load(tmp_path, image_size=(2, 2)).train.x[0, 0].mul(255)
    assert torch.allclose(x, 40 * torch.tensor([[5.0, 2], [6, 3]]), atol=1)


def test_damaged_exif_data_leave_an_image_as_it_is_stored(tmp_path: Path) -> None:
    for i in range(10):
        Image.new("L", (6, 4), 50).save(tmp_path / f"{i}.png", exif=b"Exif\0\0nonsense")
    assert data.load(tmp_path).x_shape == (1, 4, 6)


def test_the_command_line_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "set" / "val", 5)
    out = tmp_path / "run"
    code = main(["train", "vae", "--data", str(tmp_path / "set"), "--out", str(out)])
    error = capsys.readouterr().err
    assert code != 0
    assert "found val, but no train beside it" in error
    assert "Traceback" not in error
    assert not out.exists()

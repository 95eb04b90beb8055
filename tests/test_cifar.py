"""CIFAR-10 and CIFAR-100: their pickles, their archives, and what hostile ones cannot do."""

import copyreg
import gzip
import hashlib
import io
import lzma
import operator
import os
import pickle
import struct
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from mixvae import data
from mixvae.data import download
from mixvae.data.formats.archive import extract
from mixvae.data.formats.numpy_pickle import read_pickle
from mixvae.data.sets import cifar10, cifar100
from mixvae.errors import MixvaeError

RNG = np.random.default_rng(0)
SQUEEZE: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}
PUBLISHED = "cifar-10-batches-py"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", refuse)
    monkeypatch.delenv("MIXVAE_DATA", raising=False)


class Python2(pickle._Pickler):  # the one in Python, whose parts can be replaced
    """Writes texts and bytes as Python 2 wrote its str."""

    def save_str(self, value: str | bytes) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        short = len(raw) < 256
        self.write(b"U" + bytes([len(raw)]) if short else b"T" + struct.pack("<i", len(raw)))
        self.write(raw)
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_str, str: save_str}  # noqa: RUF012


def as_python_2(value: Any) -> bytes:
    file = io.BytesIO()
    Python2(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(n: int = 10, labels: str = "labels", n_classes: int = 10) -> dict[bytes, Any]:
    return {
        b"data": RNG.integers(0, 256, (n, 3072), np.uint8),
        labels.encode(): [int(label) for label in RNG.integers(0, n_classes, n)],
        b"filenames": [b"some_picture.png"] * n,
        b"batch_label": b"training batch 1 of 5",
    }


def write_cifar10(
    folder: Path, suffix: str = "", files: tuple[str, ...] = cifar10.FILES
) -> dict[str, dict[bytes, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    batches = {file: batch() for file in files}
    for file, values in batches.items():
        (folder / (file + suffix)).write_bytes(SQUEEZE[suffix](as_python_2(values)))
    return batches


def as_images(*batches: dict[bytes, Any]) -> torch.Tensor:
    rows = np.concatenate([values[b"data"] for values in batches])
    return torch.from_numpy(rows.reshape(-1, 3, 32, 32)) / 255


# Reading the files


@pytest.mark.parametrize("suffix", SQUEEZE)
@pytest.mark.parametrize("inside", ["", PUBLISHED, "cifar10"])
def test_cifar10_is_found_plain_or_compressed_in_the_usual_folders(
    tmp_path: Path, suffix: str, inside: str
) -> None:
    batches = list(write_cifar10(tmp_path / inside, suffix).values())
    parts = cifar10.read(tmp_path)
    assert parts.test is not None
    for split, there in ((parts.train, batches[:-1]), (parts.test, batches[-1:])):
        assert torch.equal(split.x, as_images(*there))
        assert split.y is not None
        assert split.y.tolist() == [label for values in there for label in values[b"labels"]]
    dataset = data.load("cifar10", data_dir=tmp_path)
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [45, 5, 10]


def test_a_row_is_the_red_then_the_green_then_the_blue_pixels_line_by_line(tmp_path: Path) -> None:
    batches = write_cifar10(tmp_path)
    row = batches["test_batch"][b"data"][3]
    image = data.load("cifar10", data_dir=tmp_path).test.x[3].mul(255).round()
    assert image[1, 2, 5] == row[1 * 1024 + 2 * 32 + 5]


def test_some_batches_are_used_with_a_warning_that_counts_them(tmp_path: Path) -> None:
    files = ("data_batch_2", "data_batch_4", "test_batch")
    batches = write_cifar10(tmp_path / PUBLISHED, ".xz", files)
    with pytest.warns(UserWarning, match=r"2 of the 5 training files, data_batch_2\.xz, data_ba"):
        parts = cifar10.read(tmp_path)
    assert torch.equal(parts.train.x, as_images(batches[files[0]], batches[files[1]]))


@pytest.mark.parametrize("files", [(), ("test_batch",), cifar10.FILES[:-1]])
def test_without_training_or_test_images_the_error_says_what_to_put_where(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    write_cifar10(tmp_path / PUBLISHED, files=files)
    with pytest.raises(MixvaeError) as caught:
        data.load("cifar10", data_dir=tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path), PUBLISHED, "no route to host", "MIXVAE_DATA", "data_dir"):
        assert part in message
    assert "cifar-10-python.tar.gz  from https://www.cs.toronto.edu/~kriz/" in message
    assert "or what it holds: data_batch_1, data_batch_2" in message
    assert {path.name for path in (tmp_path / PUBLISHED).iterdir()} == set(files)


def write_cifar100(folder: Path) -> dict[str, dict[bytes, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    batches = {file: batch(20, "fine_labels", 100) for file in ("train", "test")}
    for file, values in batches.items():
        coarse = {b"coarse_labels": [0] * 20}
        (folder / file).write_bytes(as_python_2({**values, **coarse}))
    return batches


@pytest.mark.parametrize("inside", ["", "cifar-100-python", "cifar100"])
def test_cifar100_has_the_fine_labels(tmp_path: Path, inside: str) -> None:
    batches = write_cifar100(tmp_path / inside)
    parts = cifar100.read(tmp_path)
    assert parts.test is not None
    for split, file in ((parts.train, "train"), (parts.test, "test")):
        assert torch.equal(split.x, as_images(batches[file]))
        assert split.y is not None
        assert split.y.tolist() == batches[file][b"fine_labels"]


def write_subset(folder: Path, **changed: Any) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, n in (("train", 12), ("test", 4)):
        arrays[part] = RNG.integers(0, 256, (n, 32, 32, 3), np.uint8)
        values = {"data": arrays[part], "fine_labels": np.arange(n) + 88, **changed}
        np.savez(folder / f"cifar100_{part}_subset{n}.npz", **values)
    return arrays


@pytest.mark.parametrize("inside", ["", "cifar100"])
def test_a_subset_of_cifar100_is_read_with_a_warning_of_its_size(
    tmp_path: Path, inside: str
) -> None:
    arrays = write_subset(tmp_path / inside)
    with pytest.warns(UserWarning, match="subset of 12 training and 4 test images"):
        parts = cifar100.read(tmp_path)
    assert torch.equal(parts.train.x, torch.from_numpy(arrays["train"]).permute(0, 3, 1, 2) / 255)
    assert parts.test is not None
    assert parts.test.y is not None
    assert parts.test.y.tolist() == [88, 89, 90, 91]


def test_the_published_cifar100_goes_before_a_subset(tmp_path: Path) -> None:
    write_subset(tmp_path / "cifar100")
    batches = write_cifar100(tmp_path / "cifar-100-python")
    assert torch.equal(cifar100.read(tmp_path).train.x, as_images(batches["train"]))


def npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: write_subset(f, data=np.zeros((3, 32, 32), np.uint8)),
            r"shape \(N, 32, 32, 3\)",
        ),
        (lambda f: write_subset(f, fine_labels=np.full(12, 100)), "from 0 to 99, got 12 others"),
        (lambda f: write_subset(f, fine_labels=np.arange(12) / 2), "got 12 others"),
        (lambda f: write_subset(f, fine_labels=np.array([{}] * 12)), "Object arrays cannot be"),
        (lambda f: (f / "cifar100_train_all.npz").touch(), "got 2 and 1; keep one of each"),
        (lambda f: (f / "cifar100_train_subset12.npz").write_bytes(b"PK\3\4"), "plain numbers"),
        (lambda f: (f / "cifar100_train_subset12.npz").write_bytes(b""), "plain numbers"),
        (lambda f: np.savez(f / "cifar100_train_subset12", x=0), "data and fine_labels .* got x"),
        (lambda f: (f / "cifar100_train_subset12.npz").write_bytes(npy(0)), "got x;"),
        (lambda f: (f / "cifar100_train_subset12.npz").unlink(), "could not fetch"),
    ],
)
def test_a_subset_that_cannot_be_used_is_refused(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    write_subset(tmp_path)
    spoil(tmp_path)
    with pytest.raises(MixvaeError, match=message):
        cifar100.read(tmp_path)


LABELS = list(range(10))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({b"data": np.zeros((10, 3071), np.uint8)}, r"\(N, 3072\) in uint8, got \(10, 3071\)"),
        ({b"data": np.zeros((0, 3072), np.uint8)}, r"got \(0, 3072\)"),
        ({b"data": np.zeros((10, 3072))}, "got .* in float64"),
        ({b"data": np.zeros((), np.uint8)}, r"got \(\)"),
        ({b"data": [[0] * 3072] * 10}, "got list"),
        ({b"labels": LABELS[:-1]}, "each of the 10 images, .* from 0 to 9, got 9 labels"),
        ({b"labels": [*LABELS[:-1], 10]}, "got 1 others, the first for image 9"),
        ({b"labels": [-1, *LABELS[1:]]}, "the first for image 0"),
        ({b"labels": [*LABELS[:-1], b"cat"]}, "got 1 others"),
        ({b"labels": [*LABELS[:-1], 1.5]}, "got 1 others"),
        ({b"labels": {}}, "got one dict"),
    ],
)
def test_a_batch_with_wrong_contents_is_named_with_what_was_expected(
    tmp_path: Path, changed: dict[bytes, Any], message: str
) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_3").write_bytes(as_python_2({**batch(), **changed}))
    with pytest.raises(MixvaeError, match=rf"data_batch_3: expected .*{message}"):
        cifar10.read(tmp_path)


def test_the_other_sets_file_is_refused_with_the_names_it_has(tmp_path: Path) -> None:
    write_cifar100(tmp_path)
    os.replace(tmp_path / "train", tmp_path / "data_batch_1")
    os.replace(tmp_path / "test", tmp_path / "test_batch")
    with (
        pytest.warns(UserWarning, match="1 of the 5"),
        pytest.raises(MixvaeError, match="expected data and labels in it, got data, fine_labels"),
    ):
        cifar10.read(tmp_path)


# Pickles


def read(tmp_path: Path, content: bytes) -> dict[str, Any]:
    (tmp_path / "pickle").write_bytes(content)
    return read_pickle(tmp_path / "pickle")


@pytest.mark.parametrize("dump", [as_python_2, *(2, 3, 4)])
def test_either_pythons_pickles_are_read_alike(
    tmp_path: Path, dump: int | Callable[[Any], bytes]
) -> None:
    values = batch()
    content = dump(values) if callable(dump) else pickle.dumps(values, dump)
    found = read(tmp_path, content)
    assert list(found) == ["data", "labels", "filenames", "batch_label"]
    assert np.array_equal(found["data"], values[b"data"])
    assert found["labels"] == values[b"labels"]
    assert found["batch_label"] == values[b"batch_label"]


@pytest.mark.parametrize("dtype", ["?", "|i1", ">u2", "<i8", ">f4", "<f8"])
def test_arrays_of_numbers_keep_type_shape_and_order(tmp_path: Path, dtype: str) -> None:
    rows = RNG.integers(0, 2, (3, 4)).astype(dtype)
    for array in (rows, np.asfortranarray(rows), rows[0], rows[:0]):
        found = read(tmp_path, as_python_2({b"x": array}))["x"]
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert np.array_equal(found, array)


class Calls:
    """Pickled as a call of a function, which whoever unpickles it makes."""

    def __init__(self, function: Callable[..., Any], *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("make", "asked"),
    [
        (lambda path: Calls(os.system, f"echo run > {path}"), r"(posix|nt)\.system"),
        (lambda path: Calls(eval, f"open({str(path)!r}, 'w')"), r"(__builtin__|builtins)\.eval"),
        (lambda path: Calls(getattr, "text", "join"), r"\.getattr"),
        (lambda path: Calls(operator.attrgetter("system")), r"operator\.attrgetter"),
        (lambda path: Calls(np.load, str(path), None, True), r"numpy\.load"),
        (lambda path: Calls(np.fromfile, str(path)), r"numpy.*\.fromfile"),
        (lambda path: torch.zeros(2), r"torch\._utils\._rebuild_tensor_v2"),
        (lambda path: torch.zeros(2).untyped_storage(), r"torch\.storage\._load_from_bytes"),
        (lambda path: np.uint8(3), r"numpy\..*multiarray\.scalar"),
        (lambda path: np.zeros(2).view(np.matrix), r"numpy.*\.matrix"),
        (lambda path: OrderedDict(), r"collections\.OrderedDict"),
    ],
)
def test_a_pickle_that_asks_for_another_name_is_refused_and_not_run(
    tmp_path: Path, make: Callable[[Path], Any], asked: str, protocol: int
) -> None:
    trace = tmp_path / "trace"
    content = pickle.dumps({b"data": make(trace)}, protocol)
    with pytest.raises(MixvaeError, match=rf"asks for '.*{asked}'.*nothing in the file was run"):
        read(tmp_path, content)
    assert not trace.exists()


def raw(program: bytes) -> bytes:
    return b"\x80\x02" + program + b"."


NDARRAY, DTYPE = b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = RECONSTRUCT + b"(" + NDARRAY + b"K\x00\x85U\x01btR"  # an array, before its state


def with_array(state: bytes) -> bytes:
    return raw(b"}U\x04data" + EMPTY + state + b"bs")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Terabytes: by NumPy's constructor, by a shape that no bytes follow, by the pickle's memo.
        (raw(b"}U\x04data" + NDARRAY + b"\x8a\x05\0\0\0\0\x7f\x85\x85Rs"), "it may only name"),
        (
            with_array(b"(K\x01\x8a\x05\0\0\0\0\x7f\x85" + DTYPE + b"U\x02u1\x85R\x89U\0t"),
            r"shape \(545460846592,\) in uint8, and 0 bytes follow",
        ),
        (raw(b"}r\xff\xff\xff\x7f"), "instruction LONG_BINPUT 2147483647"),
        (b"}p999999999\n.", "instruction PUT 999999999"),
        # Other classes of array, and arrays that point anywhere.
        (raw(b"}U\x04data" + RECONSTRUCT + DTYPE + b"K\0U\x01b\x87Rs"), "that is no array"),
        (with_array(b"(K\x01K\x01\x85" + DTYPE + b"U\x02O8\x85R\x89U\0t"), "type 'O8'"),
        (with_array(b"(K\x01K\x01\x85" + DTYPE + b"U\x02V8\x85R\x89U\0t"), "type 'V8'"),
        (
            with_array(b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"U\x02u1\x85R\x89U\0t"),
            "plain bytes",
        ),
        (with_array(b"(K\x01K\x01\x85" + DTYPE + b"U\x02u1\x85R\x89]t"), "plain bytes"),
        (raw(b"}U\x04data" + EMPTY + b"s"), "array without content"),
        (raw(b"}U\x04data" + NDARRAY + b"s"), "array without content"),
        # Instead of calling a function, exchange what it does, now and for the next file.
        (raw(RECONSTRUCT + b"N}U\x05_call" + NDARRAY + b"s\x86b"), "it alters a function"),
        (raw(b"c_codecs\nencode\nX\x01\0\0\0aX\x04\0\0\0zlib\x86R"), "other than bytes"),
        (raw(b"c__main__\nx\n"), "asks for '__main__.x'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "asks for 'numpy.ndarray.tofile'"),
        (raw(b"(inumpy\nndarray\n"), "it may only name"),
        (raw(NDARRAY + b")\x81"), "NEWOBJ"),
        (raw(b"Pname\n"), "persistent"),
        (raw(b"\x82\x01"), "instruction EXT1 1"),
        # What is no batch at all.
        (raw(b"]"), "holds one list, no dict"),
        (raw(b"}K\x01K\x02s"), "a name in it is of type int"),
        (raw(b"}U\x04data"), "."),
        (as_python_2(batch())[:-9], "."),
        (as_python_2(batch())[:100], "."),
        (b"\x80\x02", "exhausted"),
        (b"", "exhausted"),
        (b"<html>not found</html>", "."),
        (b"PK\x03\x04", "."),
    ],
    ids=lambda value: f"{len(value)}-bytes" if isinstance(value, bytes) else None,
)
def test_a_hostile_or_damaged_pickle_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(MixvaeError, match=f"pickle: expected a pickled dict .*{message}"):
        read(tmp_path, content)


@pytest.mark.parametrize("element", [{}, "text", b"bytes", np.datetime64("2000")])
def test_arrays_of_anything_but_numbers_are_refused(tmp_path: Path, element: Any) -> None:
    for protocol in (2, 4):
        content = pickle.dumps({"data": np.array([element])}, protocol)
        with pytest.raises(MixvaeError, match="array of type"):
            read(tmp_path, content)


def test_a_small_pickle_of_nested_labels_does_not_fill_the_memory(tmp_path: Path) -> None:
    nested: list[Any] = [0, 0]
    for _ in range(60):
        nested = [nested, nested]  # 2**60 numbers to whoever makes an array of it
    write_cifar10(tmp_path)
    (tmp_path / "test_batch").write_bytes(as_python_2({**batch(2), b"labels": nested}))
    with pytest.raises(MixvaeError, match="got 2 others"):
        cifar10.read(tmp_path)


def test_a_function_of_the_extension_table_is_not_reached(tmp_path: Path) -> None:
    copyreg.add_extension("os", "getcwd", 200)
    try:
        content = pickle.dumps(Calls(os.getcwd), 2)
        assert pickle.loads(content.replace(b"cposix\ngetcwd\n", b"\x82\xc8")) == os.getcwd()
        with pytest.raises(MixvaeError, match="EXT1 200"):
            read(tmp_path, content.replace(b"cposix\ngetcwd\n", b"\x82\xc8"))
    finally:
        copyreg.remove_extension("os", "getcwd", 200)


# Archives


class Response(io.BytesIO):
    """What urlopen returns, as far as it is used."""

    headers = Message()


def tar(*members: tuple[str, bytes], suffix: str = "gz", **fields: Any) -> bytes:
    """An archive of files by their names; ``fields`` change the last member's header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{suffix}") as archive:
        for i, (name, content) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if i == len(members) - 1:
                for field, value in fields.items():
                    setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def published(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Have ``content`` behind the address of CIFAR-10's archive, with its checksum."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    archive = replace(cifar10.BATCHES.archive, digest=digest)
    monkeypatch.setattr(cifar10, "BATCHES", replace(cifar10.BATCHES, archive=archive))
    monkeypatch.setattr(download, "urlopen", lambda *_, **__: Response(content))


def cifar10_tar(suffix: str = "gz") -> tuple[bytes, dict[str, dict[bytes, Any]]]:
    batches = {file: batch() for file in cifar10.FILES}
    members = [(f"{PUBLISHED}/{file}", as_python_2(values)) for file, values in batches.items()]
    return tar((f"{PUBLISHED}/readme.html", b"<html>"), *members, suffix=suffix), batches


def test_a_missing_set_is_fetched_unpacked_and_then_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, batches = cifar10_tar()
    published(monkeypatch, content)
    x = as_images(*(batches[file] for file in cifar10.FILES[:-1]))
    assert torch.equal(cifar10.read(tmp_path).train.x, x)
    folder = tmp_path / PUBLISHED
    assert {path.name for path in folder.iterdir()} == {*cifar10.FILES, "cifar-10-python.tar.gz"}
    (folder / "cifar-10-python.tar.gz").unlink()
    monkeypatch.setattr(download, "urlopen", None)
    assert torch.equal(cifar10.read(tmp_path).train.x, x)


def test_files_already_there_are_kept_and_the_others_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, batches = cifar10_tar()
    published(monkeypatch, content)
    mine = write_cifar10(tmp_path / PUBLISHED, ".xz", ("data_batch_2",))["data_batch_2"]
    theirs = [batches[f"data_batch_{i}"] for i in (1, 3, 4, 5)]
    assert torch.equal(cifar10.read(tmp_path).train.x, as_images(theirs[0], mine, *theirs[1:]))


@pytest.mark.parametrize(("name", "suffix"), [("tar.gz", "gz"), ("tar.xz", "xz"), ("tar", "")])
def test_an_archive_put_there_by_hand_is_unpacked_and_completes_the_batches(
    tmp_path: Path, name: str, suffix: str
) -> None:
    content, batches = cifar10_tar(suffix)
    (tmp_path / f"cifar-10-python.{name}").write_bytes(content)
    write_cifar10(tmp_path, files=("data_batch_1", "test_batch"))
    assert len(cifar10.read(tmp_path).train) == 50
    assert torch.equal(cifar10.read(tmp_path).train.x[-10:], as_images(batches["data_batch_5"]))


def test_an_archive_with_another_checksum_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, _ = cifar10_tar()
    published(monkeypatch, content)
    monkeypatch.setattr(download, "urlopen", lambda *_, **__: Response(content[:-1]))
    with pytest.raises(MixvaeError, match=r"expected md5 .* got .* not kept"):
        cifar10.read(tmp_path)
    assert not list((tmp_path / PUBLISHED).iterdir())


def unpack(tmp_path: Path, content: bytes, name: str = "a.tar.gz") -> dict[str, Path]:
    (tmp_path / name).write_bytes(content)
    return extract(tmp_path / name, ["set/train", "set/test"], tmp_path / "deep" / "folder")


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_the_named_members_are_written_whatever_the_others_are_called(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside"
    hostile = ["../evil", str(outside), "set/../../train", "set/./test", "./set/test", "train"]
    hostile += ["set/train/../test", "deep/folder/train", "set//test", "SET/test", "set/train\n"]
    content = tar(
        *((name, b"evil") for name in hostile),
        ("set/train", b"good"),
        ("set/test", b"fine"),
        ("set/train", b"evil, the second of its name"),
    )
    found = unpack(tmp_path, content)
    assert {name: path.read_bytes() for name, path in found.items()} == {
        "train": b"good",
        "test": b"fine",
    }
    assert files_below(tmp_path) == {"a.tar.gz", "deep/folder/train", "deep/folder/test"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
def test_a_named_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret").write_text("secret")
    link = {"type": kind, "linkname": str(tmp_path / "secret"), "size": 0}
    with pytest.raises(MixvaeError, match="set/test to be a plain file, got a link, folder"):
        unpack(tmp_path, tar(("set/train", b"good"), ("set/test", b""), **link))
    assert files_below(tmp_path) == {"a.tar.gz", "secret"}


NOISE = [(f"set/{name}", RNG.bytes(5000)) for name in ("train", "test")]  # it does not shrink


def altered(content: bytes) -> bytes:
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tar.gz", tar(*NOISE)[:7000], r"expected a whole \.gz file, .* cut short or damaged"),
        ("a.tar.gz", altered(tar(*NOISE)), r"expected a whole \.gz file, but: CRC check failed"),
        ("a.tar.xz", tar(*NOISE, suffix="xz")[:7000], r"expected a whole \.xz file"),
        ("a.tar.xz", altered(tar(*NOISE, suffix="xz")), r"expected a whole \.xz file"),
        ("a.tar", tar(*NOISE, suffix="")[:7000], "whole tar archive, .* cut short or damaged"),
        ("a.tar", b"<html>not found</html>", "expected a whole tar archive"),
        ("a.tar.gz", b"<html>not found</html>", r"expected a whole \.gz file"),
        ("a.tar", b"", "expected a whole tar archive"),
        ("a.tar.gz", tar(NOISE[0], ("other", b"")), "expected set/test in it, found none"),
    ],
    ids=lambda value: f"{len(value)}-bytes" if isinstance(value, bytes) else None,
)
def test_a_damaged_archive_is_named_and_leaves_no_file(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(MixvaeError, match=f"{name}: .*{message}"):
        unpack(tmp_path, content, name)
    assert files_below(tmp_path) == {name}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file where a folder should be")
    with pytest.raises(MixvaeError, match=r"could not be unpacked into .* with data_dir"):
        unpack(tmp_path, tar(("set/train", b""), ("set/test", b"")))

"""Files of weights: written with a checksum, which is checked when they are read.

A safetensors file's metadata holds the recipe and a SHA-256 of the whole file, computed with zeros
in place of the checksum itself, so that one altered byte anywhere is noticed. Checkpoints of
training have a CRC for each of their parts. In both, weights must be finite.
"""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mixvae.errors import MixvaeError

from .files import whole
from .reading import parse_json

CHECKSUM = "sha256"
UNSET = "0" * 64  # in the checksum's place while it is computed
CHUNK = 1 << 20  # bytes

Form = tuple[tuple[int, ...], torch.dtype]  # shape and type of one tensor


class Saved(NamedTuple):
    """The content of a safetensors file of this package."""

    recipe: str  # as JSON
    weights: dict[str, Tensor]


def form_of(weights: Mapping[str, Tensor]) -> dict[str, Form]:
    """Each tensor's shape and type, by name."""
    return {name: (tuple(w.shape), w.dtype) for name, w in weights.items()}


def check_finite(weights: Mapping[str, Tensor], where: str) -> None:
    """Raise `MixvaeError` unless all numbers in the weights are finite."""
    bad = [name for name, w in weights.items() if not bool(w.isfinite().all())]
    if bad:
        raise MixvaeError(
            f"{where} has NaN or infinite weights in {', '.join(bad[:3])}"
            f"{f' and {len(bad) - 3} more' if len(bad) > 3 else ''}; such a model is of no use."
        )


def write_weights(weights: Mapping[str, Tensor], recipe: Mapping[str, Any], path: Path) -> None:
    """Write a safetensors file, whole or not at all. Raises `MixvaeError` for NaN or infinity."""
    check_finite(weights, f"the model for {path}")
    # One entry, since several have no fixed order, and equal weights should give equal files.
    metadata = {"recipe": json.dumps({**recipe, CHECKSUM: UNSET}, sort_keys=True)}
    with whole(path) as partial:
        try:
            save_file({name: w.contiguous() for name, w in weights.items()}, partial, metadata)
        except SafetensorError as error:  # the operating system's errors become OSErrors
            if (code := re.search(r"os error (\d+)", str(error))) is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error
        with partial.open("r+b") as file:
            digest, position = _checksum(file, UNSET)
            file.seek(position)
            file.write(digest.encode())


def read_weights(path: Path) -> Saved:
    """The tensors in a safetensors file, and the recipe that they belong to.

    Raises `MixvaeError` where the file is cut, altered, without checksum, or not finite.
    """
    try:
        with safe_open(path, "pt") as file:
            recipe = (file.metadata() or {}).get("recipe", "{}")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        options = parse_json(recipe)
        expected = str(options.get(CHECKSUM, "")) if isinstance(options, dict) else ""
        with path.open("rb") as content:
            found = _checksum(content, expected)[0] if len(expected) == len(UNSET) else None
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise MixvaeError(
            f"{path} is not a whole safetensors file ({error}); nothing else is read, since a "
            "pickle can run code. Train again, or copy the file again if it was cut."
        ) from error
    if found != expected:
        what = "does not match its checksum: it was altered" if found else "has no checksum"
        raise MixvaeError(f"{path} {what}. Copy the file again, or train again.")
    check_finite(weights, str(path))
    return Saved(recipe, weights)


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """A training checkpoint's content, with finite weights by name under ``model``.

    On the device "meta" shapes alone are read, and no numbers. No code in the file is run: raises
    `MixvaeError` where it holds anything but plain values and tensors, is cut, or was altered.
    """
    if not path.is_file():
        raise MixvaeError(f"{path} is missing: nothing to resume. Start the run again.")
    try:
        if device != "meta":
            with zipfile.ZipFile(path) as parts:
                if damaged := parts.testzip():
                    raise ValueError(f"{damaged} was altered")
        content = torch.load(path, map_location=device, weights_only=True)
        weights = content["model"]
        if not all(type(n) is str and isinstance(w, Tensor) for n, w in weights.items()):
            raise TypeError("its weights are not tensors")
    except Exception as error:  # a damaged checkpoint can raise almost any
        raise MixvaeError(
            f"{path} is not a whole checkpoint of a run ({type(error).__name__}: {error}). "
            "It may have been cut, or hold more than tensors, which is never loaded."
        ) from error
    if device != "meta":
        check_finite(weights, str(path))
    return dict(content)


def _checksum(file: BinaryIO, written: str) -> tuple[str, int]:
    """The SHA-256 with zeros in place of the checksum that was written, and its position."""
    file.seek(0)
    length = file.read(8)  # of the header, JSON
    header = length + file.read(int.from_bytes(length, "little"))
    position = header.rfind(written.encode())
    if position < 0:
        raise ValueError("its checksum is not in its header")
    rest = header[position + len(written) :]
    digest = hashlib.sha256(header[:position] + UNSET.encode() + rest)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest(), position

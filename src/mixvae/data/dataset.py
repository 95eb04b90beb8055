"""What a model is trained and judged on: three splits of images in [0, 1]."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, bernoulli, empty_like, float32, int64

from mixvae.errors import MixvaeError, unknown
from mixvae.seeding import seed_of

from .transform import AS_STORED, Transform

Binarize = Literal["none", "dynamic", "threshold"]
SplitName = Literal["train", "val", "test"]


def check_binarize(name: str) -> None:
    """Raise `MixvaeError` unless ``name`` is a way to binarise."""
    if name not in get_args(Binarize):
        raise unknown("binarize", name, get_args(Binarize))


def draw_rows(x: Float[Tensor, " N *X"], seed: int) -> Float[Tensor, " N *X"]:
    """Draw pixels 0 or 1, with the grey level as probability.

    What is drawn of a row depends on the row's own values and ``seed``, not on its place or on
    other rows; equal rows become equal.
    """
    generator, drawn = Generator(), empty_like(x)
    for row, out in zip(x, drawn, strict=True):
        content = blake2b(row.contiguous().numpy().tobytes(), digest_size=8).digest()
        generator.manual_seed(seed_of(seed, int.from_bytes(content)))
        bernoulli(row, generator=generator, out=out)
    return drawn


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Some images and, where there are any, their labels.

    ``x`` is (N, *X), float32, pixels in [0, 1]; images are (N, C, H, W), flat vectors (N, D).
    ``y`` is (N,), int64. Raises `MixvaeError` where there is no image, or not one label an image.
    """

    x: Float[Tensor, " N *X"]
    y: Int64[Tensor, " M"] | None = None
    index: Int64[Tensor, " L"] | None = None  # each one's row in the source's array, if known

    def take(self, rows: Int64[Tensor, " R"]) -> "Split":
        """These rows alone."""
        y, index = (None if t is None else t[rows] for t in (self.y, self.index))
        return Split(self.x[rows], y, index)

    def __post_init__(self) -> None:
        """Refuse what no later step could use."""
        if self.x.ndim < 2 or self.x.dtype != float32:
            raise MixvaeError(
                "expected images of shape (N, C, H, W) or vectors (N, D) in float32, got shape "
                f"{tuple(self.x.shape)} in {self.x.dtype}; mixvae.data.from_arrays converts them."
            )
        if len(self.x) == 0:
            raise MixvaeError("a split needs at least one image, got none; check where they are.")
        if self.y is not None and (self.y.dtype != int64 or self.y.shape != self.x.shape[:1]):
            raise MixvaeError(
                f"expected one int64 label for each of the {len(self.x)} images, got shape "
                f"{tuple(self.y.shape)} in {self.y.dtype}; leave y out where labels are not known."
            )

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.x)

    def __repr__(self) -> str:
        """Sizes in one line."""
        labels = "no labels" if self.y is None else "labels"
        return f"Split({len(self):,} x of shape {tuple(self.x.shape[1:])}, {labels})"

    @cached_property
    def content_hash(self) -> str:
        """A digest (BLAKE2b, 16 bytes) of shapes, types and values, the same on any machine.

        It is computed once, in a second for some 70 million values: what is changed in place
        afterwards goes unnoticed.
        """
        digest = blake2b(digest_size=16)
        for part in (self.x, self.y):
            if part is None:
                digest.update(b"none")
                continue
            array = part.detach().cpu().numpy()
            array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set, split for training, for choosing the best epoch, and for the final figures.

    ``transform`` is what was done to the stored values, and is to be done to new data.
    ``binarize`` is what was asked. With ``"dynamic"``, ``train.x`` holds grey levels, and the
    trainer draws ``torch.bernoulli(x)`` anew each time it shows an image; ``val`` and ``test``
    were drawn once with ``seed``, so that figures are comparable. With ``"threshold"``, all
    three hold ``x > 0.5``. Raises `MixvaeError` where the splits' images differ in shape.
    """

    name: str
    train: Split
    val: Split
    test: Split
    binarize: Binarize = "none"
    seed: int = 0
    transform: Transform = AS_STORED

    def __repr__(self) -> str:
        """Name, shapes and sizes in one line."""
        sizes = ", ".join(f"{part} {len(split):,}" for part, split in self._splits.items())
        how = "" if self.binarize == "none" else f", binarize {self.binarize}"
        return f"Dataset({self.name!r}, x of shape {self.x_shape}, {sizes}{how})"

    def __post_init__(self) -> None:
        """Refuse splits that do not belong together."""
        check_binarize(self.binarize)
        for name, split in (("val", self.val), ("test", self.test)):
            if split.x.shape[1:] != self.x_shape:
                raise MixvaeError(
                    f"{self.name}: all splits must have images of one shape, but train has "
                    f"{self.x_shape} and {name} {tuple(split.x.shape[1:])}; resize or reshape one."
                )

    @property
    def _splits(self) -> dict[str, Split]:
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: (C, H, W), or (D,)."""
        return tuple(self.train.x.shape[1:])

    @cached_property
    def is_binary(self) -> bool:
        """Whether a model sees only 0 and 1."""
        x = self.train.x
        return self.binarize != "none" or bool(((x == 0) | (x == 1)).all())

    @property
    def likelihood(self) -> Literal["bernoulli", "gaussian"]:
        """The p(x|z) that suits the values, for those who name none."""
        return "bernoulli" if self.is_binary else "gaussian"

    @property
    def labels(self) -> bool:
        """Whether every split has labels."""
        return all(split.y is not None for split in self._splits.values())

    @cached_property
    def n_classes(self) -> int | None:
        """One more than the largest label in any split, or None without labels."""
        if not self.labels:
            return None
        return 1 + max(int(s.y.max()) for s in self._splits.values() if s.y is not None)

    def seen(self, name: SplitName) -> Split:
        """A split as a model sees it: ``train`` drawn once with ``seed`` where it is dynamic."""
        split: Split = getattr(self, name)
        if self.binarize != "dynamic" or name != "train":
            return split
        generator = Generator().manual_seed(self.seed)
        return replace(split, x=bernoulli(split.x, generator=generator))

    def subset(self, n: int) -> "Dataset":
        """The same data with fewer images, for quick trials; the test images are all of them.

        The first ``n`` training images, and validation images evenly spaced over theirs: a fifth
        of ``n``, but 100 at least, where there are more. Raises `MixvaeError` unless
        1 <= n <= len(train).
        """
        if not (isinstance(n, int) and 1 <= n <= len(self.train)):
            raise MixvaeError(
                f"{self.name}: a subset has 1 to {len(self.train)} training images, got n={n}."
            )
        n_val = min(len(self.val), max(100, n // 5))
        rows = torch.arange(n_val) * len(self.val) // n_val
        val = self.val if n_val == len(self.val) else self.val.take(rows)
        return replace(self, train=self.train.take(torch.arange(n)), val=val)

    def describe(self) -> dict[str, Any]:
        """What a run's record says of its data, in values that JSON can hold."""
        y = self.train.y
        return {
            "name": self.name,
            "x_shape": list(self.x_shape),
            "n_train": len(self.train),
            "n_val": len(self.val),
            "n_test": len(self.test),
            "n_classes": None if y is None else len(set(y.tolist())),
            "binarize": self.binarize,
            "is_binary": self.is_binary,
            "likelihood": self.likelihood,
            "seed": self.seed,
            "transform": self.transform.to_dict(),
            "content": {part: split.content_hash for part, split in self._splits.items()},
        }

    def differences(self, described: Mapping[str, Any]) -> str:
        """How these data differ from those of a description, in a line; "" if not at all.

        What :meth:`describe` derives from the values is left out, as is the name: a file may have
        been moved.
        """
        ours, found = self.describe(), []
        content = described.get("content")
        content = content if isinstance(content, Mapping) else {}
        if parts := [part for part, own in ours["content"].items() if content.get(part) != own]:
            sizes = [
                f"{part} (was {described.get(f'n_{part}')} examples, is {ours[f'n_{part}']})"
                if described.get(f"n_{part}") != ours[f"n_{part}"]
                else part
                for part in parts
            ]
            found.append(f"the content of {', '.join(sizes)} differs")
        found += [
            f"{option} was {described.get(option)}, is {ours[option]}"
            for option in ("binarize", "seed", "transform")
            if described.get(option) != ours[option]
        ]
        return "; ".join(found)

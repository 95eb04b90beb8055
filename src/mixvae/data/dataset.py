"""Data sets in memory: three splits of images in [0, 1], or of rows of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from math import isqrt
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, bernoulli, empty_like, float32, int64

from mixvae.errors import MixvaeError, one_of
from mixvae.likelihoods.columns import OF_CATEGORIES
from mixvae.seeding import seed_of_row

from .batch_labels import BatchName, check_names
from .classes import ClassName, check_class_names
from .levels import number_of_steps
from .mixed_columns import MixedColumns
from .row_weights import check_weights, relative
from .rows import Rows, TensorOrRows, parts_of
from .standardization import Standardization
from .transform import AS_STORED
from .transform_record import AnyTransform, transform_difference

Binarize = Literal["none", "dynamic", "threshold"]
SplitName = Literal["train", "val", "test"]
HASHED_ROWS = 1000  # of rows that are not in memory


def is_square(n: int) -> bool:
    """Whether so many values can be a square image, of at least 4 x 4 pixels."""
    return n >= 16 and isqrt(n) ** 2 == n


def is_table(x_shape: Sequence[int], transform: AnyTransform | None) -> bool:
    """Whether x are rows of a table rather than images; flat rows may be square images.

    They are a table where columns are standardised or have names, or their number is not that of a
    square image.
    """
    if len(x_shape) != 1:
        return False
    named = transform is not None and transform.columns is not None
    return named or isinstance(transform, Standardization) or not is_square(x_shape[0])


def check_binarize(name: str) -> None:
    """Raise `MixvaeError` unless ``name`` is a way to binarise."""
    one_of("binarize", name, get_args(Binarize))


def draw_rows(x: Float[Tensor, " N *X"], seed: int) -> Float[Tensor, " N *X"]:
    """Sample pixels 0 or 1 with the grey level as probability, each row with a seed of its own.

    A row's pixels depend on its values and on ``seed``, not on its place or on other rows.
    """
    generator, pixels = Generator(), empty_like(x)
    for row, out in zip(x, pixels, strict=True):
        generator.manual_seed(seed_of_row(seed, row))
        bernoulli(row, generator=generator, out=out)
    return pixels


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and, where known, their labels.

    Attributes
    ----------
    x
        float32 values, images (N, C, H, W) in [0, 1] or vectors (N, D), in [0, 1] or standardised;
        or `Rows`, vectors that are read when they are needed.
    y
        int64 class numbers, shape (N,), or None.
    index
        int64, shape (N,): the row of each image in the source's array, or None if unknown.
    weight
        float32, shape (N,): how much each row counts, at least 0, or None where all count alike.
    batch_label
        int64, shape (N,): the number of the technical batch of each row, or None if unknown.

    Raises
    ------
    MixvaeError
        Without images, for other shapes and types, and unless every image has a label and, where
        there are weights, a weight.
    """

    x: TensorOrRows
    y: Int64[Tensor, " M"] | None = None
    index: Int64[Tensor, " L"] | None = None
    weight: Float[Tensor, " W"] | None = None
    batch_label: Int64[Tensor, " B"] | None = None

    def take(self, rows: Int64[Tensor, " R"]) -> "Split":
        """The split of the images at these positions, in this order."""
        own = (self.y, self.index, self.weight, self.batch_label)
        x = self.x.take(rows) if isinstance(self.x, Rows) else self.x[rows]
        return Split(x, *(None if t is None else t[rows] for t in own))

    def __post_init__(self) -> None:
        """Check shapes and types."""
        if self.x.ndim < 2 or self.x.dtype != float32:
            raise MixvaeError(
                "expected images of shape (N, C, H, W) or vectors (N, D) in float32, got shape "
                f"{tuple(self.x.shape)} in {self.x.dtype}; mixvae.data.from_arrays converts them."
            )
        if len(self.x) == 0:
            raise MixvaeError("a split needs at least one example, got none; check where they are.")
        if self.y is not None and (self.y.dtype != int64 or self.y.shape != self.x.shape[:1]):
            raise MixvaeError(
                f"expected one int64 label for each of the {len(self.x)} examples, got shape "
                f"{tuple(self.y.shape)} in {self.y.dtype}; leave y out where labels are not known."
            )
        if self.weight is not None:
            if self.weight.dtype != float32 or self.weight.shape != self.x.shape[:1]:
                raise MixvaeError(
                    f"expected one float32 weight for each of the {len(self.x)} rows, got shape "
                    f"{tuple(self.weight.shape)} in {self.weight.dtype}."
                )
            check_weights(self.weight, "split")
        batch = self.batch_label
        if batch is not None and (batch.dtype != int64 or batch.shape != self.x.shape[:1]):
            raise MixvaeError(
                f"expected one int64 batch label for each of the {len(self.x)} rows, got shape "
                f"{tuple(batch.shape)} in {batch.dtype}."
            )

    @property
    def relative_weight(self) -> Float[Tensor, " W"] | None:
        """The weights divided by their mean, so that they add up to the number of rows."""
        return relative(self.weight)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.x)

    def __repr__(self) -> str:
        """One line with the sizes."""
        labels = "no labels" if self.y is None else "labels"
        return f"Split({len(self):,} x of shape {tuple(self.x.shape[1:])}, {labels})"

    @cached_property
    def content_hash(self) -> str:
        """Hash (BLAKE2b, 16 bytes, hexadecimal) of shapes, types and values, alike on any machine.

        It is computed once, at some 70 million values a second; later changes in place are not
        noticed. Of `Rows` it is that of 1,000 rows, evenly spaced.
        """
        digest = blake2b(digest_size=16)
        others = [t for t in (self.weight, self.batch_label) if t is not None]
        x = self.x
        if isinstance(x, Rows):
            digest.update(repr(("rows", tuple(x.shape))).encode())
            n = min(len(x), HASHED_ROWS)
            x = x[torch.arange(n) * len(x) // n]
        for part in (x, self.y, *others):
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
    """A data set in three splits: for training, for choosing the best epoch, for final figures.

    Attributes
    ----------
    name
        The name in run folders and messages.
    train, val, test
        The splits. With ``binarize="dynamic"``, ``train.x`` holds grey levels, and the trainer
        samples ``torch.bernoulli(x)`` anew each time it shows an image; ``val`` and ``test`` were
        sampled once with ``seed``, so that figures are comparable.
    binarize
        ``"none"``; ``"dynamic"``, pixels sampled with the grey level as probability; or
        ``"threshold"``, pixels that are ``x > 0.5`` in all splits.
    seed
        The seed of the splits and of the sampled pixels.
    transform
        What was done to the stored values, and is to be done to new data: a `Transform`, the
        `Standardization` of a table of real values, or the `MixedColumns` of one of several kinds.
    batch_names
        The names of the technical batches that the splits' ``batch_label`` counts, or None.
    class_names
        The names of the classes that the splits' ``y`` counts, or None where these are numbers.

    Raises
    ------
    MixvaeError
        Where the images of the splits differ in shape, or ``binarize`` is unknown, or standardised
        values were to be binarised.
    """

    name: str
    train: Split
    val: Split
    test: Split
    binarize: Binarize = "none"
    seed: int = 0
    transform: AnyTransform = AS_STORED
    batch_names: tuple[BatchName, ...] | None = None
    class_names: tuple[ClassName, ...] | None = None

    def __repr__(self) -> str:
        """One line with name, shape and sizes."""
        sizes = ", ".join(f"{part} {len(split):,}" for part, split in self._splits.items())
        binarize = "" if self.binarize == "none" else f", binarize {self.binarize}"
        return f"Dataset({self.name!r}, x of shape {self.x_shape}, {sizes}{binarize})"

    def __post_init__(self) -> None:
        """Check that the splits belong together."""
        check_binarize(self.binarize)
        if self.binarize != "none" and self._is_standardized:
            raise MixvaeError(
                f"{self.name}: binarize={self.binarize} is for values in [0, 1], and these are "
                "standardised; leave it out, or give values in [0, 1] and standardize=False."
            )
        if self.binarize != "none" and isinstance(self.train.x, Rows):
            raise MixvaeError(
                f"{self.name}: binarize={self.binarize} is for pixels in memory; leave it out, or "
                "give an array."
            )
        for name, split in (("val", self.val), ("test", self.test)):
            if split.x.shape[1:] != self.x_shape:
                raise MixvaeError(
                    f"{self.name}: all splits must have examples of one shape, but train has "
                    f"{self.x_shape} and {name} {tuple(split.x.shape[1:])}; resize or reshape one."
                )
        self._check_batches()
        self._check_classes()

    def _check_classes(self) -> None:
        """Check that there are as many names of classes as labels need."""
        names = check_class_names(self.class_names)
        for name, split in self._splits.items():
            if names is None or split.y is None:
                continue
            low, high = int(split.y.min()), int(split.y.max())
            if not 0 <= low <= high < len(names):
                raise MixvaeError(
                    f"{self.name}: labels of {name} must be 0 ... {len(names) - 1}, as there are "
                    f"{len(names)} names of classes; got {low} to {high}."
                )

    def _check_batches(self) -> None:
        """Check that batch labels and the names of batches belong together."""
        check_names(self.batch_names)
        for name, split in self._splits.items():
            label, n = split.batch_label, self.n_batches
            if (label is None) != (self.batch_names is None):
                raise MixvaeError(
                    f"{self.name}: batches have names, and the rows of all splits labels, or "
                    f"neither; {name} does not. mixvae.data.from_arrays(batch=...) makes both."
                )
            if label is not None and not (label.min() >= 0 and label.max() < n):
                raise MixvaeError(
                    f"{self.name}: batch labels of {name} must be 0 ... {n - 1}, as there are {n} "
                    f"names; got {int(label.min())} to {int(label.max())}."
                )

    @property
    def n_batches(self) -> int:
        """Number of technical batches; 1 where none are known."""
        return 1 if self.batch_names is None else len(self.batch_names)

    @property
    def _splits(self) -> dict[str, Split]:
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def _is_standardized(self) -> bool:
        return isinstance(self.transform, Standardization)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns of x, without constant ones; None for images and unnamed columns."""
        return self.transform.kept_columns

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: (C, H, W), or (D,)."""
        return tuple(self.train.x.shape[1:])

    @property
    def is_table(self) -> bool:
        """Whether x are rows of a table rather than images."""
        return is_table(self.x_shape, self.transform)

    @cached_property
    def is_binary(self) -> bool:
        """Whether all values a model sees are 0 or 1; False for standardised ones."""
        x = self.train.x
        if self._is_standardized:
            return False
        own = (bool(((part == 0) | (part == 1)).all()) for part in parts_of(x))
        return self.binarize != "none" or all(own)

    @cached_property
    def n_trials(self) -> int | None:
        """The smallest n from 2 to 32 whose levels k / n hold all training values, or None.

        None also where fewer than three levels occur, or fewer than half of the n + 1, for
        standardised values, and for `Rows`.
        """
        x = self.train.x
        if isinstance(x, Rows) or self.is_binary or self._is_standardized:
            return None
        return number_of_steps(x)

    @property
    def likelihood(self) -> str:
        """The default likelihood p(x|z) for these values; "columns" where columns differ."""
        if isinstance(self.transform, MixedColumns):
            kinds = {name for name, _ in self.transform.kept_kinds}
            one = kinds.pop()
            return "columns" if kinds or one in OF_CATEGORIES else one
        if self._is_standardized:
            return "normal"
        if self.is_binary:
            return "bernoulli"
        return "gaussian" if self.n_trials is None else "binomial"

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

    def class_name(self, y: int) -> str:
        """The name of a class; "label 2" where there are no names.

        Parameters
        ----------
        y
            Its number.
        """
        return f"label {y}" if self.class_names is None else str(self.class_names[y])

    def seen(self, name: SplitName) -> Split:
        """A split as a model sees it.

        Parameters
        ----------
        name
            ``"train"``, ``"val"`` or ``"test"``.

        Returns
        -------
        Split
            With ``binarize="dynamic"``, ``train`` has pixels sampled once with ``seed``.
        """
        split: Split = getattr(self, name)
        if self.binarize != "dynamic" or name != "train":
            return split
        generator = Generator().manual_seed(self.seed)
        return replace(split, x=bernoulli(split.x, generator=generator))

    def subset(self, n: int) -> "Dataset":
        """The same data with fewer images, for quick trials.

        Parameters
        ----------
        n
            The number of training images, which are the first ones.

        Returns
        -------
        Dataset
            With all test images, and n / 5 validation images, at least 100, evenly spaced.

        Raises
        ------
        MixvaeError
            Unless 1 <= n <= len(train).
        """
        if not (isinstance(n, int) and 1 <= n <= len(self.train)):
            raise MixvaeError(
                f"{self.name}: a subset has 1 to {len(self.train)} training examples, got n={n}."
            )
        n_val = min(len(self.val), max(100, n // 5))
        rows = torch.arange(n_val) * len(self.val) // n_val
        val = self.val if n_val == len(self.val) else self.val.take(rows)
        return replace(self, train=self.train.take(torch.arange(n)), val=val)

    def describe(self) -> dict[str, Any]:
        """The record of the data that a run keeps in ``data.json``, of JSON's types."""
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
            **({} if self.batch_names is None else {"batch_names": list(self.batch_names)}),
            **({} if self.class_names is None else {"class_names": list(self.class_names)}),
            "content": {part: split.content_hash for part, split in self._splits.items()},
        }

    def differences(self, described: Mapping[str, Any]) -> str:
        """How these data differ from a record of data.

        Contents and options are compared; the name is not, since a file may have been moved.

        Parameters
        ----------
        described
            A record by :meth:`describe`, perhaps damaged.

        Returns
        -------
        str
            One line, empty where nothing differs.
        """
        own, differences, changed = self.describe(), [], []
        content = described.get("content")
        content = content if isinstance(content, Mapping) else {}
        for part, digest in own["content"].items():
            before, now = described.get(f"n_{part}"), own[f"n_{part}"]
            if content.get(part) != digest:
                sizes = f" (was {before} examples, is {now})" if before != now else ""
                changed.append(part + sizes)
        if changed:
            differences.append(f"the content of {', '.join(changed)} differs")
        differences += [
            f"{option} was {described.get(option)}, is {own[option]}"
            for option in ("binarize", "seed")
            if described.get(option) != own[option]
        ]
        before, now = described.get("batch_names"), own.get("batch_names")
        if before != now:
            differences.append(f"batches were {before}, are {now}")
        before, now = described.get("class_names"), own.get("class_names")
        if None not in (before, now) and before != now:
            differences.append(f"classes were {before}, are {now}")
        if described.get("transform") != own["transform"]:
            differences.append(transform_difference(described.get("transform"), self.transform))
        return "; ".join(differences)

"""The splits of a data set: holding out those that its source lacks, and binarising."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from mixvae.errors import MixvaeError, seeds

from .batch_labels import BatchName
from .classes import ClassName
from .dataset import Binarize, Dataset, Split
from .transform import AS_STORED
from .transform_record import AnyTransform

# The split that a word in the name of a folder or array stands for, in any case.
SPLIT_OF = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "va"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "te"), "test"),
}


@dataclass(frozen=True, eq=False)
class SourceSplits:
    """The splits that a source has.

    Attributes
    ----------
    train
        Training images, out of which other splits may be held out.
    val, test
        The source's own splits, or None.
    transform
        How stored values were scaled.
    batch_names
        The names of the technical batches of the rows, or None.
    class_names
        The names of the classes, or None where they are known by their numbers.
    """

    train: Split
    val: Split | None = None
    test: Split | None = None
    transform: AnyTransform = AS_STORED
    batch_names: tuple[BatchName, ...] | None = None
    class_names: tuple[ClassName, ...] | None = None


@dataclass(frozen=True)
class HoldOut:
    """What is held out of the training examples where the source lacks a split.

    Attributes
    ----------
    n_val, n_test
        Numbers of examples; by default a tenth of what test leaves, at most 5,000, and a fifth.
    seed
        0 to 2**64 - 1.
    """

    n_val: int | None = None
    n_test: int | None = None
    seed: int = 0

    def rows(
        self, name: str, y: Int64[Tensor, " N"] | None, n: int, own: Collection[str]
    ) -> dict[str, Int64[Tensor, " M"]]:
        """The rows of n training examples in each split but the source's ``own``.

        They depend on labels, numbers and seed alone.
        """
        generator, rows = Generator().manual_seed(self.seed), dict[str, Tensor]()
        rest = torch.arange(n)
        for part, wanted in (("test", self.n_test), ("val", self.n_val)):
            if part not in own:
                default = len(rest) // 5 if part == "test" else min(len(rest) // 10, 5000)
                n_held = max(1, default) if wanted is None else wanted
                option = f"{name}: the {_WORDS[part]} split (n_{part})"
                rest, rows[part] = _hold_out(y, rest, n_held, generator, option)
        if "val" in own:
            rest = rest[torch.randperm(len(rest), generator=generator)]
        return rows | {"train": rest}


_WORDS = {"val": "validation", "test": "test"}


def assemble(
    name: str,
    parts: SourceSplits,
    *,
    binarize: Binarize = "none",
    n_val: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Make a `Dataset`, holding out the splits that the source lacks, and binarise it.

    Splits that are held out keep the classes' shares where there are labels, and depend on ``seed``
    alone. A split that the source has is left as it is. The training images are shuffled, so that
    the first n are a fair sample.

    Parameters
    ----------
    name
        The name of the data.
    parts
        The splits that the source has.
    binarize
        Whether and how pixels become 0 or 1: see `Dataset`.
    n_val
        The number of validation images; by default a tenth of what test leaves, at most 5,000.
    n_test
        The number of test images; by default a fifth.
    seed
        0 to 2**64 - 1.

    Returns
    -------
    Dataset
        With all three splits.

    Raises
    ------
    MixvaeError
        For counts that leave a split empty or contradict the source, an unknown ``binarize``, and
        images of different shapes.
    """
    seeds(seed=seed)
    held_out, train = HoldOut(n_val, n_test, seed), parts.train
    splits: dict[str, Any] = {
        p: s for p, s in (("test", parts.test), ("val", parts.val)) if s is not None
    }
    for part, n in (("test", n_test), ("val", n_val)):
        if part in splits and n is not None:
            raise MixvaeError(
                f"{name} has its own {_WORDS[part]} split of {len(splits[part])} examples, and {n} "
                "were to be held out besides; leave that number out."
            )
    rows = held_out.rows(name, train.y, len(train), splits)
    splits |= {part: _take(train, index) for part, index in rows.items()}
    own: dict[str, Any] = {"transform": parts.transform, "batch_names": parts.batch_names}
    own["class_names"] = parts.class_names
    data = Dataset(name, **splits | own, binarize=binarize, seed=seed)
    return _binarized(data)


def _hold_out(
    y: Tensor | None, index: Int64[Tensor, " N"], n: int, generator: Generator, what: str
) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " n"]]:
    """Random order of ``index``, as the rest and ``n`` indices held out, stratified by label."""
    if not isinstance(n, int) or not 1 <= n < len(index):
        raise MixvaeError(
            f"{what} comes out of {len(index)} examples and must have at least 1 and leave at "
            f"least 1 to train on, got {n}. It cannot be empty: the best epoch is chosen on "
            "validation examples, and figures are taken on test examples."
        )
    order = torch.randperm(len(index), generator=generator)
    held = torch.zeros(len(index), dtype=torch.bool)
    held[_stratified(None if y is None else y[index], order, n, generator)] = True
    return index[order[~held[order]]], index[order[held[order]]]


def _stratified(
    y: Tensor | None, order: Int64[Tensor, " N"], n: int, generator: Generator
) -> Int64[Tensor, " n"]:
    """Positions of every (N/n)-th image in the order of the classes.

    The number of images of a class then differs by less than one from its share of n.
    """
    if y is None:
        return order[:n]
    by_class = order[y[order].argsort(stable=True)]
    start = torch.rand((), generator=generator, dtype=torch.float64)
    steps = (torch.arange(n, dtype=torch.float64) + start) * (len(order) / n)
    return by_class[steps.long().clamp(max=len(order) - 1)]


def _take(split: Split, index: Int64[Tensor, " n"]) -> Split:
    known = split if split.index is not None else replace(split, index=torch.arange(len(split)))
    return known.take(index)


def _binarized(data: Dataset) -> Dataset:
    """The data with the pixels that are binarised once: all, or all but those of training."""
    if data.binarize == "threshold":
        splits = {part: getattr(data, part) for part in ("train", "val", "test")}
        return replace(data, **{k: replace(s, x=(s.x > 0.5).float()) for k, s in splits.items()})
    if data.binarize == "dynamic":
        generator = Generator().manual_seed(data.seed)
        # test first, so that it does not depend on n_val
        test, val = (torch.bernoulli(s.x, generator=generator) for s in (data.test, data.val))
        return replace(data, test=replace(data.test, x=test), val=replace(data.val, x=val))
    return data

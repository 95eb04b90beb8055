"""The splits of a data set: holding out those that its source lacks, and binarising."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from mixvae.errors import MixvaeError, seeds

from .dataset import Binarize, Dataset, Split
from .transform import AS_STORED, Transform

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
    """

    train: Split
    val: Split | None = None
    test: Split | None = None
    transform: Transform = AS_STORED


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
    generator, train = Generator().manual_seed(seed), parts.train
    rest = torch.arange(len(train))  # images are copied once, when all splits are known
    splits: dict[str, Split] = {}
    wanted = (("test", "test", parts.test, n_test), ("val", "validation", parts.val, n_val))
    for part, what, own, n in wanted:
        if own is None:
            default = len(rest) // 5 if part == "test" else min(len(rest) // 10, 5000)
            n = max(1, default) if n is None else n
            option = f"{name}: the {what} split (n_{part})"
            rest, held = _hold_out(train.y, rest, n, generator, option)
            own = _take(train, held)
        elif n is not None:
            raise MixvaeError(
                f"{name} has its own {what} split of {len(own)} images, and {n} were to be held "
                "out besides; leave that number out."
            )
        splits[part] = own
    if parts.val is not None:
        rest = rest[torch.randperm(len(rest), generator=generator)]
    splits["train"] = _take(train, rest)
    data = Dataset(name, **splits, binarize=binarize, seed=seed, transform=parts.transform)
    return _binarized(data)


def _hold_out(
    y: Tensor | None, index: Int64[Tensor, " N"], n: int, generator: Generator, what: str
) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " n"]]:
    """Random order of ``index``, as the rest and ``n`` indices held out, stratified by label."""
    if not isinstance(n, int) or not 1 <= n < len(index):
        raise MixvaeError(
            f"{what} comes out of {len(index)} images and must have at least 1 and leave at least "
            f"1 to train on, got {n}. It cannot be empty: the best epoch is chosen on validation "
            "images, and figures are taken on test images."
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
    return replace(split, index=torch.arange(len(split))).take(index)


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

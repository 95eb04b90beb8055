"""From the parts a source has to a whole `Dataset`: hold out what is missing, binarise."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from mixvae.errors import MixvaeError, seeds

from .dataset import Binarize, Dataset, Split
from .transform import AS_STORED, Transform

# What the splits are called in file and folder names, in any case.
SPLIT_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}


@dataclass(frozen=True, eq=False)
class Parts:
    """What a source holds: training images, other splits where it has them, and how it was read."""

    train: Split
    val: Split | None = None
    test: Split | None = None
    transform: Transform = AS_STORED


def assemble(
    name: str,
    parts: Parts,
    *,
    binarize: Binarize = "none",
    n_val: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> Dataset:
    """A `Dataset` with the splits that the source lacks held out of its training images.

    Test: a fifth, unless ``n_test`` says otherwise. Validation: a tenth of what is left, at most
    5,000, unless ``n_val`` does. Both keep the classes' shares where there are labels, and depend
    on ``seed`` alone. A split that the source has is left as it is; the training images are
    shuffled, so that the first n are a fair sample. Raises `MixvaeError` for counts that leave a
    split empty or that contradict the source, and for an unknown ``binarize``.
    """
    seeds(seed=seed)
    generator = Generator().manual_seed(seed)
    train, val, test = parts.train, parts.val, parts.test
    _refuse_both(name, "test", test, n_test)
    _refuse_both(name, "validation", val, n_val)
    rest = torch.arange(len(train))  # images are copied once, when all splits are drawn
    if test is None:
        n = max(1, len(rest) // 5) if n_test is None else n_test
        rest, held = _draw(train.y, rest, n, generator, f"{name}: the test split (n_test)")
        test = _take(train, held)
    if val is None:
        n = max(1, min(len(rest) // 10, 5000)) if n_val is None else n_val
        rest, held = _draw(train.y, rest, n, generator, f"{name}: the validation split (n_val)")
        val = _take(train, held)
    else:
        rest = rest[torch.randperm(len(rest), generator=generator)]
    chosen = _take(train, rest)
    return _binarized(Dataset(name, chosen, val, test, binarize, seed, parts.transform))


def hold_out(split: Split, n: int, generator: Generator, *, what: str) -> tuple[Split, Split]:
    """The rest, and ``n`` images drawn at random, stratified by label; both in random order.

    Raises `MixvaeError` unless 1 <= n < len(split): the best epoch is chosen on one of the parts,
    the final figures come from another, and neither can come from nothing.
    """
    rest, held = _draw(split.y, torch.arange(len(split)), n, generator, what)
    return _take(split, rest), _take(split, held)


def _draw(
    y: Tensor | None, index: Int64[Tensor, " N"], n: int, generator: Generator, what: str
) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " n"]]:
    """`hold_out` among the images at ``index``, as indices."""
    if not isinstance(n, int) or not 1 <= n < len(index):
        raise MixvaeError(
            f"{what} comes out of {len(index)} images and must have at least 1 and leave at least "
            f"1 to train on, got {n}. It cannot be empty: the best epoch is chosen on validation "
            "images, and figures are taken on test images."
        )
    order = torch.randperm(len(index), generator=generator)
    held = torch.zeros(len(index), dtype=torch.bool)
    held[_evenly(None if y is None else y[index], order, n, generator)] = True
    return index[order[~held[order]]], index[order[held[order]]]


def _evenly(
    y: Tensor | None, order: Int64[Tensor, " N"], n: int, generator: Generator
) -> Int64[Tensor, " n"]:
    """Draw every (N/n)-th image once they lie class by class.

    So each class gives its share, give or take one, and the total is exactly n.
    """
    if y is None:
        return order[:n]
    by_class = order[y[order].argsort(stable=True)]
    start = torch.rand((), generator=generator, dtype=torch.float64)
    steps = (torch.arange(n, dtype=torch.float64) + start) * (len(order) / n)
    return by_class[steps.long().clamp(max=len(order) - 1)]


def _take(split: Split, index: Int64[Tensor, " n"]) -> Split:
    return replace(split, index=torch.arange(len(split))).take(index)


def _refuse_both(name: str, what: str, own: Split | None, asked: int | None) -> None:
    if own is not None and asked is not None:
        raise MixvaeError(
            f"{name} has its own {what} split of {len(own)} images, and {asked} were to be held "
            "out besides; leave that number out."
        )


def _binarized(data: Dataset) -> Dataset:
    """Binarise what is binarised once: everything, or all but what the trainer redraws."""
    splits = {"train": data.train, "val": data.val, "test": data.test}
    if data.binarize == "threshold":
        splits = {name: replace(s, x=(s.x > 0.5).float()) for name, s in splits.items()}
    elif data.binarize == "dynamic":
        generator = Generator().manual_seed(data.seed)
        for name in ("test", "val"):  # test first, so that it does not depend on n_val
            split = splits[name]
            splits[name] = replace(split, x=torch.bernoulli(split.x, generator=generator))
    return replace(data, train=splits["train"], val=splits["val"], test=splits["test"])

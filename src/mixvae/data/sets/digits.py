"""Small handwritten digits, 1,797 grey images of 8 by 8; comes with scikit-learn, no download."""

from pathlib import Path

from mixvae.data.conversion import make_split
from mixvae.data.splits import SourceSplits


def read(_home: Path) -> SourceSplits:
    """All images, (1797, 1, 8, 8), without a test split, the levels 0..16 scaled to [0, 1]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return SourceSplits(make_split(bunch.images / 16, bunch.target, where="digits"))

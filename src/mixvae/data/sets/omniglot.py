"""Characters of 50 alphabets, 24,345 + 8,070 grey images of 28 by 28 (Lake et al., 2015).

Read from ``chardata.mat``, the file that Burda et al. (2016) published and on which the literature
reports likelihoods. Those of a file that was resized or split in another way do not compare with
them, and nothing in the file tells the two apart.
"""

from pathlib import Path

import numpy as np

from mixvae.data.conversion import make_split
from mixvae.data.dataset import Split
from mixvae.data.download import Remote, locate
from mixvae.data.formats.matlab import read_matlab
from mixvae.data.splits import SourceSplits
from mixvae.errors import MixvaeError

FILE = "chardata.mat"
URL = "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat"
SIDE, N_ALPHABETS = 28, 50


def read(home: Path) -> SourceSplits:
    """Train and test, (N, 1, 28, 28); the labels are alphabets."""
    remote = Remote(FILE, URL, "sha256", None)
    path = locate("omniglot", [remote], home, ("omniglot", "OMNIGLOT"))[FILE]
    images, targets = (SIDE**2, None), (N_ALPHABETS, None)
    shapes = {"data": images, "target": targets, "testdata": images, "testtarget": targets}
    arrays = read_matlab(path, shapes)
    train = _split(arrays["data"], arrays["target"], f"{path}, data")
    return SourceSplits(
        train, test=_split(arrays["testdata"], arrays["testtarget"], f"{path}, testdata")
    )


def _split(pixels: np.ndarray, alphabets: np.ndarray, where: str) -> Split:
    """The split of an array whose columns are images, stored column after column."""
    one_hot = ((alphabets == 0) | (alphabets == 1)).all() and (alphabets.sum(0) == 1).all()
    if pixels.shape[1] != alphabets.shape[1] or not one_hot:
        raise MixvaeError(
            f"{where}: expected one alphabet for each of {pixels.shape[1]} images, got targets of "
            f"shape {alphabets.shape} whose columns are not all one-hot."
        )
    images = pixels.T.reshape(-1, 1, SIDE, SIDE).swapaxes(2, 3)
    return make_split(images, alphabets.argmax(0), where=where)

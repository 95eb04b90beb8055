"""One face in 1,965 moods, grey images of 28 by 20 in the order of a film (Roweis).

There is no published split. As in the literature 200 images are held out for testing, here by a
fixed permutation; ``n_val=200`` gives the literature's validation split too. Successive frames are
much alike, so that a random split is easier than its size suggests.
"""

from pathlib import Path

import numpy as np

from mixvae.data.conversion import make_split
from mixvae.data.download import Remote, locate
from mixvae.data.formats.matlab import read_matlab
from mixvae.data.splits import SourceSplits
from mixvae.data.transform import BYTES

FILE = "frey_rawface.mat"
URL = "https://cs.nyu.edu/~roweis/data/frey_rawface.mat"
HEIGHT, WIDTH, N_TEST = 28, 20, 200


def read(home: Path) -> SourceSplits:
    """Train and 200 test images, (N, 1, 28, 20), levels k/255; no labels."""
    remote = Remote(FILE, URL, "sha256", None)
    path = locate("frey-faces", [remote], home, ("frey_faces", "frey-faces"))[FILE]
    faces = read_matlab(path, {"ff": (HEIGHT * WIDTH, None)})["ff"].T
    order = np.random.default_rng(0).permutation(len(faces))
    images = faces[order].reshape(-1, 1, HEIGHT, WIDTH)
    n_test = min(N_TEST, len(images) // 2)
    train, test = images[n_test:], images[:n_test]
    splits = (make_split(part, where=str(path), transform=BYTES) for part in (train, test))
    return SourceSplits(next(splits), test=next(splits), transform=BYTES)

"""Networks whose features and class probabilities image scores are computed from."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.data.dataset import Dataset
from mixvae.data.download import cache_home
from mixvae.errors import MixvaeError, MixvaeWarning, is_a, seeds
from mixvae.seeding import noise
from mixvae.storage.reading import parse_json
from mixvae.storage.weights import form_of, read_weights, write_weights

from .classifier import VERSION, Classifier, accuracy_percent, train_classifier
from .mode import evaluation_mode

Outputs = tuple[Tensor, Tensor]  # features (B, D) and logits (B, C)


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """Network of image scores, with a name that is given beside them.

    Scores of different networks cannot be compared, so that its name should say all: the weights,
    and how images are resized and scaled for them.

    Parameters
    ----------
    name
        Its name.
    compute
        Function of images (B, *X) in [0, 1] that returns features (B, D) and logits of the classes
        (B, C). An ``nn.Module`` is called in evaluation mode.
    x_shape
        Shape of the x that it takes; None is any.
    accuracy_percent
        Its accuracy on the test images of its own data set; None if unknown.

    Examples
    --------
    >>> def by_brightness(x):
    ...     features = x.flatten(1).mean(1, keepdim=True)
    ...     return features, torch.cat([features, 1 - features], 1)
    >>> network = FeatureNetwork("brightness", by_brightness)
    >>> network(torch.rand(5, 1, 8, 8))[1].shape
    torch.Size([5, 2])
    """

    name: str
    compute: Callable[[Tensor], Outputs]
    x_shape: tuple[int, ...] | None = None
    accuracy_percent: float | None = None

    def __call__(self, x: Float[Tensor, "B *X"]) -> Outputs:
        """Features (B, D) and logits (B, C) of images, in float64 on the CPU.

        Parameters
        ----------
        x
            Images in [0, 1].

        Raises
        ------
        MixvaeError
            For x of another shape than ``x_shape``, and unless two matrices come back.
        """
        self.check(tuple(x.shape[1:]))
        module = self.compute if isinstance(self.compute, nn.Module) else nn.Identity()
        with evaluation_mode(module), torch.no_grad():
            found = self.compute(x)
        if not _are_outputs(found, len(x)):
            raise MixvaeError(
                f"the feature network {self.name} must return features (B, D) and logits (B, C), "
                f"two tensors, for {len(x)} images."
            )
        features, logits = (part.detach().cpu().double() for part in found)
        return features, logits

    def check(self, x_shape: tuple[int, ...]) -> None:
        """Raise `MixvaeError` for x of another shape than the network's.

        Parameters
        ----------
        x_shape
            Shape of one x.
        """
        if self.x_shape not in (None, x_shape):
            raise MixvaeError(
                f"the feature network {self.name} takes x of shape {self.x_shape}; got {x_shape}. "
                "Take a network of these data, such as feature_network(data)."
            )


def feature_network(
    data: Dataset,
    cache: str | Path | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> FeatureNetwork:
    """Classifier of a data set, trained on its training images or read from the cache.

    It has three convolutions (dense layers where x is a vector) and 128 features. On one core its
    training takes about two minutes for 50,000 images of 32 x 32. The file in the cache is named by
    the content of the data, so that any other data have a classifier of their own; it is written
    whole, with a checksum, and processes that train the same classifier at once write the same.

    Parameters
    ----------
    data
        A data set with labels.
    cache
        Folder for the weights; by default ``mixvae/classifiers`` in the user's cache.
    seed
        Seed of the classifier's training.
    device
        Where it is trained and used.
    progress
        Show a progress bar while it is trained.

    Returns
    -------
    network
        With the classifier's accuracy on the test images.

    Raises
    ------
    MixvaeError
        For data without labels, or with training images of one class only.

    Warns
    -----
    MixvaeWarning
        Where a file in the cache is damaged, and the classifier is trained again; and where it
        cannot be written.
    """
    is_a(Dataset, "such as mixvae.data.load('mnist')", data=data)
    seeds(seed=seed)
    n_classes = _check_labels(data)
    key = _key(data, seed)
    path = (cache_home() / "classifiers" if cache is None else Path(cache).expanduser()) / (
        blake2b(key.encode(), digest_size=16).hexdigest() + ".safetensors"
    )
    with noise(seed, torch.device(device)):  # one thread at a time
        classifier = Classifier(data.x_shape, n_classes).to(device)
        found = _read(classifier, path)
        if found is None:
            train_classifier(classifier, data, progress=progress)
            assert data.test.y is not None
            found = accuracy_percent(classifier, data.test.x, data.test.y)
            _write(classifier, found, key, path)
    classifier.eval()
    return FeatureNetwork(
        f"classifier of {data.name}",
        lambda x: classifier(x.to(device, torch.float32)),
        data.x_shape,
        found,
    )


def _check_labels(data: Dataset) -> int:
    """The number of classes; raise `MixvaeError` where there is nothing to train on."""
    if data.n_classes is None or data.train.y is None:
        raise MixvaeError(
            f"{data.name} has no labels to train a classifier with; give a FeatureNetwork of your "
            "own, or take data with labels."
        )
    if len(data.train.y.unique()) < 2:
        raise MixvaeError(
            f"a classifier needs two classes; all training images of {data.name} are of one."
        )
    return data.n_classes


def _key(data: Dataset, seed: int) -> str:
    """Text of all that the weights depend on."""
    described = data.describe()
    of_data = {name: described[name] for name in ("content", "binarize", "seed")}
    return json.dumps({"version": VERSION, "seed": seed, "data": of_data}, sort_keys=True)


def _read(classifier: Classifier, path: Path) -> float | None:
    """Load weights and return the test accuracy in %; None where they must be trained."""
    if not path.exists():
        return None
    try:
        saved = read_weights(path)
        known = parse_json(saved.recipe)
        if form_of(saved.weights) != form_of(classifier.state_dict()):
            raise MixvaeError(f"{path} has the weights of another network.")
        accuracy = float(known["test_accuracy_percent"])
    except (MixvaeError, KeyError, TypeError, ValueError) as error:
        warnings.warn(
            f"the classifier in the cache is trained again, since its file is damaged: {error}",
            MixvaeWarning,
            stacklevel=3,
        )
        return None
    classifier.load_state_dict(saved.weights)
    return accuracy


def _write(classifier: Classifier, accuracy: float, key: str, path: Path) -> None:
    """Write weights, test accuracy and what they depend on."""
    about: dict[str, Any] = {"test_accuracy_percent": accuracy, "of": json.loads(key)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_weights({n: w.cpu() for n, w in classifier.state_dict().items()}, about, path)
    except OSError as error:
        warnings.warn(
            f"the classifier could not be written into the cache, and is trained again next time: "
            f"{error}",
            MixvaeWarning,
            stacklevel=3,
        )


def _are_outputs(found: Any, n: int) -> bool:
    """Whether a network returned features (n, D) and logits (n, C)."""
    return (
        isinstance(found, tuple)
        and len(found) == 2
        and all(isinstance(part, Tensor) and part.ndim == 2 and len(part) == n for part in found)
    )

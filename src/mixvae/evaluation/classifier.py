"""A small classifier of a data set, whose features and class probabilities image scores use."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mixvae.data.dataset import Dataset
from mixvae.progress import track

from .mode import evaluation_mode

VERSION = 1  # of all that follows; with another version the cached classifiers are trained again
WIDTHS = (32, 64, 128)  # channels of convolutions, each of which halves the image
HIDDEN = (512, 256)  # widths of the layers for x that are vectors
N_FEATURES = 128
DROPOUT = 0.5
BATCH = 128
EPOCHS, STEPS = 10, 1000  # of training: at least so many of each
LEARNING_RATE = 3e-3  # the peak of one cycle


class Classifier(nn.Module):
    """Classifier of images or vectors: convolutions or dense layers, 128 features, logits.

    Parameters
    ----------
    x_shape
        Shape of one x: (channels, height, width), or (D,).
    n_classes
        Number of classes C.
    """

    def __init__(self, x_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        body = nn.Sequential(*_body(x_shape))
        with torch.no_grad():
            n_inputs = body.eval()(torch.zeros(1, *x_shape)).shape[1]
        layer = nn.Linear(n_inputs, N_FEATURES)
        self.body = nn.Sequential(*body, layer, nn.ReLU()).train()
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(N_FEATURES, n_classes))

    def forward(
        self, x: Float[Tensor, "B *X"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B C"]]:
        """Features, (B, 128), and logits, (B, C)."""
        features = self.body(x)
        return features, self.head(features)


def _body(x_shape: tuple[int, ...]) -> Iterator[nn.Module]:
    """Layers from x to a vector."""
    if len(x_shape) == 3:
        for n_in, n in pairwise([x_shape[0], *WIDTHS]):
            conv = nn.Conv2d(n_in, n, 3, stride=2, padding=1, bias=False)
            yield from (conv, nn.BatchNorm2d(n), nn.ReLU())
    yield nn.Flatten()
    if len(x_shape) != 3:
        for n_in, n in pairwise([torch.Size(x_shape).numel(), *HIDDEN]):
            yield from (nn.Linear(n_in, n, bias=False), nn.BatchNorm1d(n), nn.ReLU())


def train_classifier(classifier: Classifier, data: Dataset, *, progress: bool = False) -> None:
    """Train on the training images, with Adam, by PyTorch's default generators.

    Where data are binarised dynamically, half of the images of a batch are sampled as 0 or 1 and
    the others are grey levels, since a model's reconstructions are probabilities.
    """
    x, y = data.train.x, data.train.y
    assert y is not None
    device = next(classifier.parameters()).device
    n_batches = max(1, len(x) // BATCH)  # even ones, as batch norm needs two rows
    epochs = max(EPOCHS, -(-STEPS // n_batches))
    optimizer = torch.optim.Adam(classifier.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * n_batches
    )
    classifier.train()
    for _ in track(range(epochs), f"classifier of {data.name}, epochs", epochs, show=progress):
        for rows in torch.randperm(len(x)).tensor_split(n_batches):
            shown = x[rows]
            if data.binarize == "dynamic":
                shown = torch.where(_half(shown), torch.bernoulli(shown), shown)
            logits = classifier(shown.to(device))[1]
            optimizer.zero_grad()
            cross_entropy(logits, y[rows].to(device)).backward()
            optimizer.step()
            schedule.step()
    classifier.eval()


def accuracy_percent(classifier: Classifier, x: Float[Tensor, "N *X"], y: Tensor) -> float:
    """Accuracy on labelled images, in %."""
    device = next(classifier.parameters()).device
    with evaluation_mode(classifier), torch.no_grad():
        parts = x.split(1000)
        found = torch.cat([classifier(part.to(device))[1].argmax(1).cpu() for part in parts])
    return 100 * float((found == y).double().mean())


def _half(x: Float[Tensor, "B *X"]) -> Tensor:
    """Mask of a random half of the rows, (B, 1, ...)."""
    return (torch.rand(len(x)) < 0.5).view(-1, *[1] * (x.ndim - 1))

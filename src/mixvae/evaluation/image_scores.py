"""Inception Score and Fréchet distance (FID) of reconstructions and samples."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import entr

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError, is_a, whole
from mixvae.model import MixtureVAE
from mixvae.recipes.building import BuiltRecipe

from .batches import spaced
from .feature_network import FeatureNetwork
from .one_pass import Batch, accumulate

SETS = ("data", "reconstructions", "samples")
TOO_FEW = "image scores need two images at least"


def image_scores(
    model: MixtureVAE | BuiltRecipe,
    split: Split,
    network: FeatureNetwork,
    *,
    n: int | None = None,
    n_splits: int = 1,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    r"""Inception Score and FID of reconstructions and of samples, by a feature network.

    The Inception Score is :math:`\exp E_x KL(p(y|x) \| p(y))`, with the network's class
    probabilities p(y | x) and their mean p(y) over the images. It is between 1 and the number of
    classes, too low for few images, and that of the test images themselves is what a perfect
    model would have. FID is the Fréchet distance to the test images of two normals that are fitted
    to the features. It is biased upward, the more so the fewer images there are.

    Figures of different networks, or of different numbers of images, cannot be compared.

    Parameters
    ----------
    model
        A model in any mode, to which it returns; or a recipe, whose model is meant.
    split
        Test images.
    network
        The network, such as ``feature_network(data)``.
    n
        Use so many test images only, evenly spaced, and as many samples; by default all.
    n_splits
        Parts of the images, of every ``n_splits``-th image, over which the Inception Score is
        averaged.
    batch_size
        Rows at a time; samples depend on it.
    seed
        Seed of the samples, whose codes are from the prior.

    Returns
    -------
    scores
        ``data``, ``reconstructions`` and ``samples``: ``inception_score`` (higher is better), for
        several splits ``inception_score_sd``, their standard deviation, and but for ``data``
        ``fid`` (lower is better). The reconstructions are deterministic, and samples are means of
        p(x | z); all are cut off at 0 and 1. Then ``network``, its
        name; ``network_accuracy_percent``, on its own test images, and
        ``accuracy_percent_here``, on those of ``split``, where known; ``n``, the images of each
        set; ``n_splits``; ``n_features``; ``how``, all this in words. FID is None unless n is
        above the number of features, and all figures of a single image are, for which ``note``
        gives the reason.

    Raises
    ------
    MixvaeError
        For images that the model or the network does not take, or fewer images than splits.

    References
    ----------
    Salimans et al., Improved techniques for training GANs (NeurIPS 2016); Heusel et al., GANs
    trained by a two time-scale update rule (NeurIPS 2017). Of reconstructions: M-VAE (15), Table
    III; MVAE (37), Tables I to III.

    Examples
    --------
    >>> import mixvae
    >>> model = mixvae.build("vae", (1, 8, 8), hidden=[8], n_latent=2).model
    >>> network = FeatureNetwork("pixels", lambda x: (x.flatten(1)[:, :3], x.flatten(1)[:, 3:5]))
    >>> scores = image_scores(model, Split(torch.rand(20, 1, 8, 8)), network)
    >>> sorted(scores["samples"])
    ['fid', 'inception_score']
    """
    model = model.model if isinstance(model, BuiltRecipe) else model
    some = spaced(split, n)
    x, y = some.x, some.y
    scores = ImageScores(network, y, n_splits=n_splits)
    network.check(tuple(x.shape[1:]))
    accumulate(model, x, y, [scores], batch_size=batch_size, seed=seed)
    return scores.result()


class ImageScores:
    """Accumulator of :func:`image_scores`."""

    def __init__(
        self, network: FeatureNetwork, y: Tensor | None = None, *, n_splits: int = 1
    ) -> None:
        is_a(FeatureNetwork, "such as feature_network(data)", network=network)
        whole(1, n_splits=n_splits)
        self.network, self.y, self.n_splits = network, y, n_splits
        self.features: dict[str, list[Tensor]] = {name: [] for name in SETS}
        self.logits: dict[str, list[Tensor]] = {name: [] for name in SETS}

    def add(self, batch: Batch) -> None:
        images = {
            "data": batch.x,
            "reconstructions": batch.reconstruction,
            "samples": batch.model.sample(len(batch.x), y=batch.y),  # a class for each, if asked
        }
        for name, x in images.items():
            features, logits = self.network(x.clamp(0, 1))
            self.features[name].append(features)
            self.logits[name].append(logits)

    def result(self) -> dict[str, Any]:
        features = {name: torch.cat(parts) for name, parts in self.features.items()}
        logits = {name: torch.cat(parts) for name, parts in self.logits.items()}
        n, n_features = features["data"].shape
        if n < self.n_splits:
            raise MixvaeError(f"n_splits must be at most the {n} images; got {self.n_splits}.")
        scores: dict[str, Any] = {name: {} for name in SETS}
        for name in SETS:
            mean, sd = inception_score(logits[name], self.n_splits) if n > 1 else (None, None)
            scores[name]["inception_score"] = mean
            if self.n_splits > 1:
                scores[name]["inception_score_sd"] = sd
            if name != "data":
                is_defined = n > n_features
                scores[name]["fid"] = (
                    frechet_distance(features[name], features["data"]) if is_defined else None
                )
        scores |= self._about(n, n_features, logits["data"])
        if n <= n_features:
            needed = f"FID needs more images than the {n_features} features"
            scores["note"] = TOO_FEW if n == 1 else f"{needed}; got {n}"
        return scores

    def _about(self, n: int, n_features: int, logits: Tensor) -> dict[str, Any]:
        """The network, its accuracies, and the numbers of images, splits and features."""
        about: dict[str, Any] = {"network": self.network.name}
        how = self.network.name
        if self.network.accuracy_percent is not None:
            about["network_accuracy_percent"] = self.network.accuracy_percent
            how += f", accuracy {self.network.accuracy_percent:.1f}% on its own test images"
            if self.y is not None:
                here = 100 * float((logits.argmax(1) == self.y.cpu()).double().mean())
                about["accuracy_percent_here"] = here
                how += f", {here:.1f}% on these"
        if self.network.accuracy_percent is None:
            how += ", accuracy unknown"
        splits = f" in {self.n_splits} splits" if self.n_splits > 1 else ""
        how += f"; {n:,} images{splits}, {n_features} features"
        numbers = {"n": n, "n_splits": self.n_splits, "n_features": n_features}
        return about | numbers | {"how": how}


def inception_score(logits: Float[Tensor, "N C"], n_splits: int = 1) -> tuple[float, float]:
    """Inception Score from logits: mean and standard deviation over splits.

    Parameters
    ----------
    logits
        Logits of the classes for each image.
    n_splits
        Number of splits; the i-th has every ``n_splits``-th image from the i-th on.

    Returns
    -------
    mean, sd
        The mean, between 1 and C, and the standard deviation; 0 for one split.
    """
    scores = []
    probabilities = logits.double().softmax(1)
    for i in range(n_splits):
        p = probabilities[i::n_splits]
        information = entr(p.mean(0)).sum() - entr(p).sum(1).mean()  # E KL(p(y|x) || p(y))
        scores.append(float(information.exp()))
    return float(np.mean(scores)), float(np.std(scores))


def frechet_distance(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"]) -> float:
    r"""Fréchet distance of the normals with the means and covariances of two samples.

    :math:`\|\mu_a - \mu_b\|^2 + tr(\Sigma_a + \Sigma_b - 2 (\Sigma_a \Sigma_b)^{1/2})`, in float64.

    Parameters
    ----------
    a, b
        Samples; two rows at least of each.

    Returns
    -------
    distance
        Not negative; NaN for samples that are not finite.
    """
    a, b = a.double(), b.double()
    if not bool(a.isfinite().all() and b.isfinite().all()):
        return float("nan")
    cov_a, cov_b = torch.atleast_2d(a.T.cov()), torch.atleast_2d(b.T.cov())
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # The eigenvalues of root @ cov_b @ root, which is symmetric, are those of cov_a @ cov_b.
    common = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * common
    return max(float(distance), 0.0)

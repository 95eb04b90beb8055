"""Figures of a trained system, by the package's own evaluation."""

from typing import Any

import torch
from experiments.rivals.system import Sampler, System, Trained
from torch import Tensor

from mixvae.data import Dataset
from mixvae.evaluation import FeatureNetwork, frechet_distance, inception_score
from mixvae.evaluation.batches import spaced

NAMES = (
    *("log_px", "log_px_error", "log_px_is", "inception_score", "inception_score_data", "fid"),
    *("rmse", "accuracy", "spread", "nearest", "classes", "classes_data", "collapsed"),
)
FEW = 1000  # images, of which distances of pairs are computed
LEAST = 0.1  # of the even share: with less a class is missing among the samples
COLLAPSED = 0.25  # of the data's variance, or distance to the nearest image
AT_ONCE = 500


def figures(
    system: System, trained: Trained, data: Dataset, network: FeatureNetwork | None
) -> dict[str, Any]:
    """All figures of NAMES; "" for those that the system or the data do not have."""
    found: dict[str, Any] = dict.fromkeys(NAMES, "")
    x = data.test.x
    if trained.log_px is not None:
        log_px = trained.log_px(x)
        found |= {"log_px": f"{log_px.mean:.2f}", "log_px_is": log_px.what}
        if log_px.error is not None:
            found["log_px_error"] = f"{log_px.error:.3f}"
    if trained.reconstruct is not None:
        errors = (trained.reconstruct(x) - x).flatten(1).double().square().sum(1)
        found["rmse"] = f"{float(errors.mean().sqrt()):.3f}"
    if trained.accuracy is not None:
        found["accuracy"] = f"{trained.accuracy():.2f}"
    if trained.sample is not None:
        some = spaced(data.test, min(system.n_images, len(x))).x
        found |= of_samples(some, trained.sample, network)
    return found


@torch.no_grad()
def of_samples(x: Tensor, sample: Sampler, network: FeatureNetwork | None) -> dict[str, Any]:
    """Figures of as many samples as test images: quality by the classifier, and diversity."""
    made = sample(len(x)).clamp(0, 1)
    if not made.isfinite().all():
        return {"collapsed": "yes: samples are not finite"}
    spread = ratio(made, x, lambda a: a.flatten(1).var(0).sum())
    nearest = ratio(made[:FEW], x[:FEW], distance)
    found = {"spread": f"{spread:.3f}", "nearest": f"{nearest:.3f}"}
    signs = {"variance": spread < COLLAPSED, "distances": nearest < COLLAPSED}
    if network is not None:
        of_made, of_data = (outputs(network, images) for images in (made, x))
        found |= scores(of_made, of_data)
        few = int(found["classes"]) < int(found["classes_data"]) / 2
        signs["classes"] = few
    what = ", ".join(name for name, low in signs.items() if low)
    return found | {"collapsed": f"yes: {what}" if what else "no"}


def scores(made: tuple[Tensor, Tensor], data: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """Inception Score, FID where defined, and the number of classes that occur."""
    n, n_features = made[0].shape
    fid = f"{frechet_distance(made[0], data[0]):.1f}" if n > n_features else ""
    return {
        "inception_score": f"{inception_score(made[1])[0]:.3f}",
        "inception_score_data": f"{inception_score(data[1])[0]:.3f}",
        "fid": fid,
        "classes": str(classes(made[1])),
        "classes_data": str(classes(data[1])),
    }


def outputs(network: FeatureNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
    """Features and logits of all images."""
    parts = [network(part) for part in x.split(AT_ONCE)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def classes(logits: Tensor) -> int:
    """Number of classes with at least a tenth of the even share of the images."""
    n, n_classes = logits.shape
    counts = logits.argmax(1).bincount(minlength=n_classes)
    return int((counts >= LEAST * n / n_classes).logical_and(counts > 0).sum())


def ratio(made: Tensor, data: Tensor, figure: Any) -> float:
    """A figure of samples over that of test images."""
    return float(figure(made.double()) / figure(data.double()).clamp_min(1e-12))


def distance(x: Tensor) -> Tensor:
    """Mean distance of an image to the nearest other one."""
    apart = torch.cdist(x.flatten(1), x.flatten(1))
    return apart.fill_diagonal_(float("inf")).min(1).values.mean()

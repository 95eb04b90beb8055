"""Scores of a run's images by a feature network."""

from dataclasses import replace
from typing import Any

from mixvae.evaluation import feature_network
from mixvae.evaluation import image_scores as scores_of_images

from .subject import Subject


def image_scores(subject: Subject, *, n: int | None = None) -> dict[str, Any]:
    """Inception Score and FID of reconstructions and samples.

    The feature network is a classifier trained on all training images of the data set.
    """
    data = subject.load(replace(subject.job.data, subset=None, binarize="none"))
    n = None if n is None else min(n, len(subject.data.test))
    model = subject.run.recipe.model
    return scores_of_images(model, subject.data.test, feature_network(data), n=n)

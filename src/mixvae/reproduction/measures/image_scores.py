"""Inception Score and FID of a run."""

from dataclasses import replace
from typing import Any

from mixvae.evaluation import feature_network
from mixvae.evaluation import image_scores as scores_of

from .subject import Subject


def image_scores(subject: Subject, **arguments: Any) -> dict[str, Any]:
    """Inception Score and FID of reconstructions and samples, as in MVAE (37).

    They are computed with a classifier of the data set, which is trained on all of its training
    images, also where the run's are a subset.
    """
    network = feature_network(subject.load(replace(subject.job.data, subset=None)))
    how = {"batch_size": subject.batch_size} | arguments
    return scores_of(subject.run.recipe, subject.data.test, network, **how)

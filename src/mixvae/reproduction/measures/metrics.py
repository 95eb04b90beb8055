"""Metrics of a run, and of its pruned model."""

from collections.abc import Sequence
from typing import Any

from mixvae.evaluation import evaluate
from mixvae.pruning import prune

from .subject import Subject


def metrics(subject: Subject, **arguments: Any) -> dict[str, Any]:
    """The run's metrics, and those that :func:`mixvae.evaluation.evaluate` computes anew."""
    found = dict(subject.run.metrics)
    if arguments:
        how = {"batch_size": subject.batch_size, "progress": True} | arguments
        found |= evaluate(subject.run.recipe, subject.data.test, **how)
    found["precision"] = subject.settings["precision"]
    return found


def pruned(subject: Subject) -> dict[str, Any]:
    """Metrics of the model without the components that dropout removed; empty without dropout."""
    recipe = subject.run.recipe
    if recipe.model.dropout is None:
        return {}
    names: Sequence[str] = ["reconstruction"]
    return evaluate(prune(recipe), subject.data.test, batch_size=subject.batch_size, metrics=names)

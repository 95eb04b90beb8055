"""Metrics of a run, and of its pruned model."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixvae.evaluation import LogLikelihood, evaluate
from mixvae.objectives.objective import is_kl
from mixvae.pruning import prune

from .subject import Subject


def metrics(subject: Subject, **arguments: Any) -> dict[str, Any]:
    """The run's metrics, and those that :func:`mixvae.evaluation.evaluate` computes anew.

    All estimates of log p(x) are kept, as ``log_likelihood.each``. ``terms`` has those of the
    objective as the papers' tables have them, positive: ``kl``, and ``re``, all else.
    """
    found, kept = dict(subject.run.metrics), list[LogLikelihood]()
    if arguments:
        how = {"batch_size": subject.batch_size, "progress": True} | arguments
        found |= evaluate(subject.run.recipe, subject.data.test, keep=kept.append, **how)
    for estimates in kept:
        found["log_likelihood"]["each"] = [round(v, 3) for v in estimates.log_prob.tolist()]
    found["terms"] = _terms(found["bounds"])
    found["precision"] = subject.settings["precision"]
    return found


def pruned(subject: Subject) -> dict[str, Any]:
    """Metrics of the model without the components that dropout removed; empty without dropout."""
    recipe = subject.run.recipe
    if recipe.model.dropout is None:
        return {}
    names: Sequence[str] = ["reconstruction"]
    return evaluate(prune(recipe), subject.data.test, batch_size=subject.batch_size, metrics=names)


def _terms(bounds: Mapping[str, Any]) -> dict[str, float]:
    """RE and KL, of an objective that has a KL term."""
    terms = {name.removeprefix("objective/"): value for name, value in bounds.items()}
    kl = [value for name, value in terms.items() if is_kl(name) and value is not None]
    if not kl or bounds["objective"] is None:
        return {}
    return {"re": sum(kl) - bounds["objective"], "kl": -sum(kl)}

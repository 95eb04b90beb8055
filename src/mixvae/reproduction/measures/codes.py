"""What the codes of a run are good for."""

from typing import Any

from mixvae.evaluation import representation as scores_of_codes
from mixvae.experiments.item import Data

from .subject import Subject


def representation(
    subject: Subject, *, data: Data | None = None, **arguments: Any
) -> dict[str, Any]:
    """Accuracies of classifiers on the codes, of the run's data or of others with labels."""
    labelled = subject.data if data is None else subject.load(data)
    model = subject.run.recipe.model
    return scores_of_codes(model, labelled.train, labelled.test, **arguments)

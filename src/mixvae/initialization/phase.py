"""A phase of training: epochs on one objective, and what follows them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.data.dataset import Dataset
from mixvae.data.rows import TensorOrRows
from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.objectives import Objective, Terms

CODING_BATCH = 500  # rows at a time whose posteriors are computed


@dataclass(frozen=True)
class Phase:
    """A part of a run: epochs in which a module is trained to maximise one objective.

    The training loop gives every phase the run's optimizer, batch size, clipping and precision, a
    progress bar, rows in the history, the check for NaN, checkpoints and exact resuming. All that
    a phase needs to resume must be in the state of its module or of the model.

    Parameters
    ----------
    name
        In the progress bar, the log and the checkpoint; no two phases of a run share one.
    module
        The module, all of whose parameters are trained.
    objective
        ``(module, x, kl_weight, y) -> terms``, scalars whose sum is maximised. Where rows have
        weights, they are one argument more.
    epochs
        Passes over the training data, after each of which there is a checkpoint.
    kl_weight
        ``(step, n_steps) -> weight`` of the KL terms at a step, counted from 1, of all the steps
        of this phase.
    labels
        Gives ``y`` (N,) of the training data when the phase begins, or None.
    at_end
        Called after the last epoch, on the first process and with a fixed seed; what it does to
        the model and to the modules of later phases is sent to the other processes.
    own_schedule
        Whether the run's learning-rate schedule applies; otherwise the rate is constant.
    validated
        Whether every epoch ends with validation, and chooses the weights that are kept.
    passes
        Passes over the data that count as one epoch: several for a phase that is over in seconds.
    """

    name: str
    module: nn.Module
    objective: Callable[..., Terms]
    epochs: int
    kl_weight: Callable[[int, int], float] = lambda step, n_steps: 1.0
    labels: Callable[[], Tensor | None] = lambda: None
    at_end: Callable[[], None] = lambda: None
    own_schedule: bool = False
    validated: bool = False
    passes: int = 1


class Initialization(ABC):
    """The phases of a recipe before a model's own training; a model goes through them once.

    Attributes
    ----------
    done
        True once they are over: a recipe that is trained again goes on from where it is. Those of
        trained, loaded and pruned models have no initialization.
    """

    done: bool = False

    def check(self, model: MixtureVAE, data: Dataset) -> None:
        """Raise a MixvaeError for data that the phases cannot start from; by default for none.

        Parameters
        ----------
        model
            As the recipe built it.
        data
            What the run is to be trained on.
        """
        return

    @abstractmethod
    def phases(
        self, model: MixtureVAE, objective: Objective, data: Dataset, *, seed: int, n_batches: int
    ) -> list[Phase]:
        """Make the phases; nothing is trained yet.

        Parameters
        ----------
        model, objective
            As the recipe built them.
        data
            What the run is trained on.
        seed
            Of the noise and of new weights.
        n_batches
            Batches of an epoch.

        Returns
        -------
        list of Phase
            In order.
        """


def check_enough(what: str, n: int, data: Dataset) -> None:
    """Refuse more components, or clusters of a prior, than there are x to start them from."""
    if n > len(data.train):
        raise MixvaeError(
            f"{n} {what} cannot start from {len(data.train)} training examples: {data.name} has "
            f"{len(data.val)} more, which are held out for validation, and {len(data.test)} for "
            f"test. Use at most {len(data.train)} {what}."
        )


def sampled(data: Dataset, x: TensorOrRows) -> TensorOrRows:
    """Training data as a model sees them: sampled anew where they are binarised dynamically."""
    return torch.bernoulli(x) if data.binarize == "dynamic" else x


def posteriors(
    model: MixtureVAE, x: TensorOrRows
) -> tuple[Float[Tensor, "N L"], Float[Tensor, "N L"]]:
    """Means and scales of q(z | x) under the model's one component, on the CPU."""
    from mixvae.evaluation.batches import batches, evaluating

    with evaluating(model):
        found = [model.infer(rows)[0] for rows, _ in batches(model, x, None, CODING_BATCH)]
    mean, scale = [q.mean[:, 0] for q in found], [q.stddev[:, 0] for q in found]
    return torch.cat(mean).cpu(), torch.cat(scale).cpu()

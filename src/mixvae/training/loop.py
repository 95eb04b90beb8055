"""The training loop: every phase of every run goes through it.

An epoch is a pass over the batches: the terms of the objective, a check that they are finite,
gradients, clipping, a step of the optimizer. It ends with validation, a row in the history,
checkpoints and callbacks.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from mixvae.data.dataset import Dataset
from mixvae.initialization import Phase
from mixvae.model import MixtureVAE
from mixvae.seeding import noise, seed_of
from mixvae.storage.run_folder import BEST, LAST, LOG

from .averages import Averages
from .batches import Batch, Batches, ShuffledBatches, even_batches
from .checkpoints import Checkpoint, TrainingState, save, waited
from .machine import Machine
from .means import NonFiniteError, with_sum
from .optimizers import MakeOptimizer, Schedule, make_optimizer, set_rate
from .validation import validate

TRAIN, BEFORE = 1, 3  # streams of noise: of a model's own training, and of the phases before it
CHECK_EVERY = {"cpu": 1, "cuda": 50, "mps": 50}  # steps; to check, an accelerator has to wait
DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}


@dataclass(frozen=True)
class Equipment:
    """What all phases of a run share, beside the state."""

    data: Dataset
    machine: Machine
    make_optimizer: MakeOptimizer
    schedule: Schedule
    callbacks: Sequence[Any]

    def hooks(self, name: str) -> list[Callable[[TrainingState], None]]:
        """The callbacks' methods of a name; none outside the first process."""
        callbacks = self.callbacks if self.machine.rank == 0 else ()
        return [getattr(callback, name) for callback in callbacks if hasattr(callback, name)]


def train(phases: Sequence[Phase], state: TrainingState, equipment: Equipment) -> None:
    """Train one phase after the other; the first from the state's checkpoint, if there is one."""
    machine, initialization = equipment.machine, state.recipe.initialization
    for hook in equipment.hooks("on_fit_start"):
        hook(state)
    for phase in phases:
        if phase is phases[-1] and initialization is not None:
            initialization.done = True
        PhaseLoop(phase, state, equipment).run()
        if phase is phases[-1] or state.stop:
            break
        if machine.rank == 0:
            with noise(seed_of(state.settings.seed, BEFORE), machine.device):
                phase.at_end()
        machine.share(state.model.to(machine.device))
        state.epoch, state.step = 0, 0
    for hook in equipment.hooks("on_fit_end"):
        hook(state)


class PhaseLoop:
    """The training of one phase: from a checkpoint, or the beginning, to the phase's end."""

    def __init__(self, phase: Phase, state: TrainingState, equipment: Equipment) -> None:
        self.phase, self.state, self.settings = phase, state, state.settings
        self.machine, self.device = equipment.machine, equipment.machine.device
        self.schedule, self.binarize = equipment.schedule, equipment.data.binarize == "dynamic"
        self.stream = (TRAIN,) if phase.validated else (BEFORE, *phase.name.encode())
        self.check_every = CHECK_EVERY[self.device.type]
        self.on_step_end, self.on_epoch_end = map(equipment.hooks, ("on_step_end", "on_epoch_end"))
        checkpoint, state.checkpoint = state.checkpoint, None  # its memory is free after this
        self.resumed = checkpoint is not None
        self._prepare_model(checkpoint)
        self._prepare_data(equipment.data)
        self._prepare_optimizer(equipment.make_optimizer, checkpoint)

    def run(self) -> None:
        """Train until the phase is over, or a callback or the patience stops it."""
        state = self.state
        if self.resumed:
            state.stop = self.out_of_patience()
            self.keep_if_best()  # which a kill between the two checkpoints may have prevented
        else:
            self.end_epoch(time.perf_counter())  # epoch 0: the model before the first step
        while state.epoch < self.phase.epochs and not state.stop:
            started = time.perf_counter()
            self.train_epoch()
            self.end_epoch(started)

    def train_epoch(self) -> None:
        """A step for every batch, or for every few of them, whose gradients are added up."""
        state, n, accumulate = self.state, self.state.n_batches, self.settings.accumulate
        for i, batch in enumerate(self.epoch_batches()):
            more = (i + 1) % accumulate != 0 and i + 1 < n
            with self.machine.accumulating(self.objective, more):
                values = self.terms(batch, i)
                if (i + 1) % self.check_every == 0 or i + 1 == n:
                    self.check_finite(i % self.check_every + 1)
                self.scaler.scale(-values.sum() / accumulate).backward()
            if not more:
                self.step()
            for hook in self.on_step_end:
                hook(state)
        state.epoch += 1

    def epoch_batches(self) -> Iterator[Batch]:
        """The data in the order of this epoch's passes."""
        for i in range(self.phase.passes):
            self.order.epoch = self.state.epoch * self.phase.passes + i
            yield from self.batches

    def terms(self, batch: Batch, i: int) -> Tensor:
        """The terms of batch i, kept for the means; its noise depends on its place alone."""
        state, (x, y, row_weight) = self.state, batch
        place = (*self.stream, self.machine.rank, state.epoch, i)
        with noise(seed_of(self.settings.seed, *place), self.device), self.autocast():
            x = torch.bernoulli(x) if self.binarize else x
            weight = self.phase.kl_weight(state.step + 1, self.n_steps)
            weights = () if row_weight is None else (row_weight,)
            terms = self.objective(x, weight, y, *weights)
        values = torch.stack(list(terms.values()))
        state.means.add(tuple(terms), values.detach(), len(x))
        return values

    def step(self) -> None:
        """Clip the gradients, and take a step of the optimizer."""
        state, clip = self.state, self.settings.clip
        if clip is not None:
            self.scaler.unscale_(self.optimizer)
            by_norm = self.settings.clip_by == "norm"
            (clip_grad_norm_ if by_norm else clip_grad_value_)(self.parameters, clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        state.step += 1
        self.set_rate()
        self.averages.after_step(state.step, self.steps_an_epoch, self.n_steps)

    def end_epoch(self, started: float) -> None:
        """Validate, write the row and the checkpoints, and call the callbacks."""
        state, phase = self.state, self.phase
        figures = {f"train/{k}": float(v) for k, v in with_sum(state.means.pop()).items()}
        if phase.validated:
            figures |= {f"val/{name}": v for name, v in self.validated().items()}
        if figures:
            weight = phase.kl_weight(state.step, self.n_steps)
            row = {"phase": phase.name, "epoch": state.epoch, "step": state.step}
            row |= {"kl_scale": weight, "lr": self.optimizer.param_groups[0]["lr"]}
            state.history.append(row | figures | {"seconds": time.perf_counter() - started})
        state.stop = self.out_of_patience()
        if self.machine.rank == 0:
            save(state.checkpoints / LAST, self.content())
            self.keep_if_best()
            for hook in self.on_epoch_end if figures else ():
                hook(state)
        state.stop = self.machine.agree(state.stop)

    def validated(self) -> dict[str, float]:
        """Figures on validation data; before the first step, those that are finite."""
        state, model = self.state, cast(MixtureVAE, self.averages.weights())
        figures, wrong = validate(state.recipe, model, self.val, self.settings.seed, self.autocast)
        if wrong is not None and state.epoch:
            raise self.non_finite(f"validation {wrong}", state.step, state.epoch)
        return {k: v for k, v in figures.items() if wrong is None or isfinite(v)}

    def out_of_patience(self) -> bool:
        """Whether the objective has not risen for as many epochs as are allowed."""
        patience, history = self.settings.patience, self.state.history
        return self.phase.validated and patience is not None and waited(history) >= patience

    def content(self) -> Checkpoint:
        """All that it takes to go on as if nothing had happened."""
        state, copy = self.state, self.averages.copy
        is_own = self.phase.module is not state.model
        return {name: getattr(state, name) for name in ("phase", "epoch", "step", "history")} | {
            "model": state.model.state_dict(),
            "module": self.phase.module.state_dict() if is_own else None,
            "optimizer": self.optimizer.state_dict(),
            "lr": self.settings.lr,
            "scaler": self.scaler.state_dict(),
            "average": None if copy is None else copy.state_dict(),
        }

    def keep_if_best(self) -> None:
        """Write the weights that were validated last, if no epoch had better ones."""
        state = self.state
        if self.machine.rank == 0 and self.phase.validated and state.best is state.history[-1]:
            content = {"epoch": state.epoch, "model": self.averages.weights().state_dict()}
            save(state.checkpoints / BEST, content)

    def check_finite(self, n: int) -> None:
        """Raise at the first term of the last n batches that is not finite.

        That is before a step on it, where every batch is checked.
        """
        if (found := self.state.means.not_finite(n)) is not None:
            batch, term = found
            before = self.state.epoch * self.steps_an_epoch
            step = before + batch // self.settings.accumulate + 1
            raise self.non_finite(term, step, self.state.epoch + 1)

    def non_finite(self, name: str, step: int, epoch: int) -> NonFiniteError:
        """The error for a term that is not finite."""
        last, logged = self.state.checkpoints / LAST, (self.state.folder / LOG).exists()
        return NonFiniteError(
            f"the {name} term is not finite at step {step} (epoch {epoch} of the phase "
            f"{self.phase.name}); training stopped before the weights were saved. Last good "
            f"checkpoint: {last if logged else 'none yet'}. Try a smaller lr, clip=1.0, or "
            "precision='32'."
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the run's precision."""
        dtype = DTYPES.get(self.settings.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def set_rate(self) -> None:
        """Set the learning rate of the next step."""
        if self.phase.own_schedule:
            set_rate(self.optimizer, self.schedule(self.state.step, self.n_steps))

    def _prepare_model(self, checkpoint: Checkpoint | None) -> None:
        """Put the model and the module that is trained on the device, and on all processes."""
        model, module = self.state.model.to(self.device).train(), self.phase.module
        if checkpoint is not None:
            model.load_state_dict(checkpoint["model"])
            if checkpoint["module"] is not None:
                module.load_state_dict(checkpoint["module"])
        module.to(self.device).train()
        self.objective = self.machine.bind(self.phase.objective, module)
        self.averages = Averages(self.settings.average if self.phase.validated else "none", module)

    def _prepare_data(self, data: Dataset) -> None:
        """Make the batches of this process, and of validation; count the steps."""
        size, machine, state = self.settings.batch_size, self.machine, self.state
        share = {"rank": machine.rank, "world": machine.world}
        self.order = ShuffledBatches(len(data.train), size, self.settings.seed, **share)
        labels, weight = self.phase.labels(), data.train.relative_weight
        self.batches = Batches(data.train.x, labels, self.order, self.device, weight)
        y = state.model.labels.of(data.val)
        order, weight = even_batches(len(data.val), size), data.val.relative_weight
        self.val = Batches(data.val.x, y, order, self.device, weight)
        state.phase, state.n_epochs = self.phase.name, self.phase.epochs
        state.n_batches = len(self.order) * self.phase.passes
        self.steps_an_epoch = -(-state.n_batches // self.settings.accumulate)
        self.n_steps = self.phase.epochs * self.steps_an_epoch

    def _prepare_optimizer(self, make: MakeOptimizer, checkpoint: Checkpoint | None) -> None:
        """Make the optimizer, its scaler and its rate, as they were at a checkpoint."""
        name, lr, half = self.settings.optimizer, self.settings.lr, self.settings.precision == "16"
        self.parameters = [p for p in self.phase.module.parameters() if p.requires_grad]
        # Float16's gradient scaler and clipping cannot share a fused step.
        self.optimizer = make_optimizer(make, name, self.parameters, lr, fused=not half)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            for group in self.optimizer.param_groups:
                group["initial_lr"] *= lr / checkpoint["lr"]
            set_rate(self.optimizer, 1.0)
            self.scaler.load_state_dict(checkpoint["scaler"])
            if self.averages.copy is not None:
                self.averages.copy.load_state_dict(checkpoint["average"])
        self.set_rate()

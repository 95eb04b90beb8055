"""The thin LightningModule: it calls the objective, watches that it is finite, and keeps means."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from math import cos, isfinite, pi
from typing import Any, cast

import lightning as L
import torch
from jaxtyping import Float
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities.enums import GradClipAlgorithmType
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from ..errors import MixvaeError
from ..evaluation.health import HealthMeter
from ..evaluation.passes import evaluating
from ..products import onednn_is_quicker
from ..recipes.building import BuiltRecipe
from ..seeding import seed_noise, seed_of
from ..trace import Scale
from .batches import Batch, Batches
from .settings import Compile, Schedule

TRAIN, VAL = 1, 2  # streams of noise
HEALTH_ROWS = 1000  # of validation data that an epoch's component health is of, at least
History = list[dict[str, float]]  # a row an epoch
Listener = Callable[[History], None]


class NonFiniteError(MixvaeError):
    """A term of the objective became infinite or NaN."""


class TrainingModule(L.LightningModule):
    """A recipe under training.

    Args:
        recipe: the model and its objective.
        lr: Adam's learning rate.
        lr_schedule: what becomes of it over the steps.
        seed: the noise of a step depends on (seed, epoch, batch, process) alone.
        warmup_steps: steps over which the KL terms' weight rises from 0 to 1.
        clip: largest norm of the gradient.
        binarize: draw binary pixels from the grey levels, anew at each step.
        compile: make kernels of the objective, for training, and in which of PyTorch's modes.
        check_every: steps between looks at whether the terms are finite; a look on an accelerator
            waits for it.
        listeners: called with the history after every epoch, on the first process.
    """

    def __init__(
        self,
        recipe: BuiltRecipe,
        *,
        lr: float,
        lr_schedule: Schedule,
        seed: int,
        warmup_steps: int,
        clip: float | None,
        binarize: bool,
        compile: Compile,
        check_every: int,
        listeners: Sequence[Listener] = (),
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = recipe.model
        self.lr, self.lr_schedule = lr, lr_schedule
        self.seed, self.warmup_steps, self.clip = seed, warmup_steps, clip
        self.binarize, self.check_every = binarize, check_every
        self.train_means, self.val_means, self.val_health = Means(), Means(), HealthMeter()
        self.compiled = compile
        self.objective = recipe.objective.__call__
        self.listeners = listeners
        self.history: History = []
        self._steps_before = 0

    @property
    def step(self) -> int:
        """Steps of the optimizer so far, those before resuming included."""
        return self._steps_before + self.global_step

    @property
    def n_batches(self) -> int | float:
        """Batches of an epoch."""
        return self.trainer.num_training_batches

    @property
    def n_steps(self) -> int | float:
        """Steps of the optimizer in all."""
        return self.trainer.estimated_stepping_batches

    def kl_scale(self, step: int) -> float:
        """The warm-up's weight of the KL terms at a step, counted from 1."""
        return min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0

    def on_train_start(self) -> None:
        # Lightning counts steps taken one by one, and in stretches, apart
        self._steps_before = int(self.history[-1]["step"]) - self.global_step if self.history else 0
        if self.compiled:
            onednn_is_quicker()  # measured now: what compiles it cannot
            batch = next(cast(Batches, self.trainer.train_dataloader).batches())
            x, y = self.transfer_batch_to_device(batch, self.device, 0)
            with evaluating(self.model):  # looks up which KLs there are: nor can it that
                self.objective(self.model, self._seen(x), 1.0, y)
            mode = None if self.compiled is True else self.compiled
            self.objective = torch.compile(self.objective, mode=mode)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.loss(batch, batch_idx)

    def loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """What a step makes less: the objective's negative."""
        x, y = batch
        self._seed(TRAIN, self.global_rank, self.current_epoch, batch_idx)
        x = self._seen(x)
        terms = self.objective(self.model, x, self._scale(self.step + 1), y)
        values = torch.stack(list(terms.values()))
        self.train_means.add(tuple(terms), values.detach(), len(x))
        if len(self.train_means.values) % self.check_every == 0:
            self._check(self.check_every, self.step)
        return -values.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        x, y = batch
        self._seed(VAL, 0, batch_idx)  # the same noise in every process: so are its decisions
        trace = self.model(x, self.recipe.objective.n_samples, y)
        terms = self.recipe.objective.terms(trace)  # at its final weights, whatever the warm-up
        values = with_sum(terms)
        if self.recipe.bound is not None:
            values["elbo"] = sum(self.recipe.bound(trace).values(), x.new_zeros(())).mean()
        row = torch.stack(list(values.values()))
        self.val_means.add(tuple(values), row, len(x))
        if self.val_health.n < HEALTH_ROWS:
            self.val_health.add(self.model, x, y)

    def on_validation_start(self) -> None:
        self._check_rest()  # what it would stop at otherwise is a consequence

    def on_validation_epoch_end(self) -> None:
        means = self.val_means.pop()
        for name, value in means.items():
            if not value.isfinite():
                raise self._non_finite(f"validation {name}", self.step)
        health = self.val_health.pop(self.model)
        by_component = {"kl_z": health.kl, "share": health.share}
        by_component |= {"active_units": health.active_units, "sse_alone": health.sse_alone}
        means["effective_components"] = torch.tensor(health.effective_components)
        if (dropout := self.model.dropout) is not None:
            by_component["rate"] = dropout.rate
            means["kept"], means["selected"] = dropout.kept().sum().float(), dropout.n_selected()
        for name, each in by_component.items():
            means |= {f"{name}_{k}": v.detach().float() for k, v in enumerate(each)}
        self.log_dict({f"val/{name}": value for name, value in means.items()})

    def on_train_epoch_start(self) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        self._check_rest()  # before anything is saved
        means = with_sum(self.train_means.pop())
        self.log_dict({f"train/{name}": value for name, value in means.items()})
        logged = {name: float(v) for name, v in self.trainer.callback_metrics.items()}
        scale = self.kl_scale(self.step)
        place = {"epoch": self.current_epoch, "step": self.step, "kl_scale": scale}
        self.history.append(place | logged | {"seconds": time.perf_counter() - self._started})
        if self.trainer.is_global_zero:
            for listen in self.listeners:
                listen(self.history)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Float16's gradient scaler and gradient clipping cannot share a fused step.
        fused = self.trainer.precision != "16-mixed"
        adam = torch.optim.Adam(self.model.parameters(), self.lr, fused=fused)
        if self.lr_schedule == "constant":
            return adam
        falling = partial(half_cosine, n_steps=self.n_steps)
        curve = torch.optim.lr_scheduler.LambdaLR(adam, falling)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": curve, "interval": "step"}}

    def optimizer_zero_grad(
        self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer
    ) -> None:
        drop_gradients(optimizer)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        limit = gradient_clip_val or self.clip
        # Under mixed precision Lightning refuses fused steps: has a scaler; bfloat16 has none.
        if limit and self.trainer.precision == "bf16-mixed":
            how = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            plugin = self.trainer.precision_plugin
            Precision.clip_gradients(plugin, optimizer, limit, how)
        else:
            super().configure_gradient_clipping(optimizer, limit, gradient_clip_algorithm)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        if batch.x.device == device:  # Lightning's way of finding that out is a hundredth of a step
            return batch
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]

    def _scale(self, step: int) -> Scale:
        """The warm-up's weight: a tensor where a number that changes would be compiled twice."""
        scale = self.kl_scale(step)
        if self.compiled and self.warmup_steps:
            return torch.full((), scale, device=self.device)  # no copy, for which a GPU would wait
        return scale

    def _seen(self, x: Tensor) -> Tensor:
        return torch.bernoulli(x) if self.binarize else x

    def _seed(self, stream: int, *place: int) -> None:
        seed_noise(seed_of(self.seed, stream, *place), self.device)

    def _check_rest(self) -> None:
        """Look at the batches since the last look."""
        self._check(len(self.train_means.values) % self.check_every, self.step - 1)

    def _check(self, n: int, last_step: int) -> None:
        """Raise at the first term of the last n batches that is not finite.

        That is before a step on it, where every batch is looked at.
        """
        if n == 0:
            return
        values = torch.stack(self.train_means.values[-n:])
        if isfinite(values.sum()):  # as a sum of what is not never is
            return
        if len(found := (~values.isfinite()).nonzero()):
            i, term = found[0].tolist()
            raise self._non_finite(self.train_means.names[term], max(last_step - n + 1, 0) + i)

    def _non_finite(self, name: str, step: int) -> NonFiniteError:
        last = self.trainer.checkpoint_callbacks[-1] if self.trainer.checkpoint_callbacks else None
        saved = getattr(last, "best_model_path", "") or "none yet"
        return NonFiniteError(
            f"the {name} term is not finite at step {step} (epoch {self.current_epoch}); training "
            f"stopped before the weights were saved. Last good checkpoint: {saved}. Try a smaller "
            "lr, clip=1.0, or precision='32'."
        )


def drop_gradients(optimizer: torch.optim.Optimizer) -> None:
    """As its own ``zero_grad``, which keeps a profile and takes longer."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = None


def half_cosine(step: int, *, n_steps: float) -> float:
    """The part of the learning rate that is left after a step: from 1 to 0."""
    return 0.5 * (1 + cos(pi * min(1.0, step / n_steps)))


def with_sum(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The objective, and the terms that it is the sum of, if there are any."""
    return {"objective": torch.stack(list(terms.values())).sum()} | terms if terms else {}


class Means:
    """Means of named scalars over the rows of many batches, in float64 where there is one.

    They are added up at the end: a step has other things to do.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.values: list[Tensor] = []
        self.rows: list[int] = []

    def add(self, names: tuple[str, ...], values: Float[Tensor, " V"], n: int) -> None:
        """Add means over ``n`` rows, of the same names every time."""
        self.names = names
        self.values.append(values)
        self.rows.append(n)

    def latest(self) -> dict[str, Tensor]:
        """What was added last, or nothing yet in this epoch."""
        return dict(zip(self.names, self.values[-1], strict=True)) if self.values else {}

    def pop(self) -> dict[str, Tensor]:
        """The means so far; starts afresh."""
        if not self.values:
            return {}
        values = torch.stack(self.values)
        precise = torch.float32 if values.device.type == "mps" else torch.float64
        rows = torch.tensor(self.rows, dtype=precise, device=values.device)
        means = rows @ values.to(precise) / rows.sum()
        self.values, self.rows = [], []
        return dict(zip(self.names, means, strict=True))

"""Averages of a model's weights over its training: exponential (EMA) or of the last quarter (SWA).

Polyak & Juditsky 1992; Izmailov et al. 2018. By PyTorch's own ``AveragedModel``; buffers, such as
batch norm's statistics, are the newest ones.
"""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .settings import Average

DECAY = 0.999  # of an exponential average, from 0.1 on while there are few steps
LAST_QUARTER = 0.75  # of the steps, after which each epoch's end counts


Tensors = tuple[Tensor, ...] | list[Tensor]


@torch.no_grad()
def update_ema(averaged: Tensors, current: Tensors, n: Tensor | int) -> None:
    """Update an exponential average, in which the first weights are soon forgotten."""
    decay = min(DECAY, (1 + int(n)) / (10 + int(n)))
    torch._foreach_lerp_(averaged, current, 1 - decay)


class Averages:
    """The running average of a module's weights; there may be none."""

    def __init__(self, kind: Average, module: nn.Module) -> None:
        self.kind, self.module = kind, module
        update = update_ema if kind == "ema" else None
        self.copy = None if kind == "none" else AveragedModel(module, multi_avg_fn=update)

    def after_step(self, step: int, steps_an_epoch: int, n_steps: int) -> None:
        """Take the weights in, after every step (EMA) or at the end of a late epoch (SWA)."""
        late = step % steps_an_epoch == 0 and step > LAST_QUARTER * n_steps
        if self.copy is not None and (self.kind == "ema" or late):
            self.copy.update_parameters(self.module)

    def weights(self) -> nn.Module:
        """The module with averaged weights, or itself while nothing has been averaged."""
        if self.copy is None or int(self.copy.n_averaged) == 0:
            return self.module
        averaged: nn.Module = self.copy.module
        return averaged

"""A neural spline flow as a density model, with the noise, steps and patience of the others."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from zuko.flows import NSF


def fit_flow(
    train: Tensor,
    val: Tensor,
    noise: float,
    seed: int,
    *,
    steps: int,
    batch_size: int,
    lr: float,
    clip: float,
    patience: int,
    transforms: int = 3,
    width: int = 64,
) -> tuple[float, int, Any]:
    """The best mean log p of validation rows, its epoch, and the flow as it then was."""
    torch.manual_seed(seed)
    flow = NSF(train.shape[1], transforms=transforms, hidden_features=(width, width))
    optimizer = torch.optim.Adam(flow.parameters(), lr)
    size = min(batch_size, len(train))
    best = (-torch.inf, 0, flow)
    for epoch in range(1, steps // (len(train) // size) + 1):
        for rows in torch.randperm(len(train)).split(size)[: len(train) // size]:
            x = train[rows] + noise * torch.randn(size, train.shape[1])
            optimizer.zero_grad()
            (-flow().log_prob(x).mean()).backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), clip)
            optimizer.step()
        with torch.no_grad():
            found = float(flow().log_prob(val).mean())
        if found > best[0]:
            best = (found, epoch, deepcopy(flow))
        elif epoch - best[1] >= patience:
            break
    return best

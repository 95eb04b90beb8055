"""What comes before training, and whether it has been."""

import torch
from torch import Tensor, nn


class Split(nn.Module):
    """Components that start from one VAE: see :mod:`mixvae.splitting`.

    Args:
        n_epochs: of training the one VAE.
    """

    started: Tensor

    def __init__(self, n_epochs: int) -> None:
        super().__init__()
        self.n_epochs = n_epochs
        self.register_buffer("started", torch.tensor(False))

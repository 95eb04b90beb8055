"""GUIDE: VAE guided by a light decoder, unsupervised (Guided-VAE: Ding et al., CVPR 2020).

A recipe of mixvae's own kind. Beside the decoder a deformable PCA reconstructs x: one linear layer
of all codes but two gives an image, the first two codes scale and turn it. Its columns are held
orthogonal. Loss of both terms as in the authors' code. The MVAE paper's text names no reference
of its GUIDE; its figure is the accuracy of a classifier of codes.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from experiments.rivals.system import BATCH, System, Trained
from torch import Tensor, nn

import mixvae
from mixvae.data import Dataset
from mixvae.evaluation import representation
from mixvae.recipes import VAE
from mixvae.recipes.recipe import Parts
from mixvae.trace import Trace

OPTIONS: Mapping[str, object] = {"likelihood": "cross-entropy", "n_latent": 50}
QUIET = {"pictures": False, "progress": False}
WEIGHT = 0.5  # of the light decoder's cross-entropy
AFFINE = ((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (-1.0, 0.0))


class DeformablePCA(nn.Module):
    """Light decoder: an image of all codes but two, which turn and scale it."""

    def __init__(self, x_shape: tuple[int, ...], n_latent: int) -> None:
        super().__init__()
        self.x_shape = x_shape
        self.components = nn.Linear(n_latent - 2, torch.Size(x_shape).numel())
        self.scale, self.angle = nn.Linear(1, 2), nn.Linear(1, 1)
        nn.init.zeros_(self.scale.weight), nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.angle.weight), nn.init.zeros_(self.angle.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Means of x, (B, *X), of codes (B, L)."""
        image = self.components(z[:, 2:]).sigmoid().view(-1, *self.x_shape)
        angle, scale = self.angle(z[:, 1:2])[..., None], self.scale(z[:, :1])
        same, turned = (torch.tensor(matrix, device=z.device) for matrix in AFFINE)
        rotation = angle.cos() * same + angle.sin() * turned
        for matrix in (rotation, torch.diag_embed(scale)):
            grid = F.affine_grid(F.pad(matrix, (0, 1)), list(image.shape), align_corners=False)
            image = F.grid_sample(image, grid, align_corners=False)
        return image

    def dependence(self) -> Tensor:
        """Sum of the absolute inner products of different components."""
        products = (self.components.weight.T @ self.components.weight).abs()
        return products.sum() - products.trace()


def guidance(t: Trace, *, guide: DeformablePCA) -> Tensor:
    """The light decoder's part of the objective, nats."""
    with torch.autocast(t.z.device.type, enabled=False):
        mean = guide(t.z[0, :, 0].float()).clamp(1e-6, 1 - 1e-6)
        error = F.binary_cross_entropy(mean, t.x.float(), reduction="sum")
        return -(WEIGHT * error + guide.dependence()) / len(t.x)


@dataclass(frozen=True, kw_only=True)
class GuidedVAE(VAE):
    """VAE with a light decoder beside its own."""

    def parts(self, x_shape: tuple[int, ...]) -> Parts:
        made = super().parts(x_shape)
        made.model.guide = DeformablePCA(x_shape, self.n_latent)
        penalties = {"guidance": partial(guidance, guide=made.model.guide)}
        return made._replace(objective=replace(made.objective, penalties=penalties))


def train(data: Dataset, epochs: int) -> Trained:
    """Train by the package, and keep the best epoch."""
    seed = int(torch.randint(2**31, ()))
    mixvae.register("guided-vae")(GuidedVAE)
    built = mixvae.build(GuidedVAE, data, seed=seed, **OPTIONS)
    how = {"max_epochs": epochs, "batch_size": min(BATCH, len(data.train)), "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        model = mixvae.fit(built, data, out=Path(folder, "run"), **how, **QUIET).recipe.model

    def accuracy() -> float:
        found = representation(model, data.train, data.test, neighbours=[], svm=False)
        return found["mean"]["mlp_accuracy_percent"]

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        t = model.eval()(x)
        return t.family.mean(t).squeeze(0)

    return Trained(built.n_parameters, model.sample, reconstruct, accuracy=accuracy)


SYSTEM = System(
    "guide",
    train,
    epochs={"mnist": 20, "omniglot": 20, "cifar10": 20},
    quoted={"mnist": (("mvae/table4", "GUIDE, MNIST"),)},
)

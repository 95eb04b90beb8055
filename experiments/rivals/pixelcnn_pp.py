"""PixelCNN++ at a small scale: log p(x) is exact (Salimans et al., ICLR 2017).

Of the paper's modifications it has the mixture of discretised logistics for whole pixels, on the
package's gated PixelCNN; it has no downsampling with shortcuts, and no dropout. Binary pixels are
Bernoulli. Maps of the pixels' places stand in for the paper's channel of ones, which shows where
the border is. There is no code, so that nothing is reconstructed: as RMSE stands the error of each
pixel's mean given the true pixels before it.
"""

import torch
from experiments.rivals.system import LogPx, System, Trained, batches, count
from torch import Tensor, nn
from torch.optim import Adam

from mixvae.data import Dataset
from mixvae.likelihoods import BernoulliLikelihood, LogisticMixtureLikelihood
from mixvae.likelihoods.pixelcnn import Autoregressive, PixelCNNLikelihood

FEATURES, LAYERS, LOGISTICS = 16, 5, 5
LR, CLIP = 1e-3, 1.0
AT_ONCE = 250  # images


class PixelCNNpp(nn.Module):
    """p(x), pixel by pixel."""

    def __init__(
        self, x_shape: tuple[int, ...], *, binary: bool, n_features: int = FEATURES
    ) -> None:
        super().__init__()
        mixture = lambda: LogisticMixtureLikelihood(x_shape, n_logistics=LOGISTICS)
        pixel = BernoulliLikelihood(x_shape) if binary else mixture()
        self.likelihood = PixelCNNLikelihood(
            pixel, n_context=2, n_features=n_features, n_layers=LAYERS
        )
        places = (torch.linspace(-1, 1, side) for side in x_shape[1:])
        self.register_buffer("places", torch.stack(torch.meshgrid(*places, indexing="ij")))

    def forward(self, n: int) -> Autoregressive:
        """p(x) of n images."""
        return self.likelihood.pixels(self.places.expand(n, -1, -1, -1))

    def one_step(self, x: Tensor) -> Tensor:
        """Mean of each pixel given those before it."""
        outputs = self.likelihood.net(x, self.places.expand(len(x), -1, -1, -1))
        return self.likelihood.conditional(outputs.flatten(1)).mean


def train(data: Dataset, epochs: int) -> Trained:
    """Maximise log p(x)."""
    model = PixelCNNpp(data.x_shape, binary=data.is_binary)
    optimizer = Adam(model.parameters(), LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for x in batches(data):
            optimizer.zero_grad()
            (-model(len(x)).log_prob(x).mean()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP * data.train.x[0].numel())
            optimizer.step()
        schedule.step()

    @torch.no_grad()
    def log_px(x: Tensor) -> LogPx:
        each = torch.cat([model(len(part)).log_prob(part).double() for part in x.split(AT_ONCE)])
        return LogPx(float(each.mean()), None, "exact")

    @torch.no_grad()
    def predict(x: Tensor) -> Tensor:
        return torch.cat([model.one_step(part) for part in x.split(AT_ONCE)])

    def sample(n: int) -> Tensor:
        sizes = [len(part) for part in torch.arange(n).split(AT_ONCE)]
        return torch.cat([model(size).sample() for size in sizes])

    details = {"rmse": "one pixel ahead"}
    return Trained(count(model), sample, predict, log_px, details=details)


SYSTEM = System(
    "pixelcnn++",
    train,
    epochs={"mnist": 4, "omniglot": 4, "frey": 70, "cifar10": 4},
    quoted={"cifar10": (("m-vae/table3", "PixelCNN++"), ("mvae/table1", "PixelCNN++"))},
    binary=True,
    n_images=2000,
)

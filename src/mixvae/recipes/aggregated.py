"""VAEs that match the codes of all data, the aggregated posterior, with the prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from mixvae.errors import MixvaeError, at_least, positive
from mixvae.likelihoods import LikelihoodName
from mixvae.objectives import (
    Kernel,
    Objective,
    mmd_penalty,
    reconstruction,
    w2_penalty,
    weighted_elbo,
)
from mixvae.objectives.kernels import imq, rbf
from mixvae.parts.posteriors import PointPosterior

from .options import Autoencoder
from .recipe import Shape
from .registry import register
from .vae import VAE

KernelName = Literal["rbf", "imq"]
EncoderName = Literal["deterministic", "gaussian"]


@register("info-vae")
@dataclass(frozen=True, kw_only=True)
class InfoVAE(VAE):
    """The VAE with a weighted KL, and an MMD of all codes from the prior (InfoVAE).

    Zhao, Song & Ermon, AAAI 2019. With alpha 0 and lambda 1 it is the VAE, with alpha 1 the
    MMD-VAE, which has no KL.
    """

    alpha: float = 0.0
    """Weight of the mutual information of x and z, at most 1. The KL has weight 1 - alpha."""
    lambda_mmd: float = 100.0
    """Lambda, at least 1 - alpha. The MMD has weight alpha + lambda - 1."""
    kernel: KernelName = "rbf"
    """Kernel of the MMD at distance d, with C = 2 L bandwidth^2. rbf: exp(-d^2 / C); imq:
    C / (C + d^2)."""
    bandwidth: float = 1.0
    """Width of the kernel, relative to the prior's."""

    def check(self) -> None:
        super().check()
        if self.alpha > 1 or self.alpha + self.lambda_mmd < 1:
            raise MixvaeError(
                "alpha must be at most 1, and alpha + lambda_mmd at least 1, as no weight may be "
                f"negative; got alpha {self.alpha:g} and lambda_mmd {self.lambda_mmd:g}."
            )
        positive(bandwidth=self.bandwidth)

    def make_kernel(self) -> Kernel:
        """The kernel of the MMD: codes (N, L) to their Gram matrix (N, N)."""
        width = 2 * self.n_latent * self.bandwidth**2
        return (
            partial(rbf, gamma=1 / width) if self.kernel == "rbf" else partial(imq, widths=[width])
        )

    def make_objective(self) -> Objective:
        bound = partial(weighted_elbo, kl_reduction="sum", beta_kl=1 - self.alpha)
        weight = self.alpha + self.lambda_mmd - 1
        penalty = partial(mmd_penalty, weight=weight, kernel=self.make_kernel())
        return Objective(bound, {"mmd": penalty} if weight else {}, is_bound=self.alpha <= 0)


@dataclass(frozen=True, kw_only=True)
class WassersteinAutoencoder(Autoencoder):
    """An autoencoder whose codes have no KL, but a distance of all of them from the prior."""

    encoder: EncoderName = "deterministic"
    """Encoder. deterministic: x to a code, so that there is no ELBO; gaussian: x to a normal."""
    likelihood: LikelihoodName | None = "squared-error"
    """Likelihood p(x | z), minus whose logarithm is the reconstruction cost. null: that which suits
    the data, as in other recipes."""

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        if self.encoder == "gaussian":
            return super().make_posterior(x_shape)
        return PointPosterior(self.encoder_features(x_shape), self.n_latent, self.n_components)


@register("wae-mmd")
@dataclass(frozen=True, kw_only=True)
class WAEMMD(WassersteinAutoencoder):
    """An autoencoder with an MMD of all codes from the prior (Wasserstein autoencoder, WAE-MMD).

    Tolstikhin, Bousquet, Gelly & Schölkopf, ICLR 2018.
    """

    lambda_mmd: float = 10.0
    """Weight of the MMD."""
    scales: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    """The kernel is the sum over these scales of C / (C + d^2) at distance d, C = 2 L scale."""

    def check(self) -> None:
        super().check()
        at_least(0, lambda_mmd=self.lambda_mmd)
        if not self.scales:
            raise MixvaeError("scales must name at least one scale of the kernel; got none.")
        for scale in self.scales:
            positive(scales=scale)

    def make_objective(self) -> Objective:
        kernel = partial(imq, widths=[2 * self.n_latent * scale for scale in self.scales])
        penalty = partial(mmd_penalty, weight=self.lambda_mmd, kernel=kernel, unbiased=True)
        return Objective(reconstruction, {"mmd": penalty} if self.lambda_mmd else {})


@register("wwae")
@dataclass(frozen=True, kw_only=True)
class WWAE(WassersteinAutoencoder):
    """An autoencoder with a 2-Wasserstein distance of all codes from the prior (WWAE).

    Zhang, Gao, Jiao, Liu, Wang & Yang, Wasserstein-Wasserstein auto-encoders, 2019.
    """

    encoder: EncoderName = "gaussian"
    lambda_w2: float = 1.0
    """Weight of the squared distance."""

    def check(self) -> None:
        super().check()
        at_least(0, lambda_w2=self.lambda_w2)

    def make_objective(self) -> Objective:
        penalty = partial(w2_penalty, weight=self.lambda_w2)
        return Objective(reconstruction, {"w2": penalty} if self.lambda_w2 else {})

"""PSNR and SSIM of reconstructed images."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .one_pass import Batch, accumulate

WINDOW, SIGMA = 11, 1.5  # pixels: side and standard deviation of SSIM's Gaussian window
C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for values in [0, 1]


def image_quality(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> dict[str, float]:
    r"""PSNR and SSIM of the deterministic reconstructions, means over images.

    PSNR of an image is :math:`-10 \log_{10}` of its mean squared error. Reconstructions are cut off
    at 0 and 1. Images are taken as they are: of binary ones, both figures compare probabilities
    with 0 and 1.

    Parameters
    ----------
    model
        A model of images, in any mode, to which it returns.
    x
        (N, C, H, W), pixels in [0, 1].
    y
        (N,), the classes of x, for a conditional model.
    batch_size
        Rows at a time.

    Returns
    -------
    quality
        ``psnr``, dB, infinite if an image is reconstructed exactly; ``ssim`` (see :func:`ssim`),
        left out where a side is shorter than its window of 11 pixels.

    Raises
    ------
    MixvaeError
        For x that are vectors, a batch size under 1, or data that the model does not take.

    Examples
    --------
    >>> import mixvae
    >>> model = mixvae.build("vae", (1, 12, 12), hidden=[8], n_latent=2).model
    >>> sorted(image_quality(model, torch.rand(5, 1, 12, 12)))
    ['psnr', 'ssim']
    """
    accumulator = ImageQuality()
    accumulate(model, x, y, [accumulator], batch_size=batch_size)
    return accumulator.result()


class ImageQuality:
    """Accumulator of :func:`image_quality`."""

    def __init__(self) -> None:
        self.n, self.sums = 0.0, dict[str, float]()

    def add(self, batch: Batch) -> None:
        x, made = batch.x, batch.reconstruction.clamp(0, 1)
        if not is_image(x.shape[1:]):
            raise MixvaeError(
                f"PSNR and SSIM are of images (N, C, H, W); got x of shape {tuple(x.shape)}."
            )
        self.n += batch.n
        values = {"psnr": psnr(x, made)}
        if min(x.shape[-2:]) >= WINDOW:
            values["ssim"] = ssim(x, made)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(batch.total(value))

    def result(self) -> dict[str, float]:
        return {name: total / self.n for name, total in self.sums.items()}


def is_image(x_shape: Sequence[int]) -> bool:
    """Whether one x is an image, (C, H, W)."""
    return len(x_shape) == 3


def psnr(x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio of each pair of images with values in [0, 1], dB."""
    return -10 * (x - y).double().square().flatten(1).mean(1).log10()


def ssim(x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Structural similarity of each pair of images with values in [0, 1].

    The mean over channels and over all places where the Gaussian window of 11 x 11 pixels (standard
    deviation 1.5) lies within the image, with K1 = 0.01 and K2 = 0.03. It is the definition of
    scikit-image with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``; that of
    TorchMetrics differs, as it mirrors images at their borders.

    Parameters
    ----------
    x, y
        Images, at least 11 pixels high and wide.

    Returns
    -------
    similarity
        At most 1, (B,), in float64.

    Raises
    ------
    MixvaeError
        For smaller images, where it is not defined.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli (IEEE Transactions on Image Processing 2004), eq. 13.

    Examples
    --------
    >>> x = torch.rand(2, 3, 16, 16)
    >>> ssim(x, x)
    tensor([1., 1.], dtype=torch.float64)
    """
    if min(x.shape[-2:]) < WINDOW:
        raise MixvaeError(
            f"SSIM needs images of {WINDOW} x {WINDOW} pixels at least; got {tuple(x.shape[-2:])}."
        )
    x, y = x.double(), y.double()  # a variance is a small difference of squares
    mean_x, mean_y = _windowed(x), _windowed(y)
    var_x = _windowed(x * x) - mean_x.square()
    var_y = _windowed(y * y) - mean_y.square()
    covariance = _windowed(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    most = (mean_x.square() + mean_y.square() + C1) * (var_x + var_y + C2)
    return (alike / most).flatten(1).mean(1)


def _windowed(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C _H _W"]:
    """Means under the Gaussian window, where it lies within the image."""
    places = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = (-0.5 * (places / SIGMA).square()).softmax(0)
    flat = x.flatten(0, 1).unsqueeze(1)
    rows = conv2d(conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return rows.view(*x.shape[:2], *rows.shape[-2:])

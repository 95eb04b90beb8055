"""PSNR and SSIM: a slow plain computation, scikit-image, and where they are not defined."""

from math import exp, inf, log10

import pytest
import torch
from torch import Tensor

from cases import Case
from mixvae import report
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate, image_quality, ssim
from mixvae.evaluation.image_quality import psnr

LARGE = Case("m-vae", x_shape=(1, 13, 12))
SKIMAGE = {  # what scikit-image 0.26.0 says of the pairs below, all but the first
    (1, 11, 11): (
        [0.9950594973310898, 0.9127734439114679, 0.7671064298579253],
        [30.430824804119784, 17.63351118946396, 11.55376049541962],
    ),
    (1, 14, 12): (
        [0.9923594417870643, 0.8995781824044912, 0.6635931841698055],
        [29.938367056727508, 17.115084335041367, 12.166084009966237],
    ),
    (3, 12, 17): (
        [0.9951453935165575, 0.8739423732533673, 0.6654930606581614],
        [30.850243328470086, 17.43708307634908, 12.274261217442886],
    ),
}


def pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    x = torch.rand(4, *shape, generator=generator)
    noise = torch.rand(4, *shape, generator=generator) - 0.5
    return x, (x + torch.tensor([0.0, 0.1, 0.5, 1.0]).view(-1, 1, 1, 1) * noise).clamp(0, 1)


def plain_ssim(x: Tensor, y: Tensor) -> float:
    """Of one pair of images, window by window."""
    weights = torch.tensor(
        [[exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-5, 6)] for i in range(-5, 6)],
        dtype=torch.float64,
    )
    weights /= weights.sum()
    values = []
    for a, b in zip(x.double(), y.double(), strict=True):
        for i in range(a.shape[0] - 10):
            for j in range(a.shape[1] - 10):
                u, v = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mean_u, mean_v = (weights * u).sum(), (weights * v).sum()
                var_u = (weights * (u - mean_u) ** 2).sum()
                var_v = (weights * (v - mean_v) ** 2).sum()
                cov = (weights * (u - mean_u) * (v - mean_v)).sum()
                means = (2 * mean_u * mean_v + 1e-4) / (mean_u**2 + mean_v**2 + 1e-4)
                values.append(means * (2 * cov + 9e-4) / (var_u + var_v + 9e-4))
    return float(torch.stack(values).mean())


@pytest.mark.parametrize("shape", SKIMAGE, ids=str)
def test_they_are_those_of_windows_one_by_one_and_of_scikit_image(shape: tuple[int, ...]) -> None:
    x, y = pair(shape)
    found = ssim(x, y)
    assert found.tolist() == pytest.approx([plain_ssim(a, b) for a, b in zip(x, y, strict=True)])
    similarities, ratios = SKIMAGE[shape]
    assert found.tolist() == pytest.approx([1.0, *similarities])
    assert psnr(x, y).tolist() == pytest.approx([inf, *ratios])


@pytest.mark.parametrize("batch_size", [3, 100])
def test_figures_are_means_over_images_of_the_deterministic_reconstruction(batch_size: int) -> None:
    recipe, x = LARGE.build(), LARGE.data(7)
    found = image_quality(recipe.model, x, batch_size=batch_size)
    with torch.no_grad():
        made = recipe.model.eval().reconstruct(x)
    mse = (x - made).double().square().flatten(1).mean(1)
    assert found["psnr"] == pytest.approx(sum(-10 * log10(e) for e in mse.tolist()) / 7, rel=1e-5)
    assert found["ssim"] == pytest.approx(ssim(x, made).mean().item(), rel=1e-5)
    assert evaluate(recipe, Split(x), batch_size=batch_size)["image_quality"] == found


def test_reconstructions_are_cut_off_at_zero_and_one() -> None:
    recipe = Case("m-vae", {"likelihood": "gaussian"}).build()
    with torch.no_grad():
        for parameter in recipe.model.decoder.parameters():
            parameter.mul_(30)
    x = torch.zeros(4, 1, 3, 4)
    assert image_quality(recipe.model, x)["psnr"] >= 0  # an error of 1 at most


def test_ssim_of_images_smaller_than_its_window_is_left_out() -> None:
    case = Case("vae")
    found = evaluate(case.build(), Split(case.data(5)))
    assert list(found["image_quality"]) == ["psnr"]
    assert "PSNR (dB)" in report.table(found)
    assert "\n  SSIM" not in report.table(found)
    with pytest.raises(MixvaeError, match=r"11 x 11 pixels at least; got \(10, 11\)"):
        ssim(torch.rand(1, 1, 10, 11), torch.rand(1, 1, 10, 11))


def test_vectors_have_neither() -> None:
    case = Case("vae", x_shape=(12,))
    recipe, x = case.build(), case.data(5)
    assert "image_quality" not in evaluate(recipe, Split(x))
    with pytest.raises(MixvaeError, match=r"of images .* got x of shape \(5, 12\)"):
        image_quality(recipe.model, x)

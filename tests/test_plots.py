"""Pictures: they are there, they are not blank, and they show what they should."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mixvae import plots
from mixvae.recipes import build
from mixvae.recipes.recipe import Recipe

SHAPES = {"grey": (1, 6, 4), "colour": (3, 5, 5), "square": (36,), "line": (7,)}


def small(name: str, x_shape: tuple[int, ...], **options: Any) -> Recipe:
    torch.manual_seed(0)
    k = {} if name == "vae" else {"n_components": 3}
    return build(name, x_shape, **({"n_latent": 4, "hidden": [8]} | k | options))


def pixels(path: Path) -> np.ndarray:
    """The picture, (H, W, 3), which must not be blank."""
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = imread(path)[..., :3]
    assert picture.std() > 0.01
    return picture


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", ["vae", "m-vae", "mixture-vae"])
def test_grids_of_every_kind_of_x_are_drawn(kind: str, name: str, tmp_path: Path) -> None:
    recipe, x = small(name, SHAPES[kind]), torch.rand(5, *SHAPES[kind])
    pixels(plots.reconstructions(recipe.model, x, tmp_path / "reconstructions.png"))
    pixels(plots.samples(recipe.model, tmp_path / "samples.png", n=5))


@pytest.mark.parametrize("name", ["vae", "m-vae", "mixture-vae"])
@pytest.mark.parametrize("labelled", [True, False])
def test_codes_and_weights_are_drawn(name: str, labelled: bool, tmp_path: Path) -> None:
    recipe, x = small(name, (36,)), torch.rand(30, 36)
    y = torch.arange(30) % 4 if labelled else None
    pixels(plots.codes(recipe.model, x, y, tmp_path / "codes.png"))
    pixels(plots.weights(recipe.model, x, y, tmp_path / "weights.png"))


@pytest.mark.parametrize("n_latent", [1, 2])
def test_codes_of_one_and_two_latents_need_no_axes_of_their_own(
    n_latent: int, tmp_path: Path
) -> None:
    recipe = small("m-vae", (36,), n_latent=n_latent)
    pixels(plots.codes(recipe.model, torch.rand(1, 36), None, tmp_path / "codes.png"))


def test_more_classes_and_points_than_can_be_told_apart_are_thinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots.scatter, "MAX_POINTS", 40)
    recipe, x, y = small("mixture-vae", (36,)), torch.rand(90, 36), torch.arange(90) % 45
    pixels(plots.codes(recipe.model, x, y, tmp_path / "codes.png"))
    pixels(plots.weights(recipe.model, x, y, tmp_path / "weights.png"))
    assert len(plots.figures.palette(y)) == plots.figures.MAX_COLOURS


def test_two_latents_are_shown_as_they_are_and_more_on_their_widest_axes() -> None:
    two = torch.randn(9, 2)
    assert torch.equal(plots.scatter._plane(two), two)
    flat = torch.zeros(50, 3)
    flat[:, 2], flat[:, 0] = 5 * torch.randn(50), torch.randn(50)
    plane = plots.scatter._plane(flat)
    assert torch.allclose(plane.var(0).sum(), flat.var(0).sum())
    assert plane[:, 0].var() > plane[:, 1].var()


def test_the_first_row_of_reconstructions_is_the_data(tmp_path: Path) -> None:
    recipe = small("vae", (3, 8, 8))
    red = torch.zeros(4, 3, 8, 8)
    red[:, 0] = 1.0
    picture = pixels(plots.reconstructions(recipe.model, red, tmp_path / "r.png"))
    is_red = (picture == np.array([1, 0, 0], np.float32)).all(-1)
    rows = np.flatnonzero(is_red.any(1))
    assert is_red.mean() > 0.2
    assert rows.max() < 0.6 * len(picture)


def test_a_seed_gives_the_same_samples_and_the_random_state_is_kept(tmp_path: Path) -> None:
    model = small("mixture-vae", (36,)).model
    state = torch.get_rng_state()
    first = plots.samples(model, tmp_path / "a.png", seed=3).read_bytes()
    assert plots.samples(model, tmp_path / "b.png", seed=3).read_bytes() == first
    assert plots.samples(model, tmp_path / "c.png", seed=4).read_bytes() != first
    assert torch.equal(torch.get_rng_state(), state)


HISTORY = [
    {"epoch": e, "train/objective": -100 / (e + 1), "train/kl_z": -1.0 * e, "lr": 1e-3}
    | ({"val/objective": -90.0, "val/elbo": -95.0, "val/kl_z": -2.0} if e % 2 else {})
    | {f"val/kl_z_{k}": float(k * e) for k in range(3)}
    | {f"val/share_{k}": 1 / 3 for k in range(3)}
    for e in range(12)
]


@pytest.mark.parametrize(
    "history",
    [HISTORY, HISTORY[:1], [{}], [], [{"epoch": 0, "train/objective": float("nan")}]],
    ids=["whole", "one epoch", "an empty row", "none", "nan"],
)
def test_curves_cope_with_whatever_a_history_lacks(
    history: list[dict[str, float]], tmp_path: Path
) -> None:
    pixels(plots.curves(history, tmp_path / "curves.png"))

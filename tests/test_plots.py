"""Pictures: they are there, they are not blank, and they show what they should."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mixvae import plots
from mixvae.data import from_arrays
from mixvae.evaluation import dependence, evaluate
from mixvae.evaluation import latent_operations as operations
from mixvae.evaluation.batches import evaluating
from mixvae.model import MixtureVAE
from mixvae.recipes import BuiltRecipe, build
from mixvae.run import Run
from mixvae.training.finish import draw

SHAPES = {"grey": (1, 6, 4), "colour": (3, 5, 5), "square": (36,)}


def small(name: str, x_shape: tuple[int, ...], **options: Any) -> BuiltRecipe:
    torch.manual_seed(0)
    k = {} if name == "vae" else {"n_components": 3}
    hidden = {"hidden": 8 if name.startswith("mvae") else [8]}
    return build(name, x_shape, **({"n_latent": 4} | hidden | k | options))


def without(*dropped: int) -> MixtureVAE:
    """A model from which dropout took some components."""
    model = small("mvae-gs", (36,)).model
    assert model.dropout is not None
    model.dropout.logits.data = torch.tensor([3.0 if k in dropped else -3.0 for k in range(3)])
    return model


@pytest.fixture
def grids(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the grids would show, in place of drawing them."""
    shown: list[dict[str, Any]] = []

    def grid(rows: Any, labels: Any, title: str, path: str, **more: Any) -> Path:
        shown.append({"rows": rows, "labels": labels, "title": title, **more})
        return Path(path)

    for module in (plots.images, plots.latents, plots.traversing):
        monkeypatch.setattr(module, "grid", grid)
    return shown


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
    pixels(plots.crossed(recipe.model, x, tmp_path / "crossed.png"))
    pixels(plots.traversals(recipe.model, x, tmp_path / "traversals.png", latent=3))
    ends, path = (x[:2], x[2:4]), tmp_path / "interpolations.png"
    pixels(plots.interpolations(recipe.model, *ends, path, n_steps=3, crossed=True))


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


def test_the_first_row_of_reconstructions_is_the_data(grids: list[dict[str, Any]]) -> None:
    model, x = small("vae", (3, 8, 8)).model, torch.rand(4, 3, 8, 8)
    plots.reconstructions(model, x, "unused.png", n=3)
    torch.testing.assert_close(grids[0]["rows"][0], x[:3])
    torch.testing.assert_close(grids[0]["rows"][1], model.eval().reconstruct(x[:3]))


def test_a_seed_gives_the_same_samples_and_the_random_state_is_kept(tmp_path: Path) -> None:
    model = small("mixture-vae", (36,)).model
    state = torch.get_rng_state()
    first = plots.samples(model, tmp_path / "a.png", seed=3).read_bytes()
    assert plots.samples(model, tmp_path / "b.png", seed=3).read_bytes() == first
    assert plots.samples(model, tmp_path / "c.png", seed=4).read_bytes() != first
    assert torch.equal(torch.get_rng_state(), state)


def test_a_column_of_samples_is_one_random_input_for_all_components(
    grids: list[dict[str, Any]],
) -> None:
    model = small("m-vae", (36,)).model
    for parameter in model.decoder.branch.parameters():
        parameter.data[1:] = parameter.data[:1]  # components that make the same of the same
    plots.samples(model, "unused.png", n=5)
    rows = grids[0]["rows"]
    assert rows.shape == (4, 5, 36)
    torch.testing.assert_close(rows[1:3], rows[:1].expand(2, -1, -1))
    assert not torch.allclose(rows[0, 0], rows[0, 1])


def test_a_conditional_models_samples_are_of_its_classes_in_turn(
    grids: list[dict[str, Any]],
) -> None:
    model = small("mvae", (36,), conditional=True, n_classes=3).model
    plots.samples(model, "unused.png", n=5, seed=2)
    assert grids[0]["columns"] == ["class 0", "class 1", "class 2", "class 0", "class 1"]
    with evaluating(model, 2):
        expected = model.sample_each(5, torch.tensor([0, 1, 2, 0, 1]))
    torch.testing.assert_close(grids[0]["rows"][:3], expected.transpose(0, 1))


def test_a_conditional_models_pictures_need_the_classes(tmp_path: Path) -> None:
    model = small("mvae-gau", (36,), conditional=True, n_classes=3).model
    x, y = torch.rand(30, 36), torch.arange(30) % 3
    pixels(plots.reconstructions(model, x, tmp_path / "reconstructions.png", y=y))
    pixels(plots.codes(model, x, y, tmp_path / "codes.png"))
    pixels(plots.weights(model, x, y, tmp_path / "weights.png"))
    pixels(plots.crossed(model, x, tmp_path / "crossed.png", y=y))
    pixels(plots.traversals(model, x, tmp_path / "traversals.png", y=y))
    start, end, y = operations.pairs(model, x, y, n=3)
    pixels(plots.interpolations(model, start, end, tmp_path / "interpolations.png", y=y))


def test_what_dropout_took_out_is_said_to_be_dropped(
    grids: list[dict[str, Any]], tmp_path: Path
) -> None:
    model, x = without(0, 2), torch.rand(9, 36)
    plots.reconstructions(model, x, "unused.png")
    plots.samples(model, "unused.png")
    plots.crossed(model, x, "unused.png")
    plots.traversals(model, x, "unused.png")
    for shown in grids:
        is_dropped = ["(dropped)" in label for label in shown["labels"] if "component" in label]
        assert is_dropped == [True, False, True]
    pixels(plots.codes(model, x, None, tmp_path / "codes.png"))
    pixels(plots.weights(model, x, None, tmp_path / "weights.png"))


def test_codes_that_cross_stand_beside_their_x_and_own_decoders_are_framed(
    grids: list[dict[str, Any]],
) -> None:
    model, x = small("m-vae", (36,)).model, torch.rand(4, 36)
    plots.crossed(model, x, "unused.png", n=2)
    rows, made = grids[0]["rows"], operations.cross_decode(model, x[:2])
    torch.testing.assert_close(rows[:, 1:4], made[0])
    torch.testing.assert_close(rows[:, 5:8], made[1])
    torch.testing.assert_close(rows[0, [0, 4]], x[:2])
    assert rows[1:, [0, 4]].isnan().all()
    alone = model.reconstruct_each(x[:2]).flatten(0, 1)
    torch.testing.assert_close(torch.stack([rows[cell] for cell in grids[0]["framed"]]), alone)


def test_an_interpolation_lies_between_the_originals_and_the_crossed_one_below(
    grids: list[dict[str, Any]],
) -> None:
    model, (start, end) = small("m-vae", (36,)).model, torch.rand(2, 3, 36)
    plots.interpolations(model, start, end, "unused.png", n_steps=4, crossed=True)
    rows = grids[0]["rows"]
    assert rows.shape == (6, 6, 36)
    assert len(grids[0]["columns"]) == 6
    torch.testing.assert_close(rows[:, 0], torch.cat([start, start]))
    torch.testing.assert_close(rows[:, -1], torch.cat([end, end]))
    own = operations.interpolate(model, start, end, 4).transpose(0, 1)
    crossed = operations.interpolate(model, start, end, 4, shift=1).transpose(0, 1)
    torch.testing.assert_close(rows[:, 1:-1], torch.cat([own, crossed]))


def test_a_row_of_traversals_is_a_component_and_can_be_left_out(
    grids: list[dict[str, Any]],
) -> None:
    model, x = small("mixture-vae", (36,)).model, torch.rand(2, 36)
    plots.traversals(model, x, "unused.png", latent=2, values=[-1, 2], components=[2, 0])
    rows = grids[0]["rows"]
    for row, k in zip(rows, [2, 0], strict=True):
        torch.testing.assert_close(row[:1], x[:1])
        expected = operations.traverse(model, x[:1], k, 2, [-1, 2])
        torch.testing.assert_close(row[1:], expected[:, 0])
    assert [label[:11] for label in grids[0]["labels"]] == ["component 2", "component 0"]


def test_blank_cells_are_white(tmp_path: Path) -> None:
    black = torch.zeros(3, 2, 1, 8, 8)
    black[1:, 0] = torch.nan
    picture = pixels(plots.tiles.grid(black, [""] * 3, "", tmp_path / "grid.png"))
    ink = (picture.max(-1) < 0.1).mean(0)  # of every column of pixels
    left, right = np.array_split(ink[ink > 0.1], 2)
    assert right.mean() / left.mean() == pytest.approx(3, abs=0.2)


def hsic(shuffled: float = 0.001) -> dict[str, Any]:
    off = (1 - torch.eye(3)) * torch.tensor([[0, 1, 2], [1, 0, 3], [2, 3, 0]]) * 0.002
    return {
        "dhsic": 0.02,
        "permuted": 0.001,
        "pairs": (off + torch.eye(3)).tolist(),
        "pairs_permuted": (shuffled * torch.ones(3, 3)).tolist(),
    }


def test_dependence_is_drawn_as_it_is_measured(tmp_path: Path) -> None:
    values = dependence(small("m-vae", (36,)).model, torch.rand(20, 36))
    pixels(plots.dependence(values, tmp_path / "dependence.png", dropped=[1]))


def test_the_dependence_of_a_code_on_itself_is_not_shown(tmp_path: Path) -> None:
    values, other = hsic(), hsic()
    for k in range(3):
        other["pairs"][k][k] = 7.0
    first = plots.dependence(values, tmp_path / "a.png").read_bytes()
    assert plots.dependence(other, tmp_path / "b.png").read_bytes() == first


def test_a_run_draws_what_its_model_has_to_show(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((40, 36)), np.arange(40) % 3
    data = from_arrays(x, y, test=(x[:12], y[:12]))
    always = {"codes", "reconstructions", "samples", "weights"}
    of_joint = {"crossed", "dependence", "interpolations"}
    conditional = {"conditional": True, "n_classes": 3}
    for name, options, more in (
        ("mixture-vae", {}, set()),
        ("m-vae", {}, of_joint),
        ("mvae-gs", conditional, of_joint),
    ):
        run = Run(tmp_path, small(name, (36,), likelihood="gaussian", **options))
        drawn = draw(run, data, evaluate(run.recipe, data.test))
        assert {path.stem for path in drawn} == always | more
        assert all(path.exists() for path in drawn)


def test_a_run_without_two_x_of_one_class_has_no_interpolations(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((30, 36)), np.arange(30) % 3
    data = from_arrays(x, y, test=(x[:3], y[:3]))
    options = {"likelihood": "gaussian", "conditional": True, "n_classes": 3}
    run = Run(tmp_path, small("mvae", (36,), **options))
    names = {path.stem for path in draw(run, data, evaluate(run.recipe, data.test))}
    assert "crossed" in names
    assert "interpolations" not in names


HISTORY = [
    {"epoch": e, "train/objective": -100 / (e + 1), "train/kl_z": -1.0 * e, "lr": 1e-3}
    | ({"val/objective": -90.0, "val/elbo": -95.0, "val/kl_z": -2.0} if e % 2 else {})
    | {f"val/kl_z_{k}": float(k * e) for k in range(3)}
    | {f"val/share_{k}": 1 / 3 for k in range(3)}
    for e in range(12)
]


@pytest.mark.parametrize(
    "history",
    [HISTORY, HISTORY[:1], [{}, *HISTORY], [{"train/objective": 1.0, "val/elbo": float("nan")}]],
    ids=["whole", "one epoch", "an empty row", "nan"],
)
def test_curves_cope_with_whatever_a_history_lacks(
    history: list[dict[str, float]], tmp_path: Path
) -> None:
    pixels(plots.curves(history, tmp_path / "curves.png"))


def test_dropout_rates_share_a_panel_and_so_do_the_numbers_that_they_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, panels = [], plots.history.panels

    def counted(n: int, *args: float, **more: float) -> Any:
        numbers.append(n)
        return panels(n, *args, **more)

    monkeypatch.setattr(plots.history, "panels", counted)
    chosen = {"val/kept": 3.0, "val/selected": 2.4, **{f"val/rate_{k}": 0.1 for k in range(3)}}
    plots.curves(HISTORY, tmp_path / "without.png")
    pixels(plots.curves([row | chosen for row in HISTORY], tmp_path / "with.png"))
    assert numbers[1] == numbers[0] + 2


def test_curves_show_a_kl_positive_where_the_history_has_the_term_of_the_objective(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[float]] = {}
    draw_panel = plots.history._draw

    def draw(ax: Any, panel: Any) -> None:
        draw_panel(ax, panel)
        drawn[panel.title] = list(ax.lines[0].get_ydata())

    monkeypatch.setattr(plots.history, "_draw", draw)
    plots.curves(HISTORY, tmp_path / "curves.png")
    assert drawn["kl_z (subtracted)"] == [float(e) for e in range(12)]
    assert drawn["objective"] == [row["train/objective"] for row in HISTORY]
    assert drawn["KL by component"] == [0.0] * 12

"""Pictures of tables: which columns they show, in which units, and that nothing else is drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import mixvae
from mixvae import MixvaeError, plots
from mixvae.data.dataset import Dataset
from mixvae.plots import column_marginals, component_profiles
from mixvae.plots.columns import Columns, span
from mixvae.recipes import BuiltRecipe

START = {"covariance": "diag", "reg_covar": 1e-3, "hidden": [4]}
MEANS = np.array([100.0, -3.0, 0.0])
SHIFTS = np.array([0.0, 1.0, 2.0])  # of the second group, which has half of the rows


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Two groups, told apart by the second column alone and a little by the third."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 400)
    x = rng.normal(size=(400, 3)) * [10.0, 0.1, 1.0] + MEANS
    x += group[:, None] * SHIFTS
    return mixvae.data.from_arrays(x, group, name="groups")


@pytest.fixture(scope="module")
def recipe(data: Dataset) -> BuiltRecipe:
    return mixvae.build("mfa-vae", data, n_components=2, seed=0, **START)


def columns(recipe: BuiltRecipe, data: Dataset) -> Columns:
    return Columns.of(recipe.model, data.test.x, None, data.transform)


def figures_of(module, monkeypatch) -> list:
    """The figures, with their titles, that a module would write."""
    made = []

    def save(fig, path, title):
        made.append((fig, title))
        return Path(path)

    monkeypatch.setattr(module, "save", save)
    return made


def test_columns_that_tell_components_apart_come_first(recipe: BuiltRecipe, data: Dataset):
    found = columns(recipe, data)
    assert found.most_telling(3) == [1, 2, 0]
    assert found.told_apart[1] > 0.9
    x, hard = data.test.x.double().numpy(), found.r.argmax(1).numpy()
    means = [x[hard == k, 1].mean() for k in (0, 1)]
    expected = (np.array(means) - x[:, 1].mean()) / x[:, 1].std()
    np.testing.assert_allclose(found.means[:, 1], expected, atol=0.02)


def test_samples_and_data_are_in_the_units_of_the_data(recipe: BuiltRecipe, data: Dataset):
    found = columns(recipe, data)
    samples, rows = found.samples(0), found.in_data_units(found.x)
    assert samples.shape == (4000, 3)
    for values in (samples, rows):
        errors = values.mean(0) - (MEANS + SHIFTS / 2)
        assert (np.abs(errors) < [3.0, 0.15, 0.4]).all()  # of 80 rows, and of what 288 tell
    np.testing.assert_allclose(samples[:, 0].std(), 10, rtol=0.1)  # the likelihood's noise too
    np.testing.assert_array_equal(samples, found.samples(0))


def test_constant_columns_are_left_out_of_the_pictures(recipe: BuiltRecipe):
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[:, 1] = 7.0
    with pytest.warns(mixvae.errors.MixvaeWarning, match="left out"):
        data = mixvae.data.from_arrays(x, name="constant")
    found = Columns.of(recipe.model, data.test.x, None, data.transform)
    rows = x[np.asarray(data.test.index)]
    np.testing.assert_allclose(found.in_data_units(found.x), rows[:, [0, 2, 3]], atol=1e-5)


def test_every_picture_is_drawn(recipe: BuiltRecipe, data: Dataset, tmp_path: Path):
    for draw in (plots.profiles, plots.marginals, plots.pairs):
        path = draw(recipe.model, data.test.x, tmp_path / "one.png", transform=data.transform)
        assert imread(path)[..., :3].std() > 0.05
        draw(recipe.model, data.test.x, tmp_path / "unnamed.png")


def test_a_histogram_has_one_panel_a_column_at_most_twelve(monkeypatch, tmp_path: Path):
    made = figures_of(column_marginals, monkeypatch)
    x = torch.randn(50, 20)
    model = mixvae.build("mfa-vae", (20,), n_components=2, hidden=[4], seed=0).model
    plots.marginals(model, x, tmp_path / "one.png")
    fig, title = made[0]
    assert len(fig.axes) == 12
    assert "12 of 20 columns" in title


def test_a_component_without_rows_has_a_blank_profile(recipe: BuiltRecipe, monkeypatch, tmp_path):
    made = figures_of(component_profiles, monkeypatch)
    far = torch.tensor([[0.0, -1.0, 0.0], [0.1, -1.1, 0.0]])  # all of one group
    plots.profiles(recipe.model, far, tmp_path / "one.png")
    shown = np.ma.filled(made[0][0].axes[1].images[0].get_array(), np.nan)
    assert np.isnan(shown).any(0).tolist() in ([True, False], [False, True])


def test_outlines_hold_their_share_of_the_samples():
    from matplotlib.figure import Figure

    rng = np.random.default_rng(0)
    samples = rng.normal(size=(20_000, 2))
    ax = Figure().subplots()
    column_marginals._outlines(ax, samples, [(-5.0, 5.0)] * 2)
    outer = ax.collections[0].get_paths()[0].vertices
    # nine tenths of a standard normal in the plane are within the radius sqrt(2 log 10)
    assert np.hypot(*outer.T).mean() == pytest.approx(np.sqrt(2 * np.log(10)), abs=0.12)


def test_few_rows_all_fit_in_the_limits():
    low, high = span(np.arange(100.0))
    assert low < 0
    assert high > 99


def test_tables_are_not_drawn_as_images(recipe: BuiltRecipe, data: Dataset, tmp_path: Path):
    path = tmp_path / "one.png"
    with pytest.raises(MixvaeError, match=r"no images.*profiles"):
        plots.samples(recipe.model, path)
    with pytest.raises(MixvaeError, match=r"no images.*profiles"):
        plots.reconstructions(recipe.model, data.test.x, path)
    flat = mixvae.build("vae", (30,), hidden=[4], n_latent=2).model
    with pytest.raises(MixvaeError, match="30 columns is no image"):
        plots.samples(flat, path)
    with pytest.raises(MixvaeError, match="expected a table"):
        plots.pairs(recipe.model, torch.zeros(3, 1, 8, 8), path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("shape", "names", "expected"),
    [
        ((30, 16), None, False),  # may be images of 4 x 4 pixels
        ((30, 4), None, True),
        ((30, 15), None, True),
        ((30, 1, 4, 4), None, False),
    ],
)
def test_what_a_table_is(shape, names, expected):
    x = np.random.default_rng(0).uniform(size=shape)
    data = mixvae.data.from_arrays(x)
    assert data.is_table is expected
    if len(shape) == 2:
        assert mixvae.data.from_arrays(x * 3).is_table  # standardised


def test_unordered_categories_are_compared_one_by_one(monkeypatch, tmp_path: Path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 90)
    colour = np.where(group == 1, "green", rng.choice(["blue", "red"], 90))
    frame = pandas.DataFrame({"size": rng.normal(size=90) + 9 * group, "colour": colour})
    data = mixvae.data.from_arrays(frame, kinds="auto", name="mixed")
    model = mixvae.build("mfa-vae", data, n_components=2, seed=0, hidden=[4]).model
    x = data.train.x
    table = Columns.of(model, x, None, data.transform)
    assert table.categories == [(), ("blue", "green", "red")]
    by_category = table.by_category()
    assert by_category.names == ["size", "colour = blue", "colour = green", "colour = red"]
    codes = x[:, 1].long()
    torch.testing.assert_close(by_category.x[:, 1:], torch.eye(3)[codes])
    torch.testing.assert_close(table.told_apart[1], by_category.told_apart[1:].max())
    made = figures_of(column_marginals, monkeypatch)
    plots.marginals(model, x, tmp_path / "one.png", transform=data.transform)
    (ax,) = [ax for ax in made[0][0].axes if ax.get_title() == "colour"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["blue", "green", "red"]

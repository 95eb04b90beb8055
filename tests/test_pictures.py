"""Pictures as a reader needs them: legible, complete, and without anything that misleads."""

import re
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from mixvae import MixvaeError, build, plots
from mixvae.cli.pictures import check_path
from mixvae.cli.pictures import save as save_images
from mixvae.evaluation import latent_operations as operations
from mixvae.evaluation import responsibilities
from mixvae.model import MixtureVAE
from mixvae.plots import figures
from mixvae.plots.components import component_names

pytestmark = pytest.mark.usefixtures("unchecked")  # wrong types are to reach the plots

ROOT = Path(__file__).parents[1]
N = 60
X, Y = torch.rand(N, 36, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 4


def small(name: str, n_components: int = 3, **options: Any) -> MixtureVAE:
    torch.manual_seed(0)
    return build(name, (36,), n_components=n_components, n_latent=4, hidden=[6], **options).model


JOINT, EXACT, ONE_CODE = small("m-vae"), small("mixture-vae"), small("dlgmm")
MANY = small("mixture-vae", 30)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures, which are not written."""
    made: list[Figure] = []

    def savefig(fig: Figure, path: Path, **more: Any) -> None:
        made.append(fig)
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", savefig)
    return made


def title_of(fig: Figure) -> str:
    return fig.get_suptitle().replace("\n", " ")


def row(epoch: int, phase: str = "main") -> dict[str, Any]:
    best = -abs(epoch - 2.0)
    values = {"train/objective": best, "val/objective": best, "val/kl_z": -1.0, "kl_scale": 1}
    shares = {f"val/share_{k}": 0.3 for k in range(3)}
    return {"phase": phase, "epoch": epoch, **values, **shares}


HISTORY = [*({"phase": "vae", "epoch": e, "train/objective": 1.0 * e} for e in range(3))]
HISTORY += [row(epoch) for epoch in range(5)]


def test_no_legend_is_over_a_panel(drawn: list[Figure], tmp_path: Path) -> None:
    table = build("mfa-vae", (5,), n_components=3, hidden=[4], seed=0).model
    path, rows = tmp_path / "one.png", torch.randn(40, 5)
    plots.codes(EXACT, X, Y, path)
    plots.codes(ONE_CODE, X, Y, path)
    plots.weights(JOINT, X, Y, path)
    plots.curves(HISTORY, path)
    plots.log_likelihood(torch.randn(30).double(), path)
    plots.marginals(table, rows, path)
    plots.pairs(table, rows, path)
    for fig in drawn:
        fig.draw_without_rendering()
        assert fig.legends
        assert not any(ax.get_legend() for ax in fig.axes)
        boxes = [legend.get_window_extent() for legend in fig.legends]
        panels = [ax.get_window_extent() for ax in fig.axes]
        assert not any(box.overlaps(panel) for box in boxes for panel in panels)


def test_components_share_axes_only_where_they_share_the_latent_space(
    drawn: list[Figure], tmp_path: Path
) -> None:
    model = small("m-vae")
    head = model.posterior.net.body  # the second component's codes are spread a hundred times wider
    head.weight.data[1] *= 100
    plots.codes(model, X, None, tmp_path / "one.png")
    own = drawn[0]
    assert len(own.axes) == 3
    limits = [ax.get_xlim()[1] for ax in own.axes]
    assert limits[0] == limits[2] == 2
    assert limits[1] > 4
    assert all(ax.get_xlabel() == "principal axis 1" for ax in own.axes)
    assert "of its own" in title_of(own)
    plots.codes(ONE_CODE, X, None, tmp_path / "one.png")
    shared = drawn[1]
    assert len(shared.axes) == 4
    assert len({ax.get_xlim() for ax in shared.axes}) == 1
    assert "share one latent space" in title_of(shared)


def test_curves_show_phases_and_the_kept_epoch(drawn: list[Figure], tmp_path: Path) -> None:
    plots.curves(HISTORY, tmp_path / "one.png")
    first, *rest = drawn[0].axes
    assert first.get_title() == "phase 1 of 2, vae: objective"
    assert "epoch 2 is kept" in title_of(drawn[0])
    for ax in rest:
        (line,) = [line for line in ax.lines if line.get_label() == "kept epoch"]
        assert list(line.get_xdata()) == [2, 2]
    texts = [text.get_text() for legend in drawn[0].legends for text in legend.get_texts()]
    assert texts == ["0", "1", "2", "train", "val", "kept epoch"]


def test_a_single_component_has_no_curves_of_shares(drawn: list[Figure], tmp_path: Path) -> None:
    history = [{"epoch": e, "val/share_0": 1.0, "val/effective_components": 1.0} for e in (0, 1)]
    plots.curves([r | {"val/elbo": -2.0} for r in history], tmp_path / "one.png")
    assert [ax.get_title() for ax in drawn[0].axes] == ["elbo"]


def test_the_most_responsible_component_is_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, Any] = {}
    monkeypatch.setattr(plots.images, "grid", lambda *args, **more: shown.update(more))
    plots.reconstructions(EXACT, X, "one.png", n=5)
    best = responsibilities(EXACT, X[:5]).argmax(1).tolist()
    assert shown["framed"] == [(k + 1, i) for i, k in enumerate(best)]


def test_a_traversal_includes_the_code_of_its_example(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, Any] = {}

    def grid(rows: Any, labels: Any, title: str, path: Any, **more: Any) -> None:
        shown.update(labels=labels, **more)

    monkeypatch.setattr(plots.traversing, "grid", grid)
    model = small("mixture-vae")
    model.posterior.net.body.bias.data[1, :4] = 7.5
    plots.traversals(model, X, "one.png", latent=1, index=3)
    own = operations.codes(model, X[3:4])[0, :, 1]
    values = [float(v) for v in shown["columns"][1:]]
    assert min(values) <= own.min() < 3 < own.max() <= max(values) + 0.01
    nearest = [min(range(9), key=lambda i: abs(values[i] - float(code))) for code in own]
    assert shown["framed"] == [(k, i + 1) for k, i in enumerate(nearest)]
    responsible = int(responsibilities(model, X[3:4]).argmax())
    assert [k for k, s in enumerate(shown["labels"]) if "most responsible" in s] == [responsible]
    plots.traversals(model, X, "one.png", latent=1, values=[-1, 0, 1], components=[1])
    assert shown["framed"] == []  # its code is outside of these values


def test_dead_components_are_said_where_there_are_rows_enough_to_tell() -> None:
    assert component_names(JOINT, X) == [f"component {k} (dead)" for k in range(3)]
    assert component_names(JOINT, X[:9]) == [f"component {k}" for k in range(3)]


def test_states_are_said_in_pictures(drawn: list[Figure], tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    plots.weights(JOINT, X, None, path)
    assert title_of(drawn[0]).endswith("3 dead")
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["dead"] * 3
    plots.codes(JOINT, X, None, path)
    assert "(dead)" in drawn[1].axes[0].get_title()
    plots.reconstructions(JOINT, X, path, n=2)
    assert "(dead)" in drawn[2].axes[0].get_yticklabels()[1].get_text()


def test_of_many_components_the_most_used_ones_are_shown(
    drawn: list[Figure], tmp_path: Path
) -> None:
    path = tmp_path / "one.png"
    plots.codes(MANY, X, Y, path)
    assert len(drawn[0].axes) == 20
    plots.reconstructions(MANY, X, path, n=2)
    assert len(drawn[1].axes[0].get_yticks()) == 22
    plots.traversals(MANY, X, path)
    assert len(drawn[2].axes[0].get_yticks()) == 20
    for fig in drawn:
        assert "The 20 of 30 components" in title_of(fig)
        assert fig.get_figwidth() < 12
    plots.crossed(MANY, X, path, n=1)
    assert "The 12 of 30 components" in title_of(drawn[3])
    plots.samples(MANY, path, n=2)
    assert "20 of 30 components" in title_of(drawn[4])


def test_a_tile_picture_says_what_rows_and_columns_are(drawn: list[Figure], tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    plots.reconstructions(EXACT, X, path)
    plots.samples(EXACT, path)
    plots.crossed(EXACT, X, path)
    plots.interpolations(EXACT, X[:2], X[2:4], path, crossed=True)
    plots.traversals(EXACT, X, path)
    for fig in drawn:
        assert {"rows:", "columns:"} <= set(title_of(fig).lower().split())
    tiles = torch.rand(5, 1, 6, 6)
    save_images(path, tiles, "Samples", columns=["class 0", "class 1"])
    save_images(path, tiles, "Reconstructions", above=tiles)
    assert [t.get_text() for t in drawn[5].axes[0].get_xticklabels()] == ["class 0", "class 1"]
    assert [t.get_text() for t in drawn[6].axes[0].get_yticklabels()] == [
        "original",
        "reconstruction",
    ]


def test_twenty_labels_can_be_told_apart_and_in_grey_their_neighbours() -> None:
    colours = figures.colours_of(20)
    for styles in (figures.MARKERS, figures.LINES):
        looks = list(zip(colours, cycle(styles), strict=False))
        assert len(set(looks)) == 20
        assert all(a[1] != b[1] for a, b in pairwise(looks))


def test_one_example_is_enough_for_every_picture(drawn: list[Figure], tmp_path: Path) -> None:
    table = build("mfa-vae", (3,), n_components=2, hidden=[4], seed=0).model
    one = tmp_path / "one.png"
    for draw in (plots.reconstructions, plots.crossed, plots.traversals):
        draw(EXACT, X[:1], one)
    for draw in (plots.profiles, plots.marginals, plots.pairs):
        draw(table, torch.zeros(1, 3), one)
    plots.codes(EXACT, X[:1], Y[:1], one)
    plots.weights(EXACT, X[:1], Y[:1], one)
    for fig in drawn:
        fig.draw_without_rendering()


NAN = [[float("nan")] * 2] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: plots.curves([], p), "no finite value"),
        (lambda p: plots.curves([{"epoch": 0, "train/objective": float("nan")}], p), "no finite"),
        (lambda p: plots.curves("log.csv", p), "history must be a list"),
        (lambda p: plots.dependence({"pairs": NAN, "pairs_permuted": NAN}, p), "no pair"),
        (lambda p: plots.dependence({}, p), "result of mixvae.evaluation.dependence"),
        (lambda p: plots.log_likelihood(torch.tensor([torch.nan]).double(), p), "is finite"),
        (lambda p: plots.log_likelihood([1.0], p), "log_prob must be a tensor"),
        (lambda p: plots.traversals(EXACT, X, p, index=N), "index must be in 0"),
        (lambda p: plots.traversals(EXACT, X, p, latent=9), "latent must be in 0"),
        (lambda p: plots.traversals(EXACT, X, p, components=[]), "n_components must be"),
        (lambda p: plots.traversals(EXACT, X, p, components=[3]), "component"),
        (lambda p: plots.samples(EXACT, p.with_suffix(".jpg")), "path must be that of a .png"),
        (lambda p: plots.codes(EXACT, X, Y, None), "path must be that of a .png"),
        (lambda p: plots.weights("runs/one", X, Y, p), "model must be a model"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_no_file(
    call: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(MixvaeError) as raised:
        call(tmp_path / "one.png")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_going_to_be_replaced_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.png"
    check_path(path, (".png",))
    assert capsys.readouterr().err == ""
    path.touch()
    check_path(path, (".png",))
    assert capsys.readouterr().err == f"{path} is there already and will be replaced\n"


def test_pictures_of_the_docs_are_there_used_and_described() -> None:
    used = set()
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for text, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
            if link.startswith("http"):
                link = "docs/images/" + link.rpartition("/")[2]
                path = ROOT / link
            else:
                path = (page.parent / link).resolve()
            assert path.is_file(), (page, link)
            assert len(text) > 60, (page, text)  # says what is seen
            used.add(path.name)
    assert {path.name for path in (ROOT / "docs" / "images").glob("*.png")} <= used

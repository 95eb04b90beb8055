"""The report on runs: its figures, and the page in a real browser."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shlex import split
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

import mixvae
import mixvae.report.page
from mixvae import MixvaeError, data, write_report
from mixvae.cli import main
from mixvae.cli.train import training_parser
from mixvae.evaluation.batches import spaced
from mixvae.recipes.registry import find
from mixvae.report.checks import entry_checks, permutation_p_values
from mixvae.report.examined import examine
from mixvae.report.merging import merging_costs, merging_entropy, overlaps
from mixvae.report.overview import command_of, figure_rows
from mixvae.storage.reading import read_yaml

CHROMIUM = Path("/usr/bin/chromium")
QUICK: dict[str, Any] = {"max_epochs": 1, "batch_size": 32, "pictures": False, "progress": False}
FEW: dict[str, Any] = {"n_rows": 24, "log_likelihood": 0}
EVIL = "<script>alert('x')</script>"
FLAGS = "--n-components 2 --n-latent 2 --hidden 8 --start-epochs 1 --data digits --subset 64"
FLAGS += " --max-epochs 1 --batch-size 32 --pictures false --progress false"


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Pages are made without checks of shapes, which other tests have."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def checked() -> Iterator[None]:
    """Checks of shapes, for parts of the report."""
    jaxtyping.config.update("jaxtyping_disable", False)
    yield
    jaxtyping.config.update("jaxtyping_disable", True)


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits").subset(64)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an exact mixture, from the command line."""
    folder, printed = tmp_path_factory.mktemp("mixture") / "run", io.StringIO()
    with redirect_stdout(printed):
        assert main(["train", "mixture-vae", *FLAGS.split(), "--out", str(folder)]) == 0
    (folder.parent / "printed").write_text(printed.getvalue())
    return folder


@pytest.fixture(scope="module")
def others(digits: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[mixvae.Run]:
    """Runs of one component, and of a joint mixture."""
    out = tmp_path_factory.mktemp("others")
    small: dict[str, Any] = {"hidden": [8], "n_latent": 2}
    recipes = [mixvae.build("vae", digits, **small)]
    recipes.append(mixvae.build("m-vae", digits, n_components=2, **small))
    return [mixvae.fit(one, digits, out=out / one.name, **QUICK) for one in recipes]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[mixvae.Run, data.Dataset]:
    """A run on a table, one of whose columns has a dangerous name."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)) + 4 * rng.integers(0, 2, size=(120, 1))
    import pandas as pd

    of = data.from_arrays(pd.DataFrame(x, columns=["height", EVIL, "width"]))
    out = tmp_path_factory.mktemp("table") / "run"
    options: dict[str, Any] = {"n_components": 2, "n_latent": 1}
    return mixvae.fit(mixvae.build("mfa-vae", of, **options), of, out=out, **QUICK), of


@pytest.fixture(scope="module")
def page(mixture: Path) -> Path:
    words = ["report", str(mixture), "--n-rows", "40", "--log-likelihood", "30"]
    assert main([*words, "--progress", "false"]) == 0
    return mixture / "report.html"


def without_curves(run: mixvae.Run) -> mixvae.Run:
    """A run without a history, whose picture takes most of a page's time."""
    return replace(run, history=[])


@pytest.fixture
def no_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are empty."""
    monkeypatch.setattr(mixvae.report.page, "SECTIONS", {})


@pytest.fixture(scope="module")
def pages(
    page: Path,
    digits: data.Dataset,
    others: list[mixvae.Run],
    table: tuple[mixvae.Run, data.Dataset],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """A page of each kind: an exact mixture, a table, and two runs together."""
    out = tmp_path_factory.mktemp("pages")
    return {
        "mixture": page,
        "table": write_report(without_curves(table[0]), table[1], out / "table.html", **FEW),
        "two": write_report(list(map(without_curves, others)), digits, out / "two.html", **FEW),
    }


# Merging


def test_the_cost_of_merging_is_the_fall_of_a_mixtures_mean_log_density(
    maths: None, checked: None
) -> None:
    weights, means = torch.tensor([0.5, 0.2, 0.3]), torch.tensor([-2.0, 0.0, 1.0])
    x = torch.linspace(-3, 3, 50)
    each = Normal(means, 1.0)
    log_weights = weights.log().expand(50, 3)
    costs = merging_costs(each.log_prob(x.unsqueeze(1)) + log_weights, log_weights)

    def mean_log_density(w: list[float], mu: list[float]) -> torch.Tensor:
        mixture = Categorical(torch.tensor(w))
        return MixtureSameFamily(mixture, Normal(torch.tensor(mu), 1.0)).log_prob(x).mean()

    whole = mean_log_density([0.5, 0.2, 0.3], [-2.0, 0.0, 1.0])
    assert costs[2, 1] == pytest.approx(float(whole - mean_log_density([0.5, 0.5], [-2.0, 1.0])))
    assert costs[1, 2] == pytest.approx(float(whole - mean_log_density([0.5, 0.5], [-2.0, 0.0])))
    assert costs[0, 1] == pytest.approx(float(whole - mean_log_density([0.7, 0.3], [-2.0, 1.0])))


def test_merging_equal_components_costs_nothing(maths: None, checked: None) -> None:
    log_weights = torch.tensor([0.3, 0.7]).log().expand(9, 2)
    own = torch.randn(9, 1).expand(9, 2)
    assert merging_costs(own + log_weights, log_weights).abs().max() < 1e-12


def test_the_entropy_falls_by_that_of_the_two_less_that_of_their_sum(
    maths: None, checked: None
) -> None:
    r = torch.randn(20, 3).softmax(1)
    merged = torch.stack([r[:, 0] + r[:, 2], r[:, 1]], 1)
    fall = (Categorical(r).entropy() - Categorical(merged).entropy()).mean()
    found = merging_entropy(r)
    assert found[0, 2] == pytest.approx(float(fall))
    assert torch.equal(found, found.T)


def test_components_that_share_no_example_do_not_overlap(checked: None) -> None:
    assert torch.equal(overlaps(torch.eye(3)), torch.eye(3).double())
    half = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
    assert overlaps(half)[1, 0] == pytest.approx(0.8 / 1.7)


# Predictive checks


def test_p_values_are_uniform_where_data_and_samples_are_alike(maths: None, checked: None) -> None:
    p = [
        permutation_p_values(torch.randn(10, 1), torch.randn(20, 1), n_permutations=39, seed=i)
        for i in range(200)
    ]
    alone = torch.stack([one for one, _ in p]).flatten()
    assert alone.mean() == pytest.approx(0.5, abs=4 * (1 / 12 / 200) ** 0.5 + 1 / 40)
    assert float((alone <= 0.1).double().mean()) == pytest.approx(0.1, abs=4 * 0.03**0.5 / 8)


def test_the_adjusted_p_value_is_the_larger_and_a_shift_is_found(
    maths: None, checked: None
) -> None:
    samples = torch.randn(50, 4)
    shifted = torch.randn(50, 4) + torch.tensor([3.0, 0, 0, 0])
    p, adjusted = permutation_p_values(shifted, samples, n_permutations=99)
    assert p[0] == adjusted[0] == pytest.approx(0.01)
    assert (adjusted >= p).all()


def test_missing_values_have_no_part_in_checks(checked: None) -> None:
    x, samples = torch.tensor([[1.0], [torch.nan], [3.0]]), torch.tensor([[2.0], [4.0]])
    mean = entry_checks(x, samples, ["a"])[0]
    assert (mean.data, mean.samples) == (2.0, 3.0)


# What the page says


def test_each_figure_is_marked_by_what_it_is(
    digits: data.Dataset, others: list[mixvae.Run]
) -> None:
    def rows(run: mixvae.Run, n_samples: int) -> dict[str, list[str]]:
        found = examine(run, digits, "test", n_rows=5, n_samples=n_samples, seed=0, progress=False)
        return {row[0]: row for row in figure_rows(found)}

    vae, joint = rows(others[0], 0), rows(others[1], 30)
    assert vae["objective (maximised)"][2] == vae["bound (ELBO)"][2] == "valid bound"
    assert "not asked for" in vae["log p(x)"][3]
    assert joint["objective (maximised)"][2] == "not a bound"
    assert joint["log p(x)"][2] == "reliability unknown"  # 30 samples have no k-hat
    assert "(reliability unknown)" in joint["log p(x)"][1]


def test_an_unreliable_log_p_is_never_a_plain_number(
    digits: data.Dataset, others: list[mixvae.Run]
) -> None:
    found = examine(others[0], digits, "test", n_rows=5, n_samples=30, seed=0, progress=False)
    assert found.estimate is not None
    heavy = replace(found.estimate, k_hat=torch.full((5,), 0.9, dtype=torch.float64))
    rows = {row[0]: row for row in figure_rows(replace(found, estimate=heavy))}
    assert rows["log p(x)"][2] == "UNRELIABLE"
    assert rows["log p(x)"][1].endswith("(unreliable)")
    assert rows["Pareto k-hat, largest"][1] == "0.90"


def test_the_command_on_the_page_has_the_runs_options(mixture: Path, page: Path) -> None:
    settings = read_yaml(mixture / "config.yaml")
    command = command_of(settings, find("mixture-vae"))
    assert command in page.read_text().replace("&#x27;", "'")
    from mixvae.cli.recipe_files import recipe_of

    words = split(command)[2:]
    _, values = training_parser(recipe_of("mixture-vae")).read(words, 1)
    values = json.loads(json.dumps(values))
    settled = {k: v for k, v in settings.items() if k in values and v is not None}
    assert {k: values[k] for k in settled} == settled
    assert "--binarize" not in command  # at its default


def test_what_does_not_apply_is_said_and_not_drawn(pages: dict[str, Path]) -> None:
    mixture, two = (pages[name].read_text() for name in ("mixture", "two"))
    assert "Most certain examples" in mixture
    assert "costs" in mixture
    assert "Most certain examples" not in two
    assert "This is a joint mixture" in two
    assert two.count("No confusion matrix") == 2
    assert "Differences between the runs" in two
    assert "Differences between the runs" not in mixture


def test_a_table_has_profiles_and_its_names_are_text(pages: dict[str, Path]) -> None:
    text = pages["table"].read_text()
    assert "Profile: mean less that of all rows" in text
    assert EVIL not in text
    assert "&lt;script&gt;" in text
    assert "\\u003cscript" in text


def test_a_page_needs_no_network_and_is_small(pages: dict[str, Path]) -> None:
    for path in pages.values():
        text = path.read_text()
        assert len(text) < 1_500_000
        assert not re.search(r"(?:src|href)=\"(?!data:|#)", text)
        assert "default-src 'none'" in text


def test_runs_of_different_data_are_told_apart(
    others: list[mixvae.Run], digits: data.Dataset, tmp_path: Path, no_sections: None
) -> None:
    fewer = data.load("digits", seed=1).subset(64)
    assert fewer.test.content_hash != digits.test.content_hash
    path = write_report(others, [digits, fewer], tmp_path / "a.html", **FEW)
    assert "no difference, as it is of other rows" in path.read_text()


def test_training_ends_by_naming_the_command(mixture: Path) -> None:
    printed = (mixture.parent / "printed").read_text()
    assert printed.endswith(f"mixvae report {mixture}\n")


# Bad input


def test_a_file_is_kept_unless_it_is_to_be_overwritten(
    others: list[mixvae.Run], digits: data.Dataset, tmp_path: Path, no_sections: None
) -> None:
    path = tmp_path / "a.html"
    path.write_text("mine")
    with pytest.raises(MixvaeError, match=r"exists; give another name"):
        write_report(others[0], digits, path, **FEW)
    assert path.read_text() == "mine"
    assert write_report(others[0], digits, path, overwrite=True, **FEW) == path
    assert path.read_text().startswith("<!doctype html>")
    folder = others[0].folder
    (folder / "report.html").write_text("mine")
    assert write_report(others[0], digits, **FEW) == folder / "report-2.html"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"out": "a.pdf"}, r"is an \.html file"),
        ({"out": "/nowhere/a.html"}, "there is no folder"),
        ({"out": "/proc/a.html"}, "cannot write"),
        ({"n_rows": 1}, "n_rows must be at least 2"),
        ({"split": "all"}, "unknown split"),
    ],
)
def test_bad_arguments_are_one_line(
    given: dict[str, Any],
    message: str,
    others: list[mixvae.Run],
    digits: data.Dataset,
) -> None:
    with pytest.raises(MixvaeError, match=message) as error:
        write_report(others[0], digits, **(FEW | given))
    assert "\n" not in str(error.value)


def test_foreign_folders_and_other_data_are_refused(
    others: list[mixvae.Run],
    mixture: Path,
    table: tuple[mixvae.Run, data.Dataset],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(MixvaeError, match=r"was trained on x of shape"):
        write_report(others[0], table[1], tmp_path / "a.html", **FEW)
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert main(["report"]) == 2
    assert "name a run folder" in capsys.readouterr().err
    assert main(["report", *[str(mixture)] * 9]) == 2
    assert "1 to 8 runs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unfinished_run_is_refused(
    mixture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("recipe.json", "config.yaml", "data.json"):
        (tmp_path / name).write_text((mixture / name).read_text())
    assert main(["report", str(tmp_path)]) == 2
    assert "the run was not finished" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


# The page in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with playwright.sync_playwright() as p:
        started = p.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


def elsewhere(url: str) -> list[str]:
    """The address, if it is not on this disk."""
    return [] if url.startswith(("file:", "data:")) else [url]


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """A function that opens a page at a width; afterwards nothing has gone wrong in it."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})

    def see(path: Path) -> Any:
        view = context.new_page()
        view.on("console", lambda m: wrong.append(m.text))
        view.on("pageerror", lambda e: wrong.append(str(e)))
        view.on("dialog", lambda d: wrong.append(d.message))
        view.on("request", lambda r: wrong.extend(elsewhere(r.url)))
        view.goto(path.as_uri())
        view.wait_for_function("document.querySelector('.legend').childElementCount > 0")
        return view

    yield see
    context.close()
    assert wrong == []


@pytest.mark.parametrize("name", ["mixture", "table", "two"])
def test_a_page_fits_its_window_without_an_error(
    name: str, opened: Any, pages: dict[str, Path]
) -> None:
    view = opened(pages[name])
    for width in (1280, 400):
        view.set_viewport_size({"width": width, "height": 900})
        assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.evaluate("[...document.images].every(i => i.hidden || i.alt)")
    levels = view.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    empty = "[...document.querySelectorAll('section')].filter(s => s.innerText.trim().length < 20)"
    assert view.evaluate(f"{empty}.length") == 0


def test_the_map_is_operated_by_keyboard(opened: Any, page: Path) -> None:
    view = opened(page)
    view.focus("canvas.map")
    view.keyboard.press("ArrowRight")
    first = view.inner_text(".under strong")
    assert first.startswith("row ")
    for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        view.keyboard.press(key)
    view.keyboard.press("Enter")
    assert view.inner_text(".selection p").startswith("1 selected")
    view.keyboard.press("Escape")
    assert view.inner_text(".selection") == ""
    view.focus(".legend button")
    view.keyboard.press("Enter")
    assert "selected" in view.inner_text(".selection p")
    assert view.locator(".selection canvas").count() > 0


def test_rows_are_selected_by_dragging_and_shown_under_the_pointer(opened: Any, page: Path) -> None:
    view = opened(page)
    view.locator("canvas.map").scroll_into_view_if_needed()
    box = view.locator("canvas.map").bounding_box()
    view.mouse.move(box["x"] + 1, box["y"] + 1)
    view.mouse.down()
    view.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] - 1, steps=3)
    view.mouse.up()
    assert view.inner_text(".selection p").startswith("40 selected")
    x, y = view.evaluate("runs[0].placed[5]")
    view.mouse.move(box["x"] + x, box["y"] + y)
    assert "log p(x)" in view.inner_text(".under")
    assert view.locator(".under canvas").count() == 1


def test_colours_and_planes_can_be_chosen(opened: Any, page: Path) -> None:
    view = opened(page)
    for value, seen in (("label", "label 0"), ("score", "nats"), ("component", "component")):
        view.select_option("select.colour", value)
        assert seen in view.inner_text(".legend")
    before = view.evaluate("runs[0].placed.join()")
    view.select_option("select.plane", "1")
    assert view.evaluate("runs[0].placed.join()") != before


def test_the_threshold_of_outliers_moves_by_keyboard(opened: Any, page: Path) -> None:
    view = opened(page)
    before = view.inner_text("output")
    view.focus(".threshold")
    view.keyboard.press("End")
    after = view.inner_text("output")
    assert before != after
    assert view.locator(".below canvas").count() == int(re.findall(r"(\d+) of", after)[0])


def test_images_of_the_map_are_those_of_the_rows(
    opened: Any, page: Path, digits: data.Dataset
) -> None:
    view = opened(page)
    view.wait_for_function("document.querySelector('.sprite').complete")
    view.evaluate("runs[0].select([7])")
    view.wait_for_timeout(100)
    pixels = view.evaluate(
        "[...document.querySelector('.selection canvas').getContext('2d')"
        ".getImageData(0, 0, 56, 56).data].filter((_, i) => i % 4 === 0)"
    )
    shown = np.array(pixels).reshape(8, 7, 8, 7)[:, 3, :, 3] / 255
    assert shown == pytest.approx(spaced(digits.test, 40).x[7, 0].numpy(), abs=0.01)

"""The page of ``mixvae explore``, driven in Debian's Chromium: by keyboard, at two widths."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mixvae import data
from pages import CHROMIUM, explorer_of, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no browser {CHROMIUM}"),
    pytest.mark.usefixtures("unchecked"),
]
WIDTHS = (1280, 400)
WAIT = 30_000  # milliseconds
SMALL: dict[str, Any] = {"n_latent": 2, "hidden": [8]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def images() -> Iterator[str]:
    digits = data.load("digits").subset(80)
    explorer = explorer_of(digits, "mixture-vae", n_components=3, start="random", **SMALL)
    with serving(explorer) as url:
        yield url


@pytest.fixture(scope="module")
def table() -> Iterator[str]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(50, 10, 60), "visits": rng.poisson(3, 60)})
    frame["colour"] = rng.choice(["red", "blue"], 60)
    people = data.from_arrays(frame, kinds={"visits": "poisson"}, name="people")
    with serving(explorer_of(people, "mfa-vae", n_components=2)) as url:
        yield url


@pytest.fixture(params=WIDTHS)
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page that must have no errors in its console, and no other hosts."""
    page = browser.new_page(viewport={"width": request.param, "height": 800})
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda failed: faults.append(failed.url))
    page.set_default_timeout(WAIT)
    page.faults = faults
    yield page
    page.close()
    assert not [one for one in faults if "422" not in one]  # an error of one line in the page


def opened(page: Any, url: str) -> Any:
    page.goto(url)
    page.wait_for_selector("main:not([hidden])")
    return page


def texts(page: Any, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


def press(page: Any, selector: str, key: str) -> None:
    """Press a key where the focus is, after it has gone there."""
    page.locator(selector).first.focus()
    page.keyboard.press(key)


def says(page: Any, selector: str, text: str) -> None:
    sync_api.expect(page.locator(selector).first).to_contain_text(text, timeout=WAIT)


def fits(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_images_by_keyboard(page: Any, images: str) -> None:
    opened(page, images)
    assert len(texts(page, ".card")) == 3
    assert len(texts(page, ".card.most")) == 1
    assert "most responsible" in texts(page, ".card.most")[0]
    press(page, "#next", "Enter")
    says(page, "#whole figcaption", "test 1")
    press(page, "#thumbnails button >> nth=4", "Space")
    says(page, "#whole figcaption", "test 4")
    press(page, "#latents input", "End")
    says(page, "#scene-says", "Changed: 1 latents")
    assert page.evaluate("document.activeElement.type") == "range"  # it keeps the focus
    press(page, "#component-0 .weight", "End")
    says(page, "#scene-says", "weights")
    press(page, "#component-0 .source", "ArrowDown")
    says(page, "#scene-says", "who reads which code")
    press(page, "#reset", "Enter")
    sync_api.expect(page.locator("#scene-says")).not_to_contain_text("Changed", timeout=WAIT)
    press(page, "#line", "Enter")
    page.wait_for_selector("#line-out figure >> nth=8")
    press(page, "#cross", "Enter")
    page.wait_for_selector("#cross-out td >> nth=8")
    press(page, "#sample", "Enter")
    page.wait_for_selector("#samples figure >> nth=11")
    press(page, "#log", "Enter")
    says(page, "#log-says", "k̂")
    assert fits(page)
    assert not page.faults


@pytest.mark.parametrize("page", WIDTHS[:1], indirect=True)
def test_every_control_is_reached_by_tab_and_has_a_name(page: Any, images: str) -> None:
    opened(page, images)
    page.locator("#own-summary").press("Enter")
    controls = "main :is(button, input, select, summary, [tabindex='0'])"
    n = page.evaluate(f"{all_of(controls)}.filter(e => e.checkVisibility() && !e.disabled).length")
    page.locator("#split").focus()
    seen = set()
    for _ in range(n):
        seen.add(page.evaluate(f"{all_of('*')}.indexOf(document.activeElement)"))
        page.keyboard.press("Tab")
    assert len(seen) == n
    for controls in ("main :is(button, input, select)", "canvas"):
        named = "e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()"
        assert page.evaluate(f"{all_of(controls)}.filter(e => !({named})).length") == 0


def all_of(selector: str) -> str:
    return f'[...document.querySelectorAll("{selector}")]'


@pytest.mark.parametrize("page", WIDTHS[1:], indirect=True)
def test_an_uploaded_image_is_converted_only_if_asked(
    page: Any, images: str, tmp_path: Path
) -> None:
    opened(page, images)
    path = tmp_path / "photo.png"
    Image.new("RGB", (30, 20), "white").save(path)
    page.locator("#own-summary").press("Enter")
    page.set_input_files("#file", path)
    says(page, "#error", "30 pixels (height x width) in colour; the model takes 8 x 8")
    press(page, "#convert", "Enter")
    says(page, "#own-notes", "resized from 20 x 30 to 8 x 8")
    says(page, "#whole figcaption", "uploaded image")
    assert page.locator("#error").is_hidden()
    (tmp_path / "text.png").write_text("no image")
    page.set_input_files("#file", tmp_path / "text.png")
    says(page, "#error", "cannot be read as an image")
    assert texts(page, "#whole figcaption")[0].startswith("example (uploaded image")
    assert fits(page)


@pytest.mark.parametrize("page", WIDTHS[1:], indirect=True)
def test_a_table_by_keyboard(page: Any, table: str, tmp_path: Path) -> None:
    opened(page, table)
    assert texts(page, "#values tbody th") == ["size", "visits", "colour"]
    page.locator("#own-summary").press("Enter")
    page.locator("#fields input >> nth=0").fill("61.5")
    press(page, "#form button", "Enter")
    says(page, "#values tbody td", "61.5")
    page.locator("#fields input >> nth=0").fill("tall")
    press(page, "#form button", "Enter")
    says(page, "#error", "size is a number; got 'tall'")
    (tmp_path / "one.csv").write_text("colour,size,visits\nred,44,\n")
    page.set_input_files("#csv", tmp_path / "one.csv")
    says(page, "#values tbody td", "44")
    assert texts(page, "#values tr:nth-child(2) td")[0] == "missing"
    for button in ("#line", "#cross", "#sample"):
        press(page, button, "Enter")
    page.wait_for_selector("#samples th >> nth=12")
    page.wait_for_selector("#cross-out th.most")
    assert fits(page)

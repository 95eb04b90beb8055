"""What the README shows is what happens, and links between pages lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

from mixvae.recipes import RECIPES

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").rglob("*.md")]


@pytest.mark.usefixtures("own_recipes")
@pytest.mark.filterwarnings("ignore:log p.x. is UNRELIABLE")  # after so few epochs it is
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_python_block_runs(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "block.py").write_text(BLOCKS[number])
    runpy.run_path("block.py")


def test_there_are_python_blocks_to_run():
    assert len(BLOCKS) == 3


def test_every_recipe_has_a_row_and_a_page():
    for name in RECIPES:
        assert f"| [`{name}`](docs/models/{name}.md) |" in TEXT
        assert (ROOT / f"docs/models/{name}.md").is_file()


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub writes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_or_a_heading_leads_to_one(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link:
            assert target.exists(), link
            assert not anchor or target.suffix != ".md" or anchor in headings(target), link


def test_the_commands_are_the_makefiles():
    make = (ROOT / "Makefile").read_text()
    assert "\ndemo:" in make
    assert "\ntest:" in make

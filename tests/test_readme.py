"""What the README shows is what happens."""

import re
import runpy
from pathlib import Path

import pytest

from mixvae.recipes import RECIPES, registry

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def registered():
    """Recipes that a test registers are forgotten afterwards."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


@pytest.mark.usefixtures("registered")
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


def test_every_link_to_a_file_leads_to_one():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_commands_are_the_makefiles():
    make = (ROOT / "Makefile").read_text()
    assert "\ndemo:" in make
    assert "\ntest:" in make

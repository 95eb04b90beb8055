"""The pages of docs/: tutorials run as scripts, and model pages are on one plan."""

import re
import runpy
from pathlib import Path

import pytest

from mixvae.recipes import RECIPES

DOCS = Path(__file__).parents[1] / "docs"
PLAN = ["Objective", "Options", "Example", "Measured", "Advantages and limits"]


def sections(page: Path) -> dict[str, str]:
    """The text under each heading of the second level; "" is what stands before the first."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    first, *others = re.split(r"^## ", text, flags=re.MULTILINE)
    return {"": first} | {part.partition("\n")[0]: part.partition("\n")[2] for part in others}


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_model_page_follows_the_plan(name):
    found = sections(DOCS / "models" / f"{name}.md")
    heads = [head.partition(":")[0] for head in found]
    assert [head for head in heads if head in PLAN] == PLAN
    assert re.search(r"\b(19|20)\d\d\b|not taken from a paper", found[""])  # its source
    assert re.search(r"a bound\?|lower bound", "".join(found.values()))
    points = found["Advantages and limits"]
    gains, _, limits = points.partition("**Limits**")
    assert "**Advantages**" in gains
    assert "\n- " in gains
    assert "\n- " in limits


QUICK = {  # of each page the number of its blocks, and what is made smaller in the test
    "index.md": (
        2,
        [
            ("(3, random_state=0)", "(2, covariance_type='full', max_epochs=1, random_state=0)"),
            ("max_epochs=3,", "max_epochs=1, pictures=False,"),
        ],
    ),
    "tutorials/cluster_images.md": (
        5,
        [
            ("digits.images / 16, digits.target", "digits.images[:300] / 16, digits.target[:300]"),
            ('load("digits")', 'load("digits").subset(200)'),
            ("max_epochs=40, random", "max_epochs=1, recipe_options={'start_epochs': 3}, random"),
            ("n_components=10, hidden", "n_components=3, start_epochs=1, hidden"),
            ("max_epochs=40", "max_epochs=1"),
            ("images[:100]", "images[:5]"),
            ("batch_size=64,", "batch_size=64, pictures=False,"),
            ("n_components=10, max", "n_components=3, max"),
            ("component=7", "component=2"),
        ],
    ),
    "tutorials/outliers.md": (6, [("(150, 6)", "(60, 6)"), ("max_epochs=3", "max_epochs=1")]),
    "tutorials/compare_models.md": (
        4,
        [("epochs=4", "epochs=1"), ("=130, n_test=30", "=30, n_test=5"), ("(500)", "(200)")],
    ),
    "tutorials/extend.md": (5, []),
    "tutorials/scale_out.md": (4, []),
    "faq.md": (
        1,
        [(", 200)", ", 60)"), ("arange(200)", "arange(60)"), ("random(200)", "random(60)")],
    ),
}


@pytest.mark.usefixtures("own_recipes")
@pytest.mark.filterwarnings("ignore::mixvae.errors.MixvaeWarning")
@pytest.mark.parametrize("name", list(QUICK))
def test_the_blocks_of_a_tutorial_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    number, changes = QUICK[name]
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == number
    code = "\n".join(blocks)
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    path = tmp_path / "tutorial.py"
    path.write_text(code)
    runpy.run_path(str(path))

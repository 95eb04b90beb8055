"""The pages of docs/: tutorials run as scripts, and model pages are on one plan."""

import re
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

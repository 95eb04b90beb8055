"""The package index's README, whose links are absolute; pyproject.toml has the rest."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY, TAG = PROJECT["urls"]["Repository"], f"v{PROJECT['version']}"


def absolute(match: re.Match[str]) -> str:
    """A Markdown link or picture of this repository, at the version's tag."""
    kind = "raw" if match[1] else "blob"
    return f"{match[1]}[{match[2]}]({REPOSITORY}/{kind}/{TAG}/{match[3]})"


README = (HERE / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")

setup(long_description=LINK.sub(absolute, README), long_description_content_type="text/markdown")

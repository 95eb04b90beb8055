"""How Sphinx builds the documentation site, for ``make docs``."""

import os
import re
import sys
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import mixvae

os.environ["TQDM_DISABLE"] = "1"  # no progress bars in the gallery

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
sys.path.insert(0, str(DOCS))  # for picture_scraper
REPOSITORY = PROJECT["urls"]["Repository"]

project = "mixvae"
author = copyright = "the mixvae authors"
version = release = version_of("mixvae")
exclude_patterns = ["_build", "api/_*", "auto_examples/**/*.ipynb", "auto_examples/*.py"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
# a name in a type that several classes have
suppress_warnings = ["ref.python", "config.cache"]

html_theme = "furo"
html_title = f"mixvae {version}"
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4  # as on GitHub
myst_dmath_allow_digits = False

# Docstrings are numpydoc's. Types come from the annotations, whose shapes jaxtyping writes.
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # torch's are not ours
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# References in text are checked; types are not, since most belong to torch, or describe an array.
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj|data|exc)", ".*"), ("py:.*", r"(torch|numpy)\..*")]

# a star that names further axes, as in (N, *X), outside of literals, emphasis and examples
STAR = re.compile(
    r"(``.+?``|:\w+:`.+?`|^\s*(?:>>>|\.\.) .*$|(?<!\w)\*\w[\w' -]*\*)|(?<![\\*])\*(?=[\w,)])"
)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def link_repository(app: object, name: str, content: list[str]) -> None:
    """Links to files outside of docs/ lead to the repository, as they do on GitHub."""
    here = (DOCS / name).parent

    def outside(match: re.Match[str]) -> str:
        target = (here / match[1]).resolve()
        if target.is_relative_to(DOCS) or not target.exists():
            return match[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"{REPOSITORY}/{kind}/main/{target.relative_to(ROOT)}{match[2] or ''}"

    content[0] = LINK.sub(outside, content[0])


sphinx_gallery_conf = {
    "examples_dirs": ["../examples/gallery"],
    "gallery_dirs": ["auto_examples"],
    "filename_pattern": "",  # all are run
    "image_scrapers": ("picture_scraper.scrape", "matplotlib"),
    "capture_repr": (),  # what is printed, but no values
    "write_computation_times": False,
    "show_memory": False,
    "download_all_examples": False,
    "abort_on_example_error": True,
    "plot_gallery": True,
}


def escape_stars(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Axes such as *X are no emphasis."""
    lines[:] = [STAR.sub(lambda m: m[1] or r"\*", line) for line in lines]


def skip_inherited(
    app: object, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Whether a member is scikit-learn's own rather than ours."""
    is_sklearn = str(getattr(obj, "__module__", "")).startswith("sklearn.")
    return True if is_sklearn or name.endswith("_request") else None


def resolve_public(app: Any, env: Any, node: Any, text: Any) -> Any:
    """What is named by another of its addresses is found where its package documents it."""
    first, _, last = node.get("reftarget", "").removeprefix("mixvae.").rpartition(".")
    home = first.partition(".")[0] or mixvae._HOMES.get(last, "")
    target = f"mixvae.{home}.{last}"
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node.get("reftype"), target, node, text
    )


def setup(app: Any) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("source-read", link_repository)
    app.connect("autodoc-process-docstring", escape_stars, priority=400)  # before napoleon,
    app.connect(
        "autodoc-process-docstring", escape_stars, priority=600
    )  # and the types that it adds
    app.connect("autodoc-skip-member", skip_inherited)
    app.connect("missing-reference", resolve_public)

"""The documentation site and the package's files for publishing, without building them."""

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mixvae

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = {
    str(path.relative_to(DOCS).with_suffix(""))
    for path in [*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")]
    if not {"_build", "auto_examples"} & set(path.parts)
}


def entries(page: str) -> set[str]:
    """The pages that a page's tables of contents name, by name or by pattern."""
    path = next(p for suffix in (".md", ".rst") if (p := DOCS / f"{page}{suffix}").is_file())
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"^\.\. toctree::\n((?:[ ]+.*\n|\n)*)", text, re.MULTILINE)
    lines = [line.strip() for line in "\n".join(blocks).splitlines()]
    patterns = [line for line in lines if line and not line.startswith(":")]
    files = {file for pattern in patterns for file in path.parent.glob(f"{pattern}.*")}
    return {str(file.relative_to(DOCS).with_suffix("")) for file in files} & PAGES


def test_every_page_is_reachable_from_the_index():
    reached, new = set(), {"index"}
    while new:
        reached |= new
        new = {entry for page in new for entry in entries(page)} - reached
    assert reached == PAGES


def test_each_package_and_name_that_mixvae_offers_is_in_the_api_reference():
    pages = "".join(path.read_text() for path in (DOCS / "api").glob("*.rst"))
    for module in mixvae._MODULES:
        assert f".. automodule:: mixvae.{module}\n" in pages, module
    for name, home in mixvae._HOMES.items():
        assert f"`~mixvae.{home}.{name}`" in pages, name


@pytest.mark.parametrize("example", sorted((ROOT / "examples/gallery").glob("*.py")), ids=str)
def test_an_example_of_the_gallery_has_a_title_and_cells(example):
    text = example.read_text(encoding="utf-8")
    title, line, *_ = ast.get_docstring(ast.parse(text)).splitlines()
    assert line == "=" * len(title)
    assert text.count("\n# %%\n") >= 2


def test_links_out_of_docs_lead_to_the_repository_and_others_stay(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.syspath_prepend(str(DOCS))
    rewrite = runpy.run_path(str(DOCS / "conf.py"))["link_repository"]
    kept = "[a](../training.md#loss) [b](vae.md) [c](https://x.org) [d](#options)"
    page = [f"[a](../../results/README.md#mnist) [b](../../src/mixvae/) {kept}"]
    rewrite(None, "models/gmvae", page)
    home = PROJECT["urls"]["Repository"]
    assert page == [
        f"[a]({home}/blob/main/results/README.md#mnist) [b]({home}/tree/main/src/mixvae) {kept}"
    ]


def test_the_readme_of_the_package_index_has_no_relative_links(monkeypatch):
    given = {}
    monkeypatch.setattr(pytest.importorskip("setuptools"), "setup", lambda **a: given.update(a))
    runpy.run_path(str(ROOT / "setup.py"))
    text = given["long_description"]
    assert not re.findall(r"\]\((?!https?://|#)", text)
    home = f"{PROJECT['urls']['Repository']}/{{}}/v{PROJECT['version']}/"
    assert f"]({home.format('raw')}docs/images/components.png)" in text
    assert f"[glossary]({home.format('blob')}docs/glossary.md)" in text


def test_the_lowest_constraints_are_the_lower_bounds():
    extras = PROJECT["optional-dependencies"]
    texts = PROJECT["dependencies"] + [t for name in extras for t in extras[name]]
    bounds = {}
    for requirement in map(Requirement, texts):
        for part in requirement.specifier:
            if part.operator == ">=":
                bounds[canonicalize_name(requirement.name)] = part.version
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    tested = [Requirement(t).name for t in extras["test"] if not t.startswith("mixvae")]
    core = [Requirement(text).name for text in PROJECT["dependencies"]]
    assert {canonicalize_name(name) for name in core + tested} <= pins.keys()
    for name, version in pins.items():
        assert version == bounds[name] or version.startswith(f"{bounds[name]}."), name


def test_the_citation_names_this_version_and_repository():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {PROJECT['version']}" in lines
    assert f"repository-code: {PROJECT['urls']['Repository']}" in lines
    assert f"url: {PROJECT['urls']['Documentation']}" in lines
    assert any(re.fullmatch(r"date-released: \d{4}-\d\d-\d\d", line) for line in lines)

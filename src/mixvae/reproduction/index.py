"""The page of all results: ``README.md`` of a folder of results."""

import re
from os.path import relpath
from pathlib import Path

from mixvae.experiments import ITEMS, PAPERS
from mixvae.storage.files import write_text

LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")  # to a file
INDEX, FINDINGS, ABOUT = "README.md", "findings.md", "about.md"


def write_index(folder: Path) -> None:
    """Write the page: what is said of all, then each paper's findings, tables and pictures.

    ``about.md``, and ``findings.md`` in each folder, are written by hand. Folders that are no
    paper's follow, with their findings and a list of their tables.
    """
    parts = [_text(folder / ABOUT, folder) or "# Results"]
    for paper, title in PAPERS.items():
        items = [item for item in ITEMS.values() if item.paper == paper]
        pages = [folder / f"{item.name}.md" for item in items]
        pages = [path for path in pages if path.exists()]
        if pages or (folder / paper / FINDINGS).exists():
            parts += [f"## {title}", _text(folder / paper / FINDINGS, folder)]
        for path in pages:
            heading, name = _title(path), path.relative_to(folder)
            parts.append(f"### [{heading}]({name})")
            pictures = [p for p in path.parent.glob("*.png") if _belongs(p, path)]
            parts += [f"![{heading}]({p.relative_to(folder)})" for p in sorted(pictures)]
            parts.append(_table(path))
    known = {folder / f"{name}.md" for name in ITEMS}
    studies = [path for path in sorted(folder.glob("*/*.md")) if path not in known]
    for path in studies:
        if path.name == FINDINGS and path.parent.name not in PAPERS:
            parts.append(_text(path, folder))
    lines = [f"- [{_title(p)}]({p.relative_to(folder)})" for p in studies if p.name != FINDINGS]
    if lines:
        parts += ["## Further tables", "\n".join(lines)]
    write_text(folder / INDEX, "\n\n".join(part for part in parts if part) + "\n")


def _belongs(picture: Path, table: Path) -> bool:
    """Whether a picture is of a table's item: ITEM.png or ITEM-ENDING.png."""
    return picture.stem.partition("-")[0] == table.stem


def _table(path: Path) -> str:
    """The first table of a page."""
    lines = _read(path).splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
    last = next((i for i, v in enumerate(lines[first:], first) if not v.startswith("|")), None)
    return "\n".join(lines[first:last])


def _title(path: Path) -> str:
    lines = _read(path).strip().splitlines()
    return lines[0].removeprefix("# ").rstrip(".") if lines else path.stem


def _read(path: Path) -> str:
    """The text of a page; where it is damaged, with marks in place of what cannot be read."""
    return path.read_text(encoding="utf-8", errors="replace")


def _text(path: Path, folder: Path) -> str:
    """A page's text, its links as they are from ``folder``; empty if there is no page."""
    if not path.exists():
        return ""

    def moved(link: re.Match[str]) -> str:
        return f"]({Path(relpath(path.parent / link[1], folder)).as_posix()})"

    return LINK.sub(moved, _read(path).strip())

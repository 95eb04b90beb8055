"""The page of all results: ``README.md`` of a folder of results."""

from pathlib import Path

from mixvae.experiments import PAPERS
from mixvae.storage.files import write_text

INDEX, FINDINGS, BEFORE = "README.md", "findings.md", "about.md"


def write_index(folder: Path) -> None:
    """Write the page: what is said of all, then each paper's findings, tables and pictures.

    ``about.md`` and ``PAPER/findings.md`` are written by hand.
    """
    parts = [_text(folder / BEFORE) or "# Results"]
    for paper, title in PAPERS.items():
        tables = sorted((folder / paper).glob("*.md"), key=_order)
        tables = [path for path in tables if path.name != FINDINGS]
        if not tables:
            continue
        parts += [f"## {title}", _text(folder / paper / FINDINGS)]
        for path in tables:
            heading = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            name = path.relative_to(folder)
            parts.append(f"### [{heading}]({name})")
            pictures = [p for p in path.parent.glob("*.png") if _belongs(p, path)]
            parts += [f"![{heading}]({p.relative_to(folder)})" for p in sorted(pictures)]
            parts.append(_table(path))
    others = [p for p in sorted(folder.glob("*/*.md")) if p.parent.name not in PAPERS]
    if others:
        parts.append("## Other studies")
        parts.append("\n".join(f"- [{_title(p)}]({p.relative_to(folder)})" for p in others))
    write_text(folder / INDEX, "\n\n".join(part for part in parts if part) + "\n")


def _belongs(picture: Path, table: Path) -> bool:
    """Whether a picture is of a table's item: ITEM.png or ITEM-ENDING.png."""
    return picture.stem.partition("-")[0] == table.stem


def _order(path: Path) -> tuple[str, int, str]:
    """Tables by number, then figures by number."""
    kind = path.stem.rstrip("0123456789abc")
    digits = "".join(c for c in path.stem if c.isdigit())
    return "" if kind == "table" else kind, int(digits or 0), path.stem


def _table(path: Path) -> str:
    """The first table of a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
    last = next((i for i, v in enumerate(lines[first:], first) if not v.startswith("|")), None)
    return "\n".join(lines[first:last])


def _title(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").strip().splitlines()
    return lines[0].removeprefix("# ").rstrip(".") if lines else path.stem


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""

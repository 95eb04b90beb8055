"""Pieces of a page: escaped text, tables, images in the page itself."""

import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape
from io import BytesIO
from math import ceil, isfinite, isqrt
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

LARGEST = 64  # pixels of a side of an example's image


class Html(str):
    """Text that is HTML already."""


def tag(name: str, content: str, **attributes: Any) -> str:
    """An element with content that is HTML; attributes are escaped, ``_`` stands for ``-``."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{content}</{name}>"


def text(name: str, words: Any, **attributes: Any) -> str:
    """An element with text, which is escaped unless it is :class:`Html`."""
    return tag(name, words if isinstance(words, Html) else escape(str(words)), **attributes)


def number(value: float | None, digits: int = 2) -> str:
    """A number for a reader; -- where there is none."""
    if value is None or not isfinite(value):
        return "--"
    small = 0 < abs(value) < 10**-digits
    return f"{value:.2g}" if small else f"{value:,.{digits}f}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", *, kind: str = ""
) -> str:
    """A table of text, whose first column names the rows; it scrolls where it is too wide."""
    top = "".join(text("th", cell, scope="col") for cell in head)
    body = "".join(
        tag(
            "tr",
            "".join(
                text("td", cell) if i else text("th", cell, scope="row")
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    )
    title = text("caption", caption) if caption else ""
    whole = f"{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    inner = tag("table", whole, class_=kind or None)
    return tag(
        "div", inner, class_="wide", tabindex="0", role="region", aria_label=caption or "table"
    )


def section(anchor: str, title: str, *content: str, level: int = 3) -> str:
    """A section with a heading; nothing if it has no content."""
    inner = "".join(content)
    return tag("section", text(f"h{level}", title) + inner, id=anchor) if inner else ""


def drawn(plot: Callable[..., Path], *args: Any, alt: str, **options: Any) -> str:
    """A picture that one of ``mixvae.plots`` writes, in the page itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = plot(*args, Path(folder) / "picture.png", **options)
        return image(path.read_bytes(), "png", alt, class_="chart")


def image(content: bytes, kind: str, alt: str, **attributes: Any) -> str:
    """An image in the page itself."""
    url = f"data:image/{kind};base64,{b64encode(content).decode()}"
    given = "".join(
        f' {key.rstrip("_")}="{escape(str(value))}"' for key, value in attributes.items()
    )
    return f'<img src="{url}" alt="{escape(alt)}"{given}>'


def as_images(x: Float[Tensor, "N *X"], largest: int = LARGEST) -> list[Any]:
    """Pillow images of examples in [0, 1]; large ones are made smaller."""
    from PIL import Image

    if x.dim() == 2:
        x = x.unflatten(1, (1, isqrt(x.shape[1]), -1))
    if x.shape[1] not in (1, 3):
        x = x.mean(1, keepdim=True)
    levels = (x.nan_to_num(0.0).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    found = [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in levels]
    for one in found:
        one.thumbnail((largest, largest))
    return found


def encoded(one: Any) -> tuple[bytes, str]:
    """A Pillow image as a file: grey ones as PNG, coloured ones as JPEG."""
    out, kind = BytesIO(), "png" if one.mode == "L" else "jpeg"
    one.save(out, kind, **({"optimize": True} if kind == "png" else {"quality": 88}))
    return out.getvalue(), kind


def sprite(x: Float[Tensor, "N *X"], largest: int) -> tuple[str, dict[str, int]]:
    """All examples in one image, row by row, and the size and number of its tiles."""
    from PIL import Image

    tiles = as_images(x, largest)
    width, height = tiles[0].size
    columns = ceil(len(tiles) ** 0.5)
    sheet = Image.new(tiles[0].mode, (columns * width, ceil(len(tiles) / columns) * height))
    for i, one in enumerate(tiles):
        sheet.paste(one, (i % columns * width, i // columns * height))
    content, kind = encoded(sheet)
    url = f"data:image/{kind};base64,{b64encode(content).decode()}"
    return url, {"width": width, "height": height, "columns": columns}


def rounded(values: Any, digits: int = 4) -> list[Any]:
    """Numbers of few significant digits, for JSON; None where they are not finite."""
    return [float(f"{v:.{digits}g}") if isfinite(v) else None for v in np.asarray(values).tolist()]

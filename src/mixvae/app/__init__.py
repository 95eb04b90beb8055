"""A page to explore a trained run in the browser; ``mixvae explore`` serves it."""

from .changes import Changed, decode_changed
from .examples import from_csv, from_image, from_texts
from .explorer import Explorer
from .server import application, serve

__all__ = [
    "Changed",
    "Explorer",
    "application",
    "decode_changed",
    "from_csv",
    "from_image",
    "from_texts",
    "serve",
]

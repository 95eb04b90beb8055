"""Text, JSON and YAML files read within bounds: of size, depth and numbers.

A file of a run may be damaged, or come from somebody else. Whatever it contains, reading it ends
soon, takes little memory, and returns plain values or raises a `MixvaeError` that names the file.
"""

import json
import stat
from math import isfinite
from pathlib import Path
from typing import Any

from mixvae.errors import MixvaeError

MAX_JSON = 1 << 24  # bytes
MAX_YAML = 1 << 18
MAX_DEPTH = 20  # of nested lists and mappings
MAX_INTEGER = 1 << 64  # seeds are below


def read_text(path: Path, limit: int) -> str:
    """The text of a file of at most ``limit`` bytes in UTF-8.

    A shell's pipe, ``<(command)``, is read too. Raises `MixvaeError` for folders, devices and other
    pipes, for a file that is larger, and where it cannot be read; FileNotFoundError where there is
    none.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not (stat.S_ISFIFO(mode) and path.parts[:2] == ("/", "dev")):
            raise MixvaeError(f"{path} must be a plain file; it is a folder, device or pipe.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise MixvaeError(f"{path} is larger than {limit:,} bytes, the most that is read.")
        return content.decode("utf-8")
    except (FileNotFoundError, MixvaeError):
        raise
    except (OSError, ValueError) as error:
        raise MixvaeError(f"{path} cannot be read as text: {error}.") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises `MixvaeError` for anything else, including NaN and infinite numbers, which JSON lacks;
    FileNotFoundError where there is no file.
    """
    text = read_text(path, MAX_JSON)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise MixvaeError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise MixvaeError(f"{path} must hold a JSON object; it holds a {type(content).__name__}.")
    return content


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError for what is malformed, too deep or too large."""
    try:
        content = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_float)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(content, MAX_DEPTH)
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """The options in a YAML file, by name.

    Only plain values are created, and aliases, by which a few lines can grow without bound, are
    refused. Raises `MixvaeError` for anything but a mapping of names to values.
    """
    import yaml

    try:
        content = yaml.load(read_text(path, MAX_YAML), _loader())
    except FileNotFoundError:
        raise MixvaeError(f"{path}: no such file.") from None
    except MixvaeError:
        raise
    except (ValueError, OverflowError, RecursionError, TypeError, yaml.YAMLError) as error:
        raise MixvaeError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise MixvaeError(
            f"{path} must hold options, one a line, such as 'n_components: 4'; it holds "
            f"{content!r:.60}."
        )
    return content


def _loader() -> Any:
    """PyYAML's safe loader, without aliases or duplicate keys, and of bounded depth."""
    import yaml

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if isinstance(event, yaml.AliasEvent):
                raise yaml.YAMLError(f"aliases are not read (*{event.anchor}); write the value out")
            if self.depth == MAX_DEPTH:
                raise yaml.YAMLError("it is nested too deeply")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in seen:
                    raise yaml.YAMLError(f"the key {name} is set again in line {line}; keep one")
                seen.add(name)
            return super().construct_mapping(node, deep)

    return Loader


def _int(text: str) -> int:
    number = int(text)
    if abs(number) >= MAX_INTEGER:
        raise ValueError(f"the number {text:.20}... is too large")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"the number {text:.20} is not finite")
    return number


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, left - 1)

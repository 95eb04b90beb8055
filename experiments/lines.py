"""Small runs that are a line of a CSV each: one that stands there is not made again."""

import argparse
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

Run = TypeVar("Run")


class Lines:
    """The lines of results/NAME.csv, and the table NAME.md that is made of them."""

    def __init__(self, path: Path) -> None:
        self.csv, self.md = path.with_suffix(".csv"), path.with_suffix(".md")

    def read(self) -> list[dict[str, str]]:
        """Those there are."""
        if not self.csv.exists():
            return []
        with self.csv.open(newline="") as file:
            return list(csv.DictReader(file))

    def has(self, key: dict[str, Any]) -> bool:
        """Whether a run stands there."""
        return self.find(key) is not None

    def find(self, key: dict[str, Any]) -> dict[str, str] | None:
        """The first run of these values, if there is one."""
        found = (one for one in self.read() if all(str(v) == one[k] for k, v in key.items()))
        return next(found, None)

    def add(self, line: dict[str, Any]) -> None:
        """Put a run at the end."""
        is_new = not self.csv.exists()
        self.csv.parent.mkdir(parents=True, exist_ok=True)
        with self.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(line), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(line)

    def write(self, about: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """The table, under a script's docstring: title, command, and what was done."""
        title, command, text = about.strip().split("\n\n", 2)
        table = [head, ["---"] * len(head), *rows]
        body = "\n".join("| " + " | ".join(row) + " |" for row in table)
        self.md.write_text(f"{title}\n\n{text}\n\n{body}\n\nMade by `{command.strip()}`.\n")


def table_options(about: str, **choices: Sequence[Any]) -> argparse.Namespace:
    """The folder of tables, the seeds, and of each list of choices those that are asked for."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("MIXVAE_DATA"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    for name, values in choices.items():
        kind = type(values[0])
        parser.add_argument(f"--{name}", nargs="+", type=kind, choices=values, default=values)
    args = parser.parse_args()
    if args.data_dir is None:
        parser.error("give the folder of the tables, --data-dir DIR, or set MIXVAE_DATA")
    return args


def shard(runs: Sequence[Run], title: str) -> Iterator[Run]:
    """The runs that the command line's ``--shard i/n`` asks for; by default all of them."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th run, from the i-th")
    first, step = (int(n) for n in parser.parse_args().shard.split("/"))
    yield from runs[first - 1 :: step]

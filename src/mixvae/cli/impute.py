"""``mixvae impute``: tables with their missing values filled in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mixvae.data import MixedColumns, Standardization
from mixvae.data.batch_labels import batch_numbers
from mixvae.data.columns import check_columns
from mixvae.data.filling import filled
from mixvae.data.formats import table_file
from mixvae.data.frames import columns_of
from mixvae.data.numbers import to_numpy
from mixvae.errors import MixvaeError, unknown, whole
from mixvae.likelihoods.columns import REAL
from mixvae.run import Run, load
from mixvae.storage import files

from .inputs import DataOptions, data_options
from .parser import taken
from .pictures import check_path
from .recipe_files import import_recipes
from .result import Result
from .rows import check_writer
from .runs import file_name, parser_of

SUFFIXES = (".csv", ".parquet")
FROM_DATA = ("data", "label_column", "batch_column")


@dataclass(frozen=True, kw_only=True)
class ImputeOptions:
    """The table, how values are filled in, and the output."""

    data: str | None = None
    """A table (.csv, .tsv, .parquet) with the columns of training; by default the run's own."""
    label_column: str | None = None
    """Column of the file that is the class, and no part of x; by default that of the run."""
    batch_column: str | None = None
    """Column of the file that names each row's batch, for a run with batches; by default that of
    the run."""
    draws: int | None = None
    """Number of samples of the missing values, for multiple imputation: as many complete tables,
    one below the other. By default one table, of conditional means and most probable values."""
    n_samples: int = 200
    """Importance samples of the code for each row and component."""
    seed: int = 0
    """Seed of the samples."""
    out: str | None = None
    """A .csv or .parquet file; by default a .csv in the run folder, named by these options."""
    overwrite: bool = False
    """Write the output even where there is such a file."""


def impute(argv: list[str]) -> Result:
    """Fill in the missing values of a table, by a run of mfa-vae.

    The table is a .csv, .tsv or .parquet file, whose empty fields are missing; by default the one
    that the run was trained on, all its rows. It is written as it is, with its other columns, but
    for the missing values. Each becomes its mean given the observed values of the row; counts are
    whole numbers, categories the most probable ones. They are taken to be missing at random.

      mixvae train mfa-vae --data people.csv --kinds visits=poisson
      mixvae impute runs/mfa-vae-people-001 --data new.csv --out complete.csv

    Such a table looks more certain than it is. With --draws 20 the file has 20 complete tables, one
    below the other, of values drawn given the observed ones. Before its own columns are draw, the
    number of the table, and row, that of the row in the data's file, both counted from 0. Compute
    what you want to know from each, and compare (multiple imputation).

      mixvae impute runs/mfa-vae-people-001 --draws 20 --out draws.parquet
    """
    parser = parser_of(impute)
    parser.add_options("options of the command", ImputeOptions)
    words, values = parser.read(argv, 1)
    del values["recipes"]
    if not words:
        raise MixvaeError(f"name a run folder, such as runs/mfa-vae-wine-001: {parser.usage}.")
    import_recipes(argv)
    folder, options = Path(words[0]), taken(ImputeOptions, values)
    chosen = {name: value for name in FROM_DATA if (value := getattr(options, name)) is not None}
    run, data = load(folder), data_options(folder, chosen, FROM_DATA)
    assert data.data is not None
    source = Path(data.data).expanduser()
    if not table_file.is_table(source):
        raise MixvaeError(f"a table is filled in, of a .csv, .tsv or .parquet file; got {source}.")
    given = vars(options) | {"overwrite": False, "data": options.data and source.stem}
    default = folder / f"{file_name('impute', given, vars(ImputeOptions()), None)}.csv"
    out = default if options.out is None else Path(options.out)
    check_path(out, SUFFIXES)
    check_writer(out)
    if out.exists() and not options.overwrite:
        raise MixvaeError(f"{out} is there already; give another --out, or --overwrite.")
    frame = table_file.read(source)[0]
    _save(out, _complete(run, frame, data, source, options))
    about = {"run": folder, "data": source, "n": len(frame), "draws": options.draws}
    return Result(values=about, files=[out])


def _complete(run: Run, frame: Any, data: DataOptions, source: Path, options: ImputeOptions) -> Any:
    """The table, or one of several below each other, without missing values."""
    from mixvae.evaluation import impute as fill

    model, transform = run.recipe.model, run.transform
    if not (model.decoder.likelihood.missing and isinstance(transform, Standardization)):
        raise MixvaeError(
            f"missing values are modelled by the recipe mfa-vae; got {run.recipe.name}. Train it."
        )
    whole(1, draws=1 if options.draws is None else options.draws)
    where, batch = str(source), _batches(run, frame, data.batch_column, str(source))
    others = [name for name in (data.label_column, data.batch_column) if name is not None]
    table = frame.drop(columns=others, errors="ignore")
    check_columns(transform.columns, columns_of(table), where)
    if isinstance(transform, MixedColumns):
        x = transform.to_float64(table, where)
    else:
        x = transform.to_float64(to_numpy(table, where))
    x = fill(model, x, options.n_samples, batch, draws=options.draws, seed=options.seed)
    found = filled(table, transform.invert(x))
    if options.draws is None:
        return _with_others(frame, found, transform)
    import pandas

    parts = []
    for draw, one in enumerate(found):
        part = _with_others(frame, one, transform)
        part.insert(0, "row", np.arange(len(part)), allow_duplicates=True)
        part.insert(0, "draw", draw, allow_duplicates=True)
        parts.append(part)
    return pandas.concat(parts, ignore_index=True)


def _batches(run: Run, frame: Any, column: str | None, where: str) -> Tensor | None:
    """The number of each row's batch, for a run that has batches."""
    names = run.batch_names
    if names is None and column is None:
        return None
    if names is None:
        raise MixvaeError(f"{run.folder} was trained without batches; leave --batch-column out.")
    if column is None:
        raise MixvaeError(
            f"{run.folder} was trained with batches; name their column: --batch-column NAME."
        )
    if column not in frame.columns:
        raise unknown(f"column of {where}", column, map(str, frame.columns))
    return batch_numbers(frame[column], len(frame), where, names)[0]


def _with_others(frame: Any, table: Any, transform: Standardization) -> Any:
    """The table beside the other columns of the frame, in its order.

    Whole numbers of counts and codes, which a .csv with holes has as 3.0, are integers.
    """
    kinds = getattr(transform, "kinds", ("normal",) * table.shape[1])
    found = frame.copy()
    for name, kind in zip(table.columns, kinds, strict=True):
        column = table[name]
        if kind not in REAL and column.dtype.kind == "f" and (column % 1 == 0).all():
            column = column.astype("int64")
        found[name] = column
    return found


def _save(path: Path, frame: Any) -> Path:
    with files.whole(path) as partial:
        if path.suffix == ".csv":
            frame.to_csv(partial, index=False)
        else:
            frame.to_parquet(partial, index=False, engine="pyarrow")
    return path

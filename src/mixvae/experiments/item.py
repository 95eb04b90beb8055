"""Declarations of an experiment: what is trained, on which data, what is measured and shown.

They hold values alone; :mod:`mixvae.reproduction` trains, measures and writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Scale = Literal["quick", "cpu", "paper"]
BoundOf = Literal["no", "yes", "objective"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set, as the arguments of :func:`mixvae.data.load`.

    Parameters
    ----------
    name
        A named data set; or, with ``folder``, the name by which messages call it.
    binarize, n_val, subset
        As in :func:`mixvae.data.load`.
    folder
        A folder of images or an array file inside the data folder, for data without a reader.
    image_size
        Height and width that a folder's images are resized to.
    """

    name: str
    binarize: str = "none"
    n_val: int | None = None
    subset: int | None = None
    folder: str | None = None
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an experiment is done at one scale.

    Parameters
    ----------
    data
        Data sets by the name that rows give; the first is that of rows that give none.
    training
        Arguments of :func:`mixvae.fit`.
    training_by_data
        Arguments in place of these for one of the data sets, by its name.
    options
        Options in place of a row's own, for recipes that have them, such as smaller networks.
    evaluation
        Arguments of :func:`mixvae.evaluation.evaluate`: n_test, log_likelihood, ...
    seeds
        Number of seeds, from 0.
    note
        What is done, for the tables.
    comparable
        "yes", or "no" with the reason: whether figures can be compared with the paper's.
    quoted
        Names of rows that are not trained at this scale, as they take too long: only the paper's
        figures are shown.
    """

    data: Mapping[str, Data]
    training: Mapping[str, Any]
    training_by_data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    note: str = ""
    comparable: str = "yes"
    quoted: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model of an experiment, or one whose published figures are only quoted.

    Parameters
    ----------
    name
        Name in the tables and of ``--row``.
    recipe
        The recipe that is trained; None where figures are only quoted.
    options
        The recipe's options.
    training
        Arguments of :func:`mixvae.fit` that differ from the protocol's.
    data
        Which of the protocol's data sets; by default the first.
    reported
        The paper's figures by the column's label.
    comparable
        "yes", or "no" with the reason: whether ours can be compared with the paper's figure.
    control
        Whether the row is a control of ours, which the paper does not have.
    """

    name: str
    recipe: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    reported: Mapping[str, float | str] = field(default_factory=dict)
    comparable: str = "yes"
    control: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """A figure that every row has.

    Parameters
    ----------
    label
        Heading in the tables.
    path
        Where the figure is among a run's figures, such as "reconstruction.sse".
    digits
        Digits after the point.
    bound
        Whether it is a lower bound on log p(x): no; yes; or objective, if the row's objective is.
    comparable
        "yes", or "no" with the reason: whether ours is measured as the paper's figure.
    """

    label: str
    path: str
    digits: int = 2
    bound: BoundOf = "no"
    comparable: str = "yes"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of an experiment's runs.

    Parameters
    ----------
    draw
        Name of a function in :mod:`mixvae.reproduction.pictures`.
    arguments
        Its arguments, besides the results and the path.
    """

    draw: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A table or figure of a paper.

    Parameters
    ----------
    name
        PAPER/ITEM, such as "mvae/table6".
    title
        What the paper shows, in a line.
    about
        What is trained and measured, and where that differs from the paper.
    rows
        The models.
    columns
        The figures.
    measures
        What is computed besides the metrics, by the name of a function in
        :mod:`mixvae.reproduction.measures`, with its arguments.
    pictures
        The pictures, by the ending of their file's name; "" for none.
    protocols
        By scale.
    components
        Whether a second table shows the state of each component of the mixtures.
    """

    name: str
    title: str
    about: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    protocols: Mapping[Scale, Protocol]
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    components: bool = False

    @property
    def paper(self) -> str:
        """The paper's part of the name."""
        return self.name.partition("/")[0]

    @property
    def short(self) -> str:
        """The item's part of the name, which its files have."""
        return self.name.partition("/")[2]

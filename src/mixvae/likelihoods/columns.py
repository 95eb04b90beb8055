"""The likelihood of a table whose columns are of several kinds: one for each column."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import Columns, OfLibrarySize
from mixvae.errors import MixvaeError, one_of, shown, whole

from .bernoulli import BernoulliLikelihood
from .categories import CategoricalLikelihood, OrdinalLikelihood
from .counts import (
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
    ZeroInflatedPoissonLikelihood,
)
from .likelihood import Likelihood
from .real import NormalLikelihood, StudentTLikelihood

KINDS: Mapping[str, Callable[..., Likelihood]] = {
    "normal": NormalLikelihood,
    "student-t": StudentTLikelihood,
    "poisson": PoissonLikelihood,
    "negative-binomial": NegativeBinomialLikelihood,
    "zero-inflated-poisson": ZeroInflatedPoissonLikelihood,
    "zero-inflated-negative-binomial": ZeroInflatedNegativeBinomialLikelihood,
    "bernoulli": BernoulliLikelihood,
    "categorical": CategoricalLikelihood,
    "ordinal": OrdinalLikelihood,
}
REAL = ("normal", "student-t")
COUNTS = tuple(name for name in KINDS if name.endswith(("poisson", "negative-binomial")))
OF_CATEGORIES = ("categorical", "ordinal")


def is_pair(value: Sequence[int | str]) -> bool:
    """Whether it is a name and a number."""
    return len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


@dataclass(frozen=True)
class ColumnKinds:
    """The likelihood of each column of a table, and where its parameters are.

    The parameters of a column, in the units of its link, follow each other: one for a column of
    real values, of counts, of zeros and ones or of ordered categories; the log mean and the logit
    of an additional zero for zero-inflated counts; C logits for C categories.

    Attributes
    ----------
    kinds
        The name of each column's likelihood (a key of ``KINDS``), and its number C of categories,
        at least 2; 1 for all but categorical and ordinal.

    Raises
    ------
    MixvaeError
        For no columns, an unknown name, and numbers that do not fit.

    Examples
    --------
    >>> kinds = ColumnKinds((("normal", 1), ("categorical", 3), ("poisson", 1)))
    >>> kinds.n_outputs, kinds.slices[1], kinds.those("poisson")
    (5, slice(1, 4, None), [2])
    """

    kinds: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, columns: Sequence[Sequence[int | str]]) -> "ColumnKinds":
        """The same from plain values, as a recipe has them.

        Parameters
        ----------
        columns
            Pairs of a name and a number.
        """
        pairs = [(str(pair[0]), int(pair[1])) for pair in columns if is_pair(pair)]
        if len(pairs) != len(columns):
            raise MixvaeError(
                "columns must be pairs of a likelihood and its number of categories, such as "
                f"[['normal', 1], ['categorical', 3]]; got {shown(columns)}."
            )
        return cls(tuple(pairs))

    def __post_init__(self) -> None:
        """Check names and numbers."""
        if not self.kinds:
            raise MixvaeError("a table needs at least one column; got none.")
        for name, n_levels in self.kinds:
            one_of("a column's likelihood", name, KINDS)
            if name in OF_CATEGORIES:
                whole(2, n_levels=n_levels)
            elif n_levels != 1:
                raise MixvaeError(f"a column of likelihood {name} has n_levels 1; got {n_levels}.")

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """The parameters of each column, among those of all."""
        sizes = [
            2 if name.startswith("zero-inflated") else n if name == "categorical" else 1
            for name, n in self.kinds
        ]
        return tuple(slice(end - n, end) for end, n in zip(accumulate(sizes), sizes, strict=True))

    @property
    def n_outputs(self) -> int:
        """Number P of parameters."""
        return int(self.slices[-1].stop)

    @property
    def has_scales(self) -> bool:
        """Whether some columns are of real values, whose likelihoods have scales."""
        return bool(self.those(*REAL))

    def those(self, *names: str) -> list[int]:
        """The columns of these likelihoods, counted from 0."""
        return [i for i, (name, _) in enumerate(self.kinds) if name in names]

    def first_outputs(self, columns: Sequence[int]) -> list[int]:
        """The first parameter of each of these columns."""
        return [self.slices[i].start for i in columns]


class ColumnLikelihood(Likelihood):
    """Independent columns, each with a likelihood of its own kind.

    A decoder's output is the P parameters of ``kinds``, and then P logarithms of scales, which are
    used for columns of real values alone: without any there are none. Columns of one kind are
    computed together. The mean of categories is the most probable code, and their variance is NaN.
    Entries of x that are NaN are missing, and log p(x) is that of the others.

    Parameters
    ----------
    x_shape
        (D,)
    kinds
        The likelihood of each of the D columns.
    library_size
        A typical sum of the counts of a row. The means of counts are then those of the decoder
        times the row's own sum divided by it, which is taken for known: log p(x | library size). By
        default they are those of the decoder.

    Raises
    ------
    MixvaeError
        Unless there are D kinds, and for a library size that is not positive or of no counts.

    Examples
    --------
    >>> kinds = ColumnKinds((("normal", 1), ("categorical", 4)))
    >>> p = ColumnLikelihood((2,), kinds)(torch.zeros(3, 10))
    >>> p.log_prob(torch.zeros(2))[0]  # log N(0; 0, 1) + log 1/4
    tensor(-2.3052)
    """

    is_discrete = False
    has_levels = False
    missing = True

    def __init__(
        self, x_shape: Sequence[int], kinds: ColumnKinds, library_size: float | None = None
    ) -> None:
        super().__init__(x_shape)
        if self.x_shape != (len(kinds.kinds),):
            raise MixvaeError(
                f"expected a likelihood for each column of x, which has shape {self.x_shape}; got "
                f"{len(kinds.kinds)}."
            )
        self.kinds, self.library_size = kinds, library_size
        counts = kinds.those(*COUNTS)
        if library_size is not None and not (counts and library_size > 0):
            raise MixvaeError(
                f"a library size is positive, and of columns of counts, of which there are "
                f"{len(counts)}; got {library_size}."
            )
        self.register_buffer("_counts", torch.tensor(counts).long(), persistent=False)
        self.groups = nn.ModuleDict()
        self._slices: dict[str, slice | None] = {}  # the outputs of a kind that follow each other
        for name in dict.fromkeys(name for name, _ in kinds.kinds):
            self._add(name, kinds.those(name))

    def _add(self, name: str, columns: list[int]) -> None:
        """Add the likelihood of one kind, and which columns and outputs are its own."""
        levels = [self.kinds.kinds[i][1] for i in columns]
        more = (levels,) if name in OF_CATEGORIES else ()
        self.groups[name] = KINDS[name]((len(columns),), *more)
        own = [list(range(s.start, s.stop)) for s in (self.kinds.slices[i] for i in columns)]
        if name in REAL:  # the locations, then the logarithms of the scales
            own = [[i, i + self.kinds.n_outputs] for (i,) in own]
        if name != "categorical":
            own = [list(part) for part in zip(*own, strict=True)]
        outputs = [i for part in own for i in part]
        self._slices[name] = _slice_of(outputs)
        self.register_buffer(f"_columns_{name}", torch.tensor(columns), persistent=False)
        self.register_buffer(f"_outputs_{name}", torch.tensor(outputs), persistent=False)

    @property
    def param_shape(self) -> tuple[int, ...]:
        return ((1 + self.kinds.has_scales) * self.kinds.n_outputs,)

    def group(self, name: str) -> tuple[Likelihood, Tensor]:
        """The likelihood of one kind, and its columns.

        Parameters
        ----------
        name
            One that some column has.
        """
        part = self.groups[name]
        assert isinstance(part, Likelihood)
        return part, self.get_buffer(f"_columns_{name}")

    def pixels(self, params: Tensor) -> Distribution:
        if self.library_size is None:
            return self._columns_of(params)
        shape = (*params.shape[:-1], *self.x_shape)
        given = partial(self._columns_of, params)
        return OfLibrarySize(given, shape, self.get_buffer("_counts"), self.library_size)

    def _columns_of(self, params: Tensor, log_size: Tensor | None = None) -> Columns:
        """The columns, with means of counts that are multiplied by a library size."""
        parts = []
        for name in self.groups:
            part, columns = self.group(name)
            own = params[..., self._slices[name] or self.get_buffer(f"_outputs_{name}")]
            if log_size is not None and name in COUNTS:
                rates, zeros = own[..., : len(columns)] + log_size, own[..., len(columns) :]
                own = torch.cat([rates, zeros.expand_as(rates)], -1) if zeros.shape[-1] else rates
            parts.append((columns, part.pixels(own.unflatten(-1, part.param_shape))))
        return Columns(parts)

    def check(self, x: Tensor) -> None:
        x = x.masked_fill(x.isnan(), 0)  # a value of every kind
        for name in self.groups:
            part, columns = self.group(name)
            part.check(x[..., columns])


def _slice_of(numbers: list[int]) -> slice | None:
    """The slice that has these numbers, if there is one: with tensors, indexing takes longer."""
    found = slice(numbers[0], numbers[-1] + 1)
    return found if numbers == list(range(found.start, found.stop)) else None

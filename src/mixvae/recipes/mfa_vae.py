"""The exact mixture for tables: factor analysers, changed by networks; from no published paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mixvae.data.dataset import Dataset, Split
from mixvae.data.mixed_columns import MixedColumns
from mixvae.data.rows import Rows, TensorOrRows, has_missing
from mixvae.errors import MixvaeError
from mixvae.families import ExactMixture, Family
from mixvae.initialization.batch_mixture import FittedWithBatches, MixtureWithBatches, with_batch
from mixvae.initialization.column_mixture import MixtureOfColumns
from mixvae.initialization.gaussian_mixture import (
    REGULARISATION,
    SEARCH_VAL_ROWS,
    Covariance,
    Mixture,
    one_standard_error,
    search,
    start_from,
)
from mixvae.likelihoods import ColumnKinds, ColumnLikelihood, Likelihood, likelihood
from mixvae.likelihoods.columns import COUNTS, REAL
from mixvae.model import MixtureVAE
from mixvae.objectives import Objective, mixture_bound
from mixvae.parts.decoders import Decoder
from mixvae.parts.factor_analysers import (
    ComponentMLP,
    FactorAnalysers,
    Noise,
    ObservedFeatures,
    ResidualBranch,
    ResidualDecoder,
    ResidualPosterior,
)
from mixvae.parts.labels import NO_LABELS, BatchLabels, Labels
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights, Weights

from .options import ImportanceWeighted
from .recipe import Recipe, Shape
from .registry import register

START_ROWS, START_VALUES = 4000, 2**21  # by which data that are not in memory are started
IN_MEMORY = 2**23  # values in memory; of more, as of those that are not, some rows are taken
MOST_LATENTS = 60  # of wide tables
WIDE = 300  # columns; of more, the Gaussian mixture has diagonal covariances


@register("mfa-vae")
@dataclass(frozen=True, kw_only=True)
class MixtureOfFactorAnalysers(ImportanceWeighted):
    """A deep mixture for tables, started as a Gaussian mixture, which it contains.

    It is from no published paper; its objective is a lower bound on log p(x). Each component is a
    factor analyser, to which networks of the code and the component's number add.
    """

    creation_order: ClassVar = ("decoder", "encoder", "posterior", "weights", "prior")

    n_components: int | None = None  # type: ignore[assignment]  # an int once data decided
    """Number K of components. By default chosen with the covariance: the fewest whose Gaussian
    mixture is within a standard error of the best on validation rows, or with fewer than 1,000 rows
    by cross-validation of training and validation rows. Without data 10."""
    n_latent: int | None = None
    """Size L of each component's code. By default 0.6 D of D columns, from 1 to 60."""
    hidden: Sequence[int] = (128, 128)
    """Widths of the networks' hidden layers."""
    x_noise: float | None = None
    """Standard deviation of normal noise that is added to the rows of every training batch, against
    overfitting. By default the square root of reg_covar, which smooths the start as much; 0 without
    data or with start random."""
    likelihood: Literal["normal", "student-t"] = "normal"
    """Noise of each column: normal, or student-t, for which rows that lie far out count less."""
    columns: Sequence[Sequence[int | str]] | None = None
    """For a table whose columns are of several kinds: the likelihood of each, and its number of
    categories (1 for all but categorical and ordinal). By default those of the data; none where all
    columns are real."""
    library_size: Literal["none", "median"] | float = "none"
    """Whether means of counts are proportional to the row's library size, the sum of its counts, as
    of cells in sequencing: none, or divided by a typical sum, which is a number or the median of
    training rows. Densities are then log p(x | library size)."""
    noise: Noise = "decoder"
    """What the noise's scale depends on: the code, by a network (decoder); the column and the
    component (component); the column; or nothing (all)."""
    start: Literal["gaussian-mixture", "random"] = "gaussian-mixture"
    """Initialisation, when the recipe is built for data: scikit-learn's GaussianMixture, or
    random weights."""
    covariance: Covariance | None = None
    """Covariance of the Gaussian mixture to start from. By default the best in the same choice, and
    diag for more than 300 columns."""
    reg_covar: float | None = None
    """Added to the diagonal of its covariances. By default the best of 0.001, 0.01 and 1e-6."""
    n_init: int = 1
    """Number of its fits from other first values, of which the likeliest is kept."""
    start_seed: int = field(default=0, metadata={"at_least": 0})
    """Seed of its first values."""

    missing: bool | None = None
    """Whether the encoder's network reads which entries of a row are missing (NaN), as those are
    that are missing at random. By default whether training rows have any. Without, incomplete rows
    are read too, with 0 in place of what is missing. Densities are of observed entries always."""

    n_batches: int | None = None
    """Number of technical batches (donors, sites), each of which shifts the mean of every column in
    all components alike; networks read it too. By default those of the data, if several."""

    def check(self) -> None:
        super().check()
        if self.reg_covar is not None and self.reg_covar < 0:
            raise MixvaeError(f"reg_covar must be at least 0, such as 0.001; got {self.reg_covar}.")
        if self.x_noise is not None and self.x_noise < 0:
            raise MixvaeError(f"x_noise must be at least 0, such as 0.03; got {self.x_noise}.")
        if self.columns:
            kinds = ColumnKinds.of(self.columns)
            if self.likelihood != "normal":
                raise MixvaeError(
                    f"likelihood {self.likelihood} is for tables whose columns are all real; with "
                    "columns, name it there for each column."
                )
            if self.x_noise and len(kinds.those(*REAL)) < len(kinds.kinds):
                raise MixvaeError(
                    "x_noise is for tables whose columns are all real; leave it out, or make it 0."
                )
        columns = () if self.columns is None else self.columns
        has_counts = self.columns is None or any(name in COUNTS for name, *_ in columns)
        if self.library_size != "none" and not has_counts:
            raise MixvaeError(
                "library_size is for counts, of which there are no columns; leave it out."
            )
        if not self.hidden:
            raise MixvaeError("hidden must name at least one width, such as [128, 128]; got none.")

    def resolve(self, data: Dataset | None = None) -> "Recipe":
        size = typical_library_size(self, data)
        found = self if size is None else replace(self, library_size=size)
        return super(MixtureOfFactorAnalysers, found).resolve(data)

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        decided: dict[str, Any] = {"n_components": 10, "covariance": "full", "reg_covar": 1e-3}
        columns = self.columns
        if columns is None:
            columns = columns_of_data(data)
        n_columns = 4 if data is None else prod(data.x_shape)
        own = without_choice(self, columns, n_columns)
        undecided = None in (own.n_components, own.covariance, own.reg_covar)
        decided |= {name: v for name in decided if (v := getattr(own, name)) is not None}
        fitted = data is not None and self.start == "gaussian-mixture"
        if data is not None and fitted and undecided:
            covariance, kind = kind_of_mixture(columns, own.covariance, data, self.typical_sum)
            chosen = one_standard_error(
                search(
                    rows_of(data.train, data.n_batches),
                    rows_of(data.val, data.n_batches, SEARCH_VAL_ROWS),
                    kind_of_mixture=kind,
                    n_components=own.n_components,
                    covariance=covariance,
                    reg_covar=own.reg_covar,
                    n_init=self.n_init,
                    seed=self.start_seed,
                    weights=weights_of(data),
                )
            ).mixture
            decided = {name: getattr(chosen, name) for name in decided}
        decided["missing"] = data is not None and has_missing(data.train.x)
        if data is not None and data.n_batches > 1:
            decided["n_batches"] = data.n_batches
        decided["n_latent"] = n_latent_of(n_columns)
        regularisation = decided["reg_covar"] if self.reg_covar is None else self.reg_covar
        decided["x_noise"] = regularisation**0.5 if fitted and not columns else 0.0
        return super().decided_by(data) | decided | {"columns": columns}

    def start_from(self, model: MixtureVAE, data: Dataset) -> None:
        super().start_from(model, data)
        if (self.n_batches or 1) != data.n_batches:
            raise MixvaeError(
                f"n_batches is {self.n_batches}, and {data.name} has {data.n_batches}; leave it "
                "out."
            )
        if self.start == "random":
            return
        assert self.covariance is not None
        assert self.reg_covar is not None
        sizes = self._sizes(data.x_shape)
        kind = kind_of_mixture(self.columns, self.covariance, data, self.typical_sum)[1]
        mixture = kind(sizes[2], self.covariance, self.reg_covar, self.n_init, self.start_seed)
        assert isinstance(model.decoder, ResidualDecoder)
        assert isinstance(model.posterior, ResidualPosterior)
        assert isinstance(model.weights, CategoricalWeights)
        fitted = mixture.fit(rows_of(data.train, data.n_batches), (weights_of(data) or (None,))[0])
        linear, likelihood, n = (
            model.decoder.branch.linear,
            model.decoder.likelihood,
            len(data.train),
        )
        if isinstance(fitted, FittedWithBatches):
            fitted = fitted.start(linear)
        if isinstance(likelihood, ColumnLikelihood):
            fitted.start(linear, likelihood, model.weights, n)
        else:
            start_from(linear, model.weights, fitted, n)
        model.decoder.branch.residual.start_at_zero()
        model.posterior.residual.start_at_zero()

    def single(self) -> "MixtureOfFactorAnalysers":
        return replace(self, n_components=1)

    @property
    def kinds(self) -> ColumnKinds | None:
        """The likelihood of each column; None where all are real."""
        return ColumnKinds.of(self.columns) if self.columns else None

    @property
    def typical_sum(self) -> float | None:
        """The sum of counts of a row of library size 1; None where library sizes do not count."""
        return self.library_size if isinstance(self.library_size, float) else None

    def encoder_features(self, x_shape: Shape) -> int:
        return prod(x_shape) + self._n_one_hot

    def make_labels(self) -> Labels:
        return BatchLabels(self._n_one_hot) if self._n_one_hot else NO_LABELS

    @property
    def _n_one_hot(self) -> int:
        """Number of entries of a batch's one-hot; none where there is one batch."""
        return self.n_batches if self.n_batches is not None and self.n_batches > 1 else 0

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        if self.kinds is not None:
            return ColumnLikelihood(x_shape, self.kinds, self.typical_sum)
        return likelihood(self.likelihood, x_shape, missing=len(x_shape) == 1)

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> dict[str, Any]:
        slots = dict(super().make_slots(x_shape, likelihood))
        slots["posterior"].reads(slots["decoder"].branch.linear)
        return slots

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, self.encoder_features(x_shape))))

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        n_columns, n_latent, k = self._sizes(x_shape)
        features = ObservedFeatures(bool(self.missing), self.kinds, self.typical_sum)
        n_features = features.n_features(n_columns)
        n_features += self._n_one_hot
        residual = ComponentMLP(n_features, 2 * n_latent, self.hidden, k)
        return ResidualPosterior(residual, features, self.kinds)

    def make_weights(self, x_shape: Shape) -> Weights:
        return CategoricalWeights(self._sizes(x_shape)[2], learned=True)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        n_columns, n_latent, k = self._sizes(x_shape)
        n_columns = self.kinds.n_outputs if self.kinds else n_columns
        linear = FactorAnalysers(n_columns, n_latent, k, self.noise, self.n_batches or 1)
        has_scales = self.kinds is None or self.kinds.has_scales
        n_outputs = (1 + (has_scales and self.noise == "decoder")) * n_columns
        n_inputs = n_latent + self._n_one_hot
        residual = ComponentMLP(n_inputs, n_outputs, self.hidden[::-1], k)
        return ResidualDecoder(ResidualBranch(linear, residual, has_scales), likelihood)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return NormalPrior(Tensor(self._sizes(x_shape)[1]).zero_())

    def make_family(self) -> Family:
        return ExactMixture()

    def make_objective(self) -> Objective:
        return Objective(mixture_bound, is_bound=True)

    def finish_objective(self, objective: Objective) -> Objective:
        return replace(super().finish_objective(objective), x_noise=self.x_noise or 0.0)

    def _sizes(self, x_shape: Shape) -> tuple[int, int, int]:
        """Numbers of columns, latent dimensions and components."""
        assert self.n_latent is not None
        assert self.n_components is not None
        return prod(x_shape), self.n_latent, self.n_components


def n_latent_of(n_columns: int) -> int:
    """The size L of a code by default: 0.6 D, at least 1, and at most ``MOST_LATENTS``."""
    return max(1, min(int(0.6 * n_columns), MOST_LATENTS))


def typical_library_size(recipe: MixtureOfFactorAnalysers, data: Dataset | None) -> float | None:
    """The typical sum of counts that a recipe asks for; None where it asks for none.

    Raises a MixvaeError where it is that of data, and there are none, or none with counts.
    """
    if recipe.library_size == "none":
        return None
    columns = columns_of_data(data) if recipe.columns is None else recipe.columns
    counts = [i for i, (name, _) in enumerate(columns) if name in COUNTS]
    if not counts and (data is not None or columns):
        raise MixvaeError(
            "library_size is for counts, of which the data have no columns; leave it out, or name "
            "a likelihood of counts."
        )
    if isinstance(recipe.library_size, float):
        return recipe.library_size
    if data is None:
        raise MixvaeError(
            "library_size median is that of training rows; give data, or the typical sum of counts."
        )
    return max(1.0, float(np.nanmedian(np.nansum(rows_of(data.train)[:, counts], 1))))


def without_choice(
    recipe: MixtureOfFactorAnalysers, columns: Sequence[Sequence[int | str]], n_columns: int
) -> MixtureOfFactorAnalysers:
    """The recipe with the covariance, and its regularisation, where data leave no choice.

    Without real columns they have no effect; full ones of more than 300 columns take too long.
    """
    if not columns or ColumnKinds.of(columns).has_scales:
        if n_columns > WIDE and recipe.covariance is None:
            return replace(recipe, covariance="diag")
        return recipe
    reg_covar = REGULARISATION[0] if recipe.reg_covar is None else recipe.reg_covar
    return replace(recipe, covariance=recipe.covariance or "diag", reg_covar=reg_covar)


def kind_of_mixture(
    columns: Sequence[Sequence[int | str]] | None,
    covariance: Covariance | None,
    data: Dataset,
    library_size: float | None = None,
) -> tuple[Covariance | None, Callable[..., Mixture]]:
    """The covariance of the mixture to start from, where there is no choice, and its kind.

    Parameters
    ----------
    columns, covariance, library_size
        As of the recipe, the last a number. Of less than two real columns the covariance is
        diagonal.
    data
        The data, whose batches have shifts.
    """
    kind: Callable[..., Mixture] = Mixture
    if columns:
        kinds = ColumnKinds.of(columns)
        covariance = covariance or ("diag" if len(kinds.those(*REAL)) < 2 else None)
        kind = partial(MixtureOfColumns, kinds=kinds, library_size=library_size)
    if data.n_batches > 1:
        kind = partial(MixtureWithBatches, of=kind, n_batches=data.n_batches)
    return covariance, kind


def weights_of(data: Dataset) -> tuple[Any, Any] | None:
    """Weights of training and validation rows in float64, as NumPy's; None where there are none."""
    own, others = data.train.weight, data.val.weight
    if own is None:
        return None
    others = torch.ones(len(data.val)) if others is None else others
    return own[_some(data.train.x)].double().numpy(), others.double().numpy()


def rows_of(split: Split, n_batches: int = 1, most: int | None = None) -> Any:
    """Rows in float64, as NumPy's: all of a table in memory, unless it is large.

    Where there are several batches, their number is a last column.

    Parameters
    ----------
    split
        The rows.
    n_batches
        Number of batches.
    most
        How many rows, the first; by default as many as the start is found by.
    """
    x, batch = split.x, split.batch_label
    some = _some(x) if most is None else slice(most)
    rows = x[some].flatten(1).double().numpy()
    return rows if batch is None or n_batches == 1 else with_batch(rows, batch[some])


def _some(x: TensorOrRows) -> slice:
    """The rows that the start is found by: all, or some of a large table.

    Of rows that are not in memory, which are in no order, they are the first.
    """
    d = prod(x.shape[1:])
    most = max(START_ROWS, START_VALUES // d)
    if isinstance(x, Rows):
        return slice(most)
    return slice(None, None, -(-len(x) // most) if len(x) * d > IN_MEMORY else None)


def columns_of_data(data: Dataset | None) -> tuple[tuple[str, int], ...]:
    """The kinds of the data's columns; () where all are normal.

    Parameters
    ----------
    data
        The data, if there are any.
    """
    transform = None if data is None else data.transform
    kinds = transform.kept_kinds if isinstance(transform, MixedColumns) else ()
    return () if all(name == "normal" for name, _ in kinds) else kinds

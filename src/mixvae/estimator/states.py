"""The state of each component of a fitted ``DeepMixture``, its table and its text."""

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.rows import TensorOrRows
from mixvae.errors import MixvaeWarning
from mixvae.evaluation.batches import prior_of_clusters
from mixvae.evaluation.health import component_health
from mixvae.model import MixtureVAE
from mixvae.parts.factor_analysers import ResidualDecoder

MOST_ROWS = 5000  # of the training data, over which components are measured


def states_of(
    model: MixtureVAE,
    x: TensorOrRows,
    weights: np.ndarray,
    row_weight: Float[Tensor, " N"] | None = None,
    batch: Int64[Tensor, " N"] | None = None,
) -> tuple[dict[str, np.ndarray], str | None]:
    """Figures of each component by name, and the warning of dead and collapsed ones.

    A component of factor analysers whose loadings are 0 has no code to speak of and is a normal
    distribution: it is neither dead nor collapsed.
    """
    some = slice(None, None, -(-len(x) // MOST_ROWS))
    row_weight = None if row_weight is None else row_weight[some]
    batch = None if batch is None else batch[some]
    health = component_health(model, x[some], batch, weight=row_weight)
    state = np.full(len(health.kl), "alive", object)
    warning = None
    if not isinstance(model.decoder, ResidualDecoder):
        state[health.dead], state[health.collapsed] = "dead", "collapsed"
        warning = health.warning()
    share = health.share.numpy()
    figures = {
        "weight": share if prior_of_clusters(model) else weights,
        "share": share,
        "kl": health.kl.numpy(),
        "active_units": health.active_units.numpy(),
        "state": state,
    }
    return figures, warning


def quantile(values: np.ndarray, fraction: float, weight: np.ndarray | None) -> float:
    """A quantile of values, interpolated; with weights, the least that reaches the fraction."""
    if weight is None:
        return float(np.percentile(values, 100 * fraction))
    order = values.argsort()
    reached = weight[order].cumsum() >= fraction * weight.sum()
    return float(values[order][reached.argmax()])


def warn(text: str) -> None:
    """Warn from ``fit``, at the line that called it."""
    warnings.warn(text, MixvaeWarning, stacklevel=5)


def frame(columns: Mapping[str, np.ndarray]) -> Any:
    """A pandas DataFrame where pandas is installed, otherwise the columns by name."""
    if find_spec("pandas") is None:
        return dict(columns)
    import pandas

    return pandas.DataFrame(dict(columns))


def text(head: Sequence[str], columns: Mapping[str, np.ndarray]) -> str:
    """Lines, and the columns as an aligned table, a component a row."""
    rows = [["component", *columns]]
    for k in range(len(next(iter(columns.values())))):
        values = (column[k] for column in columns.values())
        rows.append(
            [
                str(k),
                *(f"{v:.3f}" if isinstance(v, float | np.floating) else str(v) for v in values),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(v.rjust(w) for v, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*head, *lines])

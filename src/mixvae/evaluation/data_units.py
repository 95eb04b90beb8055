"""Bounds and log p(x) of a standardised table in the units of its data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mixvae.data.dataset import Split
from mixvae.data.rows import has_missing
from mixvae.data.standardization import Standardization
from mixvae.data.transform_record import AnyTransform

from .batches import spaced


def in_data_units(
    metrics: Mapping[str, Any], transform: AnyTransform, split: Split | None = None
) -> dict[str, Any]:
    """Metrics with those of densities also in the units of the data, where x is standardised.

    A density of standardised columns is that of the columns as they are stored times the product of
    the scales, so that the logarithms differ by ``Standardization.log_scale``.

    Parameters
    ----------
    metrics
        Result of :func:`mixvae.evaluation.evaluate`.
    transform
        That of the data.
    split
        The data, of which missing values have no part in densities; None where nothing is missing.

    Returns
    -------
    metrics
        The same, and for a `Standardization` also ``data_units``: ``log_scale``, ``elbo``
        and ``log_likelihood``, nats, means over x, where there are any. Bits per dimension are left
        out, as they are for levels in [0, 1].

    Examples
    --------
    >>> from mixvae.data import Standardization
    >>> cm = Standardization(("height",), mean=(170.0,), scale=(10.0,), constant=(False,))
    >>> round(in_data_units({"bounds": {"elbo": -1.4}}, cm)["data_units"]["elbo"], 2)
    -3.7
    """
    found = dict(metrics)
    if not isinstance(transform, Standardization):
        return found
    estimate = dict(metrics.get("log_likelihood", {}))
    if estimate:
        found["log_likelihood"] = estimate
        estimate.pop("bits_per_dim", None)
    values = {
        "elbo": metrics.get("bounds", {}).get("elbo"),
        "log_likelihood": estimate.get("mean"),
    }
    shift = transform.log_scale
    if split is not None:
        used = spaced(split, metrics["n"])
        if has_missing(used.x):
            weight = None if used.weight is None else used.weight.numpy()
            shift = float(np.average(transform.log_scales(used.x), weights=weight))
    own = {name: value - shift for name, value in values.items() if value is not None}
    return found | {"data_units": {"log_scale": shift} | own}

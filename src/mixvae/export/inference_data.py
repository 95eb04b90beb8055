"""Draws of a run's latent variables and of new data as ArviZ's ``InferenceData``."""

from collections.abc import Mapping
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixvae import __version__
from mixvae.data.dataset import Split
from mixvae.data.standardization import Standardization
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError, fits_memory, is_a, whole
from mixvae.evaluation.batches import check_x, evaluating
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.run import Run
from mixvae.trace import Trace

Group = dict[str, tuple[tuple[str, ...], np.ndarray, str]]  # name -> dims, values, description
DRAW = ("chain", "draw", "row")
ROWS = 100  # at a time


def to_arviz(run: Run, data: Split, *, n_draws: int = 100, seed: int = 0) -> Any:
    """Draws from a run's approximate posterior of rows, and from its predictive distribution.

    The parameters of the model are fixed; what is random are the latent variables of each row. The
    draws are independent, so that there is one chain.

    Parameters
    ----------
    run
        From :func:`mixvae.load` or :func:`mixvae.fit`.
    data
        Rows as the model sees them, such as ``data.test``.
    n_draws
        Number of draws for each row.
    seed
        Seed of all noise.

    Returns
    -------
    arviz.InferenceData
        With the groups ``posterior`` (``code`` from q(z | x, k); ``weights``, from q(w | x) where
        they are random, else fixed; ``component``, one index drawn by the responsibilities),
        ``posterior_predictive`` (``x`` from p(x | z, w) for those draws), ``log_likelihood``
        (``x``: log p(x | z, w) of each draw, given the row's own codes: it is not log p(x), and not
        for comparing models by LOO or WAIC), ``sample_stats`` (``log_weight``, log p(x, z) - log
        q(z | x) over all components, whose log-mean-exp over draws is the importance-sampling
        estimate of log p(x), too low on average), ``observed_data`` (``x``, and ``y`` where there
        are classes) and ``constant_data`` (``responsibilities``). Densities are in nats, x and
        densities in the units of the data, categories as codes. A model without densities has no
        ``log_likelihood`` and ``sample_stats``.

    Raises
    ------
    MixvaeError
        Without the package arviz, and for rows that the model does not take.
    """
    is_a(Run, "mixvae.load reads one from its folder", run=run)
    is_a(Split, "one split of a Dataset, such as data.test", data=data)
    whole(1, n_draws=n_draws)
    if find_spec("arviz") is None:
        raise MixvaeError(
            "this needs the package arviz, which is not installed: pip install 'mixvae[arviz]'."
        )
    model, x = run.recipe.model, data.x[: len(data)]
    y = model.labels.of(data)
    check_x(model, x, y)
    n_latent = model.prior(model.encode).event_shape[0]
    size = n_draws * len(x) * (model.n_components * (n_latent + prod(x.shape[1:])))
    fits_memory(8 * size, f"n_draws {n_draws}")
    starts = range(0, len(x), ROWS)
    with evaluating(model, seed):
        parts = [
            _draws(model, x[i : i + ROWS], None if y is None else y[i : i + ROWS], n_draws)
            for i in starts
        ]
    found = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
    return _inference_data(_groups(found, run, data, x), _coordinates(run, data, x, n_latent), run)


def _draws(model: MixtureVAE, x: Tensor, y: Classes | None, n_draws: int) -> dict[str, Tensor]:
    """Of some rows, each with the axis of draws first, of size 1 where nothing is random."""
    trace = model.draw(x, *model.infer(x, y), n_draws, y)
    r = model.family.responsibilities(model.mean_trace(x, y))
    k = torch.multinomial(r, n_draws, replacement=True).T  # (S, B)
    found = {"code": trace.z, "weights": trace.b, "component": k}
    found |= {"x": _predicted(model, trace, k), "responsibilities": r.unsqueeze(0)}
    if not model.is_deterministic and model.decoder.likelihood.is_density:
        found |= {"log_weight": trace.log_weight, "log_lik": _log_lik(trace, k)}
    return {name: value.detach().cpu() for name, value in found.items()}


def _predicted(model: MixtureVAE, trace: Trace, k: Tensor) -> Tensor:
    """x sampled given codes, by the drawn component unless the decoder blends them."""
    likelihood = model.decoder.likelihood
    p_x = trace.p_x
    samples: Tensor = p_x.sample() if likelihood.is_density else p_x.mean
    return samples.squeeze(2) if samples.shape[2] == 1 else _of(samples, k)


def _log_lik(trace: Trace, k: Tensor) -> Tensor:
    return trace.log_lik.squeeze(2) if trace.log_lik.shape[2] == 1 else _of(trace.log_lik, k)


def _of(values: Tensor, k: Tensor) -> Tensor:
    """The values (S, B, K, ...) of one component for each draw and row."""
    index = k.reshape(*k.shape, *[1] * (values.dim() - 2))
    return values.take_along_dim(index, 2).squeeze(2)


def _groups(found: Mapping[str, Tensor], run: Run, data: Split, x: Tensor) -> dict[str, Group]:
    """The variables of each group, with an axis of one chain where there are draws."""
    transform, own = run.transform, _axes(run, x)
    shift = transform.log_scales(x) if isinstance(transform, Standardization) else 0.0
    drawn = {name: value.unsqueeze(0).numpy() for name, value in found.items()}
    given = "drawn by the responsibilities" if run.recipe.model.n_components > 1 else "always 0"
    groups: dict[str, Group] = {
        "posterior": {
            "code": ((*DRAW, "component", "latent"), drawn["code"], "from q(z | x, k)"),
            "weights": ((*DRAW, "component"), drawn["weights"], "mixing weights that decode"),
            "component_index": (DRAW, drawn["component"], given),
        },
        "posterior_predictive": {
            "x": ((*DRAW, *own), _stored(found["x"], transform)[None], "from p(x | z, w)")
        },
        "observed_data": {"x": (("row", *own), _stored(x, transform), "in the data's units")},
        "constant_data": {
            "responsibilities": (
                ("row", "component"),
                drawn["responsibilities"][0, 0],
                "at the means of the codes",
            )
        },
    }
    if data.y is not None:
        groups["observed_data"]["y"] = (("row",), data.y.numpy(), "class")
    if "log_weight" in found:
        about = "log p(x | z, w) of the draw, nats, in the data's units; not log p(x)"
        groups["log_likelihood"] = {"x": (DRAW, drawn["log_lik"] - shift, about)}
        about = "log p(x, z) - log q(z | x), nats; its log-mean-exp estimates log p(x)"
        groups["sample_stats"] = {"log_weight": (DRAW, drawn["log_weight"] - shift, about)}
    return groups


def _axes(run: Run, x: Tensor) -> tuple[str, ...]:
    return ("column",) if x.dim() == 2 else ("channel", "height", "width")


def _stored(x: Tensor, transform: AnyTransform | None) -> np.ndarray:
    """Values in the units of the data: numbers for every kind of column."""
    if isinstance(transform, Standardization):
        return transform.unscale(x)
    return x.numpy() if transform is None else transform.invert(x)


def _coordinates(run: Run, data: Split, x: Tensor, n_latent: int) -> dict[str, Any]:
    names = None if run.transform is None else run.transform.columns
    coordinates: dict[str, Any] = {
        "row": np.arange(len(x)) if data.index is None else data.index.numpy(),
        "component": np.arange(run.recipe.model.n_components),
        "latent": np.arange(n_latent),
    }
    return coordinates | ({} if names is None or x.dim() > 2 else {"column": list(names)})


def _inference_data(groups: Mapping[str, Group], coordinates: Mapping[str, Any], run: Run) -> Any:
    """The groups as xarray's data sets in what this version of arviz has for them."""
    import warnings

    import xarray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of its version 1
        import arviz
    sets: dict[str, Any] = {}
    for name, group in groups.items():
        variables = {k: (d, v, {"description": about}) for k, (d, v, about) in group.items()}
        used = {axis for dims, _, _ in group.values() for axis in dims}
        own = {axis: values for axis, values in coordinates.items() if axis in used}
        drawn = {"chain": [0]} if "chain" in used else {}
        attributes = {
            "inference_library": "mixvae",
            "inference_library_version": __version__,
            "recipe": run.recipe.name,
        }
        one = xarray.Dataset(variables, coords=drawn | own, attrs=attributes)
        sets[name] = one.assign_coords(draw=np.arange(one.sizes["draw"])) if drawn else one
    if hasattr(arviz, "InferenceData"):
        return arviz.InferenceData(**sets)
    return xarray.DataTree.from_dict(sets)

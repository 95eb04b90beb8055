"""One example, decoded after changes of its codes, of the mixing weights, and of who reads what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError, at_least, finite, shown
from mixvae.evaluation.batches import check_x, evaluating
from mixvae.evaluation.latent_operations import check_latent, decode, stddev
from mixvae.model import MixtureVAE
from mixvae.nn import Shared
from mixvae.parts.labels import Classes


@dataclass(frozen=True, eq=False)
class Changed:
    """An example, encoded, changed, and decoded.

    Attributes
    ----------
    codes, scales
        (K, L), the codes after the changes, and the posterior's standard deviations; NaN where
        these have no closed form.
    responsibilities
        (K,), of the components for x, which no change alters.
    weights
        (K,), those of the reconstruction by all components.
    each
        (K, *X), reconstructions by every sub-decoder alone, of the code that it reads.
    whole
        (*X), the reconstruction by all components together.
    """

    codes: Float[Tensor, "K L"]
    scales: Float[Tensor, "K L"]
    responsibilities: Float[Tensor, " K"]
    weights: Float[Tensor, " K"]
    each: Float[Tensor, "K *X"]
    whole: Float[Tensor, "*X"]


def decode_changed(
    model: MixtureVAE,
    x: Float[Tensor, "1 *X"],
    y: Classes | None = None,
    *,
    codes: Mapping[tuple[int, int], float] | None = None,
    weights: Sequence[float] | None = None,
    sources: Sequence[int] | None = None,
) -> Changed:
    """Encode an example, change its code, and decode it. Nothing is random.

    Without changes, the reconstructions are ``model.reconstruct`` and ``model.reconstruct_each``.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns.
    x
        (1, *X), the example.
    y
        (1,), its class, for a conditional model.
    codes
        New values of latent dimensions, by component and dimension; others are posterior means.
    weights
        K weights of the components, from 0, which are divided by their sum; None are the
        responsibilities.
    sources
        The encoder whose code each of the K sub-decoders reads; None is its own.

    Returns
    -------
    changed
        See :class:`Changed`, on the CPU.

    Raises
    ------
    MixvaeError
        For components and latents that do not exist, values that are not finite, weights of which
        none is above 0, and x that the model does not take.
    """
    check_x(model, x, y)
    with evaluating(model):
        x = x.to(next(model.parameters()).device)
        t = model.mean_trace(x, y)
        r = model.family.responsibilities(t)
        z = t.z.clone()
        for (k, latent), value in (codes or {}).items():
            finite(value=value)
            z[0, 0, model.check_component(k), check_latent(latent, z.shape[-1])] = value
        w = r if weights is None else normalised(model, weights).to(r)[None]
        read = z[:, :, _sources(model, sources)]
        return Changed(
            codes=z[0, 0].cpu(),
            scales=stddev(t.q_z)[0].cpu(),
            responsibilities=r[0].cpu(),
            weights=w[0].cpu(),
            each=model.decode_each(read, y).mean[0, 0].cpu(),
            whole=decode(model, read, w[None], y)[0, 0],
        )


def normalised(model: MixtureVAE, weights: Sequence[float]) -> Float[Tensor, " K"]:
    """Weights of the kept components that add up to 1.

    Parameters
    ----------
    model
        The model, which says what component dropout has removed.
    weights
        K numbers from 0.

    Raises
    ------
    MixvaeError
        For another number of them, numbers below 0, and where all are 0.
    """
    _one_each(model, "weights", weights)
    for k, weight in enumerate(weights):
        at_least(0, **{f"weight {k}": weight})
    w = torch.tensor(weights, dtype=torch.float32) * model.kept
    if not w.sum() > 0:
        raise MixvaeError("all weights are 0; raise the weight of at least one component.")
    return w / w.sum()


def no_exchange(model: MixtureVAE) -> str | None:
    """Why codes cannot be exchanged between components; None if they can."""
    if model.n_components == 1:
        return "This model has one component, so there is nothing to exchange."
    if isinstance(model.decoder.branch, Shared):
        return (
            "The components of this model share one decoder, which decodes every code alike: "
            "exchanging codes only permutes the reconstructions."
        )
    return None


def _sources(model: MixtureVAE, sources: Sequence[int] | None) -> list[int]:
    if sources is None:
        return list(range(model.n_components))
    _one_each(model, "sources", sources)
    return [model.check_component(k, "source") for k in sources]


def _one_each(model: MixtureVAE, name: str, values: Sequence[object]) -> None:
    if len(values) != model.n_components:
        raise MixvaeError(
            f"{name} must have one value for each of the {model.n_components} components; got "
            f"{shown(list(values))}."
        )

"""A check that the parts of a user's recipe fit each other, by a pass over two rows."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.seeding import noise

from .recipe import Parts, Recipe, Shape

ROWS = 2


def check_parts(recipe: Recipe, parts: Parts, x_shape: Shape) -> None:
    """Raise a MixvaeError that names the method whose part does not fit, what it returned, and why.

    The recipes of this package are not checked; their tests do that.
    """
    kind = type(recipe)
    if kind.__module__.startswith("mixvae."):
        return
    name = kind.__name__
    if not (isinstance(parts, Parts) and isinstance(parts.model, MixtureVAE)):
        raise MixvaeError(f"{name}.parts must return mixvae.recipes.Parts; got {parts!r:.80}.")
    model, training = parts.model, parts.model.training
    try:
        with noise(0), torch.no_grad():
            _pass(name, model.eval(), x_shape)
    finally:
        model.train(training)


def _pass(name: str, model: MixtureVAE, x_shape: Shape) -> None:
    """Call every part, on x of zeros and sampled codes."""
    n_components = model.n_components
    x, y = torch.zeros(ROWS, *x_shape), None
    if model.labels.n_classes is not None:
        y = torch.zeros(ROWS, dtype=torch.long)
    h = _run(f"{name}.make_encoder", "reads x", x.shape, lambda: model.features(x, y))
    fits = isinstance(h, Tensor) and h.dim() == 3 and len(h) == ROWS
    if not (fits and h.shape[1] in (1, n_components)):
        raise MixvaeError(
            f"{name}.make_encoder must give features of shape ({ROWS}, {n_components}, H) for "
            f"{ROWS} x and K = {n_components}; it gave {_shown(h)}."
        )
    reads = f"reads features, which make_encoder leaves (encoder_features says H = {h.shape[-1]})"
    q_z = _run(f"{name}.make_posterior", reads, h.shape, lambda: model.posterior(h))
    _expect(f"{name}.make_posterior", q_z, (ROWS, n_components), None)
    n_latent = tuple(q_z.event_shape)
    q_w = _run(f"{name}.make_weights", reads, h.shape, lambda: model.weights(h))
    _expect(f"{name}.make_weights", q_w, (ROWS,), (n_components,))
    p_z = _run(f"{name}.make_prior", "reads encode", (), lambda: model.prior(model.encode))
    batch = (n_components,) if _batch(p_z) else ()
    _expect(f"{name}.make_prior", p_z, batch, n_latent, "the posterior's codes have that shape")
    z, w = q_z.sample((1,)), q_w.sample((1,))
    p_x = _run(f"{name}.make_decoder", "reads codes", z.shape, lambda: model.decode(z, w, y))
    outputs = n_components if _batch(p_x)[-1:] != (1,) else 1
    _expect(f"{name}.make_decoder", p_x, (1, ROWS, outputs), x_shape, "x has that shape")


def _batch(p: Any) -> Shape:
    """The batch shape; () for anything else than a distribution."""
    return tuple(getattr(p, "batch_shape", ()))


def _run(what: str, reads: str, shape: Any, call: Callable[[], Any]) -> Any:
    """What a part returns, its exceptions as a MixvaeError."""
    try:
        return call()
    except MixvaeError:
        raise
    except Exception as error:
        line = str(error).strip().partition("\n")[0]
        raise MixvaeError(
            f"the part of {what} {reads}, of shape {tuple(shape)}, and fails: "
            f"{type(error).__name__}: {line}"
        ) from error


def _expect(what: str, p: Any, batch: Shape, event: Shape | None, why: str = "") -> None:
    """Raise unless p is a distribution of these shapes."""
    if not isinstance(p, Distribution):
        raise MixvaeError(f"the part of {what} must return a distribution; it gave {_shown(p)}.")
    got = (tuple(p.batch_shape), tuple(p.event_shape))
    needed = (batch, got[1] if event is None else event)
    if got != needed:
        raise MixvaeError(
            f"the part of {what} must return a distribution of batch shape {needed[0]} and event "
            f"shape {needed[1]}{why and f' ({why})'}; it gave batch shape {got[0]} and event shape "
            f"{got[1]}."
        )


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"

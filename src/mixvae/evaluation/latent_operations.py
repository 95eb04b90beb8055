"""What can be done with a trained model's codes: take, exchange, interpolate and vary them.

Nothing here is random: codes are posterior means, in evaluation mode. Results are on the CPU.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.errors import LARGEST, MixvaeError, finite, whole
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .batches import batches, check_x, evaluating


def codes(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None = None, *, batch_size: int = 500
) -> Float[Tensor, "N K L"]:
    """The posterior means of every component; ``.flatten(1)`` puts them side by side.

    Args:
        model: left in the mode that it came in, as everywhere here.
        x: (N, *X), pixels in [0, 1].
        y: (N,), the classes of x, for a conditional model; others do not look at them.
        batch_size: rows at a time.

    Raises:
        MixvaeError: for x of another shape than the model's, and as the model does for labels.
    """
    return _moment("mean", model, x, y, batch_size)


def scales(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None = None, *, batch_size: int = 500
) -> Float[Tensor, "N K L"]:
    """The posterior standard deviations about :func:`codes`; raises as that does."""
    return _moment("stddev", model, x, y, batch_size)


def cross_decode(
    model: MixtureVAE, x: Float[Tensor, "B *X"], y: Classes | None = None
) -> Float[Tensor, "B K K *X"]:
    """[b, i, j] is what sub-decoder j alone makes of encoder i's code of x_b (MVAE, Figs 3 and 7).

    The diagonal is ``model.reconstruct_each(x)``. Raises as :func:`codes`.
    """
    with evaluating(model):
        x, y = _whole(model, x, y)
        mu = model.infer(x, y)[0].mean.transpose(0, 1)  # (K, B, L)
        z = mu.unsqueeze(2).expand(-1, -1, len(mu), -1)  # encoders on the axis of samples
        return model.decode_each(z, y).mean.transpose(0, 1).cpu()


def interpolate(
    model: MixtureVAE,
    start: Float[Tensor, "B *X"],
    end: Float[Tensor, "B *X"],
    n_steps: int = 9,
    *,
    shift: int = 0,
    y: Classes | None = None,
) -> Float[Tensor, "T B *X"]:
    r"""From each start to its end along straight lines between their codes, MVAE (33)-(35).

    .. math:: d_k = (1 - a)\, \mu_k(x_1) + a\, \mu_k(x_2), \qquad a = 0, \ldots, 1

    The responsibilities go along the same line, and weigh what the components make of d_k. At
    both ends is ``model.reconstruct``, unless codes are exchanged.

    Args:
        model: as in :func:`codes`.
        start: (B, *X), where a is 0.
        end: (B, *X), where a is 1.
        n_steps: T, the ends included.
        shift: sub-decoder j reads the code of encoder j + shift, (36), counted round among the
            components that dropout kept.
        y: (B,), the class of both ends, for a conditional model.

    Raises:
        MixvaeError: for fewer than two steps, ends of different shapes, and as :func:`codes`.
    """
    whole(2, n_steps=n_steps)
    check_x(model, start, y)
    check_x(model, end, y)
    if start.shape != end.shape:
        raise MixvaeError(
            "start and end must be as many x of one shape; got "
            f"{tuple(start.shape)} and {tuple(end.shape)}."
        )
    with evaluating(model):
        z1, r1, classes = _codes_and_shares(model, start, y)
        z2, r2, _ = _codes_and_shares(model, end, y)
        a = torch.linspace(0, 1, n_steps).to(z1)
        z = torch.lerp(z1, z2, a[:, None, None, None])[:, :, _rolled(model, shift)]
        return _decode(model, z, torch.lerp(r1, r2, a[:, None, None]), classes)


def traverse(
    model: MixtureVAE,
    x: Float[Tensor, "B *X"],
    component: int,
    latent: int,
    values: Sequence[float] | Float[Tensor, " T"],
    y: Classes | None = None,
    *,
    alone: bool = True,
) -> Float[Tensor, "T B *X"]:
    """x again with one latent of one component's code set to each value (MVAE, Fig. 8).

    Args:
        model: as in :func:`codes`.
        x: (B, *X); its codes are where all other latents stay.
        component: whose latent, counted from 0.
        latent: which, counted from 0.
        values: T of them; the prior's standard deviation is 1.
        y: (B,), the classes of x, for a conditional model.
        alone: decode by that component alone; or by the mixture, with x's responsibilities.

    Raises:
        MixvaeError: for a component or latent that does not exist, no values, and as :func:`codes`.
    """
    check_x(model, x, y)
    model.check_component(component)
    values = torch.as_tensor(values)
    whole(1, n_values=len(values))
    finite(**{f"values[{i}]": value for i, value in enumerate(values.tolist())})
    with evaluating(model):
        mu, r, classes = _codes_and_shares(model, x, y)
        z = mu.repeat(len(values), 1, 1, 1)
        check_latent(latent, z.shape[-1])
        z[:, :, component, latent] = values.to(z).unsqueeze(1)
        if alone:
            return model.decode_each(z, classes).mean[:, :, component].cpu()
        return _decode(model, z, r.expand(len(z), -1, -1), classes)


def check_latent(latent: int, n_latent: int) -> int:
    """The latent's index; raises a MixvaeError for one that does not exist."""
    whole(-LARGEST, latent=latent)
    if not 0 <= latent < n_latent:
        raise MixvaeError(
            f"latent must be in 0 ... {n_latent - 1}, as each code has {n_latent}; got {latent}."
        )
    return latent


def pairs(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None = None, *, n: int = 5
) -> tuple[Tensor, Tensor, Tensor | None]:
    """At most ``n`` starts, ends and classes to :func:`interpolate` between, in order of x.

    A conditional model holds the class, so there both ends are of one: the first two of each class
    in turn, then the next two. There may be none.

    Raises:
        MixvaeError: for ``n`` below 1.
    """
    check_x(model, x, y)
    whole(1, n=n)
    if model.labels.n_classes is None or y is None:
        index = torch.arange(min(2 * n, len(x) - len(x) % 2)).view(-1, 2)
    else:
        index = _pairs_within(y)[:n]
    start, end = index.unbind(1)
    return x[start], x[end], None if y is None else y[start]


def _pairs_within(y: Classes) -> Int64[Tensor, "P 2"]:
    """Indices of pairs of one class: every class's first pair, then every class's second, ..."""
    each = [(y == c).nonzero().flatten() for c in y.unique()]
    each = [rows[: len(rows) - len(rows) % 2].view(-1, 2) for rows in each]
    turn = torch.cat([torch.arange(len(rows)) for rows in each])
    return torch.cat(each)[turn.argsort(stable=True)]


def _moment(
    name: str, model: MixtureVAE, x: Tensor, y: Classes | None, batch_size: int
) -> Float[Tensor, "N K L"]:
    check_x(model, x, y)
    with evaluating(model):
        each = [getattr(model.infer(*part)[0], name) for part in batches(model, x, y, batch_size)]
        return torch.cat([moment.cpu() for moment in each])


def _codes_and_shares(
    model: MixtureVAE, x: Tensor, y: Classes | None
) -> tuple[Float[Tensor, "B K L"], Float[Tensor, "B K"], Classes | None]:
    """Posterior means, responsibilities, and the classes where the model takes them."""
    x, y = _whole(model, x, y)
    t = model.mean_trace(x, y)
    return t.z[0], model.family.responsibilities(t), y


def _decode(
    model: MixtureVAE,
    z: Float[Tensor, "T B K L"],
    r: Float[Tensor, "T B K"],
    y: Classes | None,
) -> Float[Tensor, "T B *X"]:
    """The mean of x of all components together: blended, or weighted by r where kept apart."""
    mean = model.decode(z, r, y).mean
    if mean.shape[2] == 1:
        return mean.squeeze(2).cpu()
    return (r.reshape(*r.shape, *[1] * (mean.dim() - 3)) * mean).sum(2).cpu()


def _rolled(model: MixtureVAE, shift: int) -> Int64[Tensor, " K"]:
    """The encoder that each sub-decoder reads; a component that dropout took out reads its own."""
    source, kept = torch.arange(model.n_components), model.kept
    source[kept] = source[kept].roll(-shift)
    return source


def _whole(
    model: MixtureVAE, x: Float[Tensor, "B *X"], y: Classes | None
) -> tuple[Tensor, Classes | None]:
    """All of x as one batch on the model's device, and y if the model is conditional."""
    check_x(model, x, y)
    ((x, y),) = batches(model, x, y, len(x))
    return x, y

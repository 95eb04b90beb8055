"""Operations on a trained model's codes: compute, exchange, interpolate and vary them.

Nothing here is random: codes are posterior means, in evaluation mode. Results are on the CPU.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Distribution

from mixvae.errors import LARGEST, MixvaeError, finite, whole
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .batches import batches, check_x, evaluating, map_batches


def codes(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None = None, *, batch_size: int = 500
) -> Float[Tensor, "N K L"]:
    """Posterior means of the codes of every component; ``.flatten(1)`` concatenates them.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns.
    x
        (N, *X), pixels in [0, 1].
    y
        (N,), the classes of x, for a conditional model; other models ignore them.
    batch_size
        Rows at a time.

    Returns
    -------
    codes
        (N, K, L).

    Raises
    ------
    MixvaeError
        For x of another shape than the model's, or labels that are missing or unknown.

    Examples
    --------
    >>> import mixvae, torch
    >>> model = mixvae.build("m-vae", (4,), n_components=2, n_latent=3).model
    >>> codes(model, torch.zeros(5, 4)).shape
    torch.Size([5, 2, 3])
    """
    return _moment(lambda q: q.mean, model, x, y, batch_size)


def scales(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None = None, *, batch_size: int = 500
) -> Float[Tensor, "N K L"]:
    """Posterior standard deviations about :func:`codes`, which has the same arguments.

    Parameters
    ----------
    model, x, y, batch_size
        As in :func:`codes`.

    Returns
    -------
    scales
        (N, K, L); NaN for posteriors whose variance has no closed form: stick-breaking weights.
    """
    return _moment(stddev, model, x, y, batch_size)


def cross_decode(
    model: MixtureVAE, x: Float[Tensor, "B *X"], y: Classes | None = None
) -> Float[Tensor, "B K K *X"]:
    """Reconstructions from every encoder's code by every sub-decoder alone.

    Parameters
    ----------
    model
        As in :func:`codes`.
    x
        (B, *X), decoded as one batch.
    y
        (B,), the classes of x, for a conditional model.

    Returns
    -------
    means
        (B, K, K, *X); [b, i, j] is the mean by sub-decoder j of encoder i's code of x_b. The
        diagonal is ``model.reconstruct_each(x)``.

    Raises
    ------
    MixvaeError
        As :func:`codes`.

    References
    ----------
    Ye & Bors, MVAE (TNNLS 2021), Figs 3 and 7.
    """
    with evaluating(model):
        x, y = _as_one_batch(model, x, y)
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
    r"""Images decoded along straight lines between the codes of two images.

    .. math:: d_k = (1 - a)\, \mu_k(x_1) + a\, \mu_k(x_2), \qquad a = 0, \ldots, 1

    The responsibilities are interpolated in the same way, and weight the components' means of x
    given d_k. Both ends equal ``model.reconstruct``, if ``shift`` is 0.

    Parameters
    ----------
    model
        As in :func:`codes`.
    start, end
        (B, *X), where a is 0 and where it is 1.
    n_steps
        Number T of images, the ends included.
    shift
        Sub-decoder j reads the code of encoder j + shift, modulo the number of components that
        dropout kept (eq. 36).
    y
        (B,), the class of both ends, for a conditional model.

    Returns
    -------
    images
        (T, B, *X).

    Raises
    ------
    MixvaeError
        For fewer than two steps, ends of different shapes, and as :func:`codes`.

    References
    ----------
    Ye & Bors, MVAE (TNNLS 2021), eqs. 33-36.
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
        z1, r1, classes = _codes_and_responsibilities(model, start, y)
        z2, r2, _ = _codes_and_responsibilities(model, end, y)
        a = torch.linspace(0, 1, n_steps).to(z1)
        z = torch.lerp(z1, z2, a[:, None, None, None])[:, :, _rolled(model, shift)]
        return decode(model, z, torch.lerp(r1, r2, a[:, None, None]), classes)


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
    """Reconstructions of x with one latent dimension of one component's code set to each value.

    Parameters
    ----------
    model
        As in :func:`codes`.
    x
        (B, *X), whose codes give the values of all other latent dimensions.
    component
        The component, counted from 0.
    latent
        The latent dimension, counted from 0.
    values
        T values; a standard normal prior has the standard deviation 1.
    y
        (B,), the classes of x, for a conditional model.
    alone
        Decode by that component alone, instead of by the mixture with x's responsibilities.

    Returns
    -------
    images
        (T, B, *X).

    Raises
    ------
    MixvaeError
        For a component or latent that does not exist, no values, and as :func:`codes`.

    References
    ----------
    Ye & Bors, MVAE (TNNLS 2021), Fig. 8.
    """
    check_x(model, x, y)
    model.check_component(component)
    values = torch.as_tensor(values)
    whole(1, n_values=len(values))
    finite(**{f"values[{i}]": value for i, value in enumerate(values.tolist())})
    with evaluating(model):
        mu, r, classes = _codes_and_responsibilities(model, x, y)
        z = mu.repeat(len(values), 1, 1, 1)
        check_latent(latent, z.shape[-1])
        z[:, :, component, latent] = values.to(z).unsqueeze(1)
        if alone:
            return model.decode_each(z, classes).mean[:, :, component].cpu()
        return decode(model, z, r.expand(len(z), -1, -1), classes)


def decode(
    model: MixtureVAE,
    z: Float[Tensor, "T B K L"],
    w: Float[Tensor, "T B K"],
    y: Classes | None = None,
) -> Float[Tensor, "T B *X"]:
    """Mean of x given codes, by all components together.

    Parameters
    ----------
    model
        A model in evaluation mode.
    z
        (T, B, K, L), codes on the model's device.
    w
        (T, B, K), weights of the components' means, or of what the decoder merges itself.
    y
        (B,), the classes, for a conditional model.

    Returns
    -------
    means
        (T, B, *X), on the CPU.
    """
    mean = model.decode(z, w, y).mean
    if mean.shape[2] == 1:
        return mean.squeeze(2).cpu()
    return (w.reshape(*w.shape, *[1] * (mean.dim() - 3)) * mean).sum(2).cpu()


def check_latent(latent: int, n_latent: int) -> int:
    """Return the index of a latent dimension; raise `MixvaeError` if it does not exist."""
    whole(-LARGEST, latent=latent)
    if not 0 <= latent < n_latent:
        raise MixvaeError(
            f"latent must be in 0 ... {n_latent - 1}, as each code has {n_latent}; got {latent}."
        )
    return latent


def pairs(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None = None, *, n: int = 5
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Pairs of x to :func:`interpolate` between, in order of x.

    A conditional model keeps the class along the way, so its pairs are of one class: the first two
    of each class in turn, then the next two.

    Parameters
    ----------
    model
        A model.
    x
        (N, *X).
    y
        (N,), the classes of x, for a conditional model.
    n
        Largest number of pairs; there may be fewer, or none.

    Returns
    -------
    start, end
        (P, *X).
    classes
        (P,), the classes of both, or None without y.

    Raises
    ------
    MixvaeError
        For ``n`` below 1, or data that the model does not take.
    """
    check_x(model, x, y)
    whole(1, n=n)
    if model.labels.n_classes is None or y is None:
        index = torch.arange(min(2 * n, len(x) // 2 * 2)).view(-1, 2)
    else:
        index = _pairs_within(y)[:n]
    start, end = index.unbind(1)
    return x[start], x[end], None if y is None else y[start]


def _pairs_within(y: Classes) -> Int64[Tensor, "P 2"]:
    """Indices of pairs of one class: every class's first pair, then every class's second, ..."""
    rows_of_classes = [(y == c).nonzero().flatten() for c in y.unique()]
    pairs_of_classes = [rows[: len(rows) // 2 * 2].view(-1, 2) for rows in rows_of_classes]
    order = torch.cat([torch.arange(len(rows)) for rows in pairs_of_classes])
    return torch.cat(pairs_of_classes)[order.argsort(stable=True)]


def stddev(q_z: Distribution) -> Tensor:
    """Standard deviations of codes; NaN where they have no closed form, of stick-breaking weights.

    Parameters
    ----------
    q_z
        q(z | x, k).
    """
    try:
        return q_z.stddev
    except NotImplementedError:
        return torch.full_like(q_z.mean, torch.nan)


def _moment(
    of: Callable[[Distribution], Tensor],
    model: MixtureVAE,
    x: Tensor,
    y: Classes | None,
    batch_size: int,
) -> Float[Tensor, "N K L"]:
    """The mean or standard deviation of q(z | x, k), for all x."""
    return map_batches(lambda x, y: of(model.infer(x, y)[0]), model, x, y, batch_size)


def _codes_and_responsibilities(
    model: MixtureVAE, x: Tensor, y: Classes | None
) -> tuple[Float[Tensor, "B K L"], Float[Tensor, "B K"], Classes | None]:
    """Posterior means, responsibilities, and the classes if the model is conditional."""
    x, y = _as_one_batch(model, x, y)
    t = model.mean_trace(x, y)
    return t.z[0], model.family.responsibilities(t), y


def _rolled(model: MixtureVAE, shift: int) -> Int64[Tensor, " K"]:
    """Index of the encoder that each sub-decoder reads; its own if dropout removed it."""
    source, kept = torch.arange(model.n_components), model.kept
    source[kept] = source[kept].roll(-shift)
    return source


def _as_one_batch(
    model: MixtureVAE, x: Float[Tensor, "B *X"], y: Classes | None
) -> tuple[Tensor, Classes | None]:
    """All of x as one batch on the model's device, and y if the model is conditional."""
    check_x(model, x, y)
    ((x, y),) = batches(model, x, y, len(x))
    return x, y

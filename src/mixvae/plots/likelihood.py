"""The distribution of log p(x) estimates over the data."""

from pathlib import Path
from textwrap import wrap

from jaxtyping import Float64
from torch import Tensor

from mixvae.errors import MixvaeError

from .figures import COLOURS, panels, save


def log_likelihood(
    log_prob: Float64[Tensor, " N"],
    path: str | Path,
    *,
    of: str = "the examples",
    caveat: str | None = None,
    log_scale: float | None = None,
) -> Path:
    """Histogram of estimates of log p(x) and their mean.

    Parameters
    ----------
    log_prob : Tensor, shape (N,)
        Estimates in nats. Values that are not finite are left out, and counted in the title.
    path : str or Path
        PNG file to write.
    of : str
        Name of the data, for the title.
    caveat : str, optional
        Reason why the estimates are unreliable, which the picture then shows.
    log_scale : float, optional
        Of standardised columns (``Standardization.log_scale``): a second axis has log p(x) in the
        units of the data, which is less by this.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If ``log_prob`` is not a tensor of shape (N,), or has no finite value.
    """
    if not isinstance(log_prob, Tensor) or log_prob.dim() != 1:
        raise MixvaeError("log_prob must be a tensor of shape (N,), such as estimate.log_prob.")
    if not log_prob.isfinite().any():
        raise MixvaeError(f"none of the {len(log_prob)} estimates of log p(x) is finite.")
    finite = log_prob[log_prob.isfinite()]
    fig, (ax,) = panels(1, 5.0, 3.4)
    share = [1 / len(log_prob)] * len(finite)
    n_bins = min(40, 8 + len(finite) // 10)
    ax.hist(finite.tolist(), n_bins, weights=share, color=COLOURS[0])
    mean = float(finite.mean())
    ax.axvline(mean, color="black", ls="--", lw=1, label=f"mean {mean:,.2f}")
    fig.legend(fontsize=8, loc="outside lower center")
    if caveat is not None:
        ax.set_title("\n".join(wrap(caveat, 52)), fontsize=8, color="#A00000")
    ax.set(xlabel="log p(x), nats", ylabel="share of examples")
    if log_scale is not None:
        ax.set_xlabel("log p(x), nats, columns standardised")
        shift = (lambda v: v - log_scale, lambda v: v + log_scale)
        ax.secondary_xaxis("top", functions=shift).set_xlabel("in the units of the data")
    left_out = len(log_prob) - len(finite)
    return save(fig, path, f"log p(x) of {of}" + (f"; {left_out} not finite" if left_out else ""))

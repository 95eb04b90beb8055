"""Selection of components by component dropout."""

from typing import Any

from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE

from .batches import check_model
from .one_pass import Batch


def selection(model: MixtureVAE) -> dict[str, Any]:
    """Learned dropout rates, and the components that they keep.

    Parameters
    ----------
    model
        A model with component dropout: ``mvae-gs``, ``mvae-gau``, or ``mixture-vae`` with
        ``keep_prior``.

    Returns
    -------
    selection
        ``rate``, the dropout rate p of each component; ``kept``, the components that evaluation and
        pruning keep, counted from 0; ``n_kept``, their number; ``n_selected``, the papers'
        "selected K": the expected number of masks above their threshold in one sample (0.1 for
        concrete masks, 0.8 for Gaussian ones), which under a shared rate is K times one
        probability.

    Raises
    ------
    MixvaeError
        For a model without component dropout.

    Examples
    --------
    >>> import mixvae
    >>> model = mixvae.build("mvae-gs", (4,), n_components=3, n_latent=2).model
    >>> selection(model)["kept"]
    [0, 1, 2]
    """
    check_model(model)
    if model.dropout is None:
        raise MixvaeError("the model has no component dropout; there is nothing to select by.")
    kept = model.kept.nonzero().flatten().tolist()
    return {
        "rate": model.dropout.rate.detach().tolist(),
        "kept": kept,
        "n_kept": len(kept),
        "n_selected": float(model.dropout.n_selected().detach()),
    }


class Selection:
    """Accumulator of :func:`selection`, which does not depend on data."""

    def __init__(self, model: MixtureVAE) -> None:
        self.model = model

    def add(self, batch: Batch) -> None: ...

    def result(self) -> dict[str, Any]:
        return selection(self.model)

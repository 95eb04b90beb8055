"""The tables and figures of the four papers, as declarations.

:func:`mixvae.reproduce` trains what they need and writes them; ``docs/reproduce.md`` lists them.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from mixvae.errors import MixvaeError

from . import dlgmm, gmmpvae, m_vae, mvae
from .item import Item

__all__ = ["ITEMS", "PAPERS", "find"]

PAPERS = {
    "m-vae": "M-VAE: Ye & Bors, Mixtures of Variational Autoencoders, IPTA 2020",
    "mvae": "MVAE: Ye & Bors, Deep Mixture Generative Autoencoders, TNNLS 2021",
    "dlgmm": "DLGMM: Nalisnick, Hertel & Smyth, Deep Latent Gaussian Mixtures, 2016",
    "gmmpvae": "GMMpVAE: Guo et al., Optimizing Gaussian Mixture Model Priors, 2020",
}
ITEMS: dict[str, Item] = {
    item.name: item for item in (*m_vae.ITEMS, *mvae.ITEMS, *dlgmm.ITEMS, *gmmpvae.ITEMS)
}


def find(names: Sequence[str]) -> list[Item]:
    """Items by their names.

    Parameters
    ----------
    names
        Names of items, of papers for all of their items, or "all".

    Returns
    -------
    list of Item
        Each once, in the order of the names.

    Raises
    ------
    MixvaeError
        For an unknown name, or none.
    """
    if isinstance(names, str) or not names:
        raise MixvaeError(
            f"items must be a list of names; got {names!r}. Known: {', '.join(ITEMS)}."
        )
    found: dict[str, Item] = {}
    for name in names:
        of_paper = {i.name: i for i in ITEMS.values() if name in ("all", i.paper)}
        if not of_paper and name not in ITEMS:
            raise _unknown(name)
        found |= of_paper or {name: ITEMS[name]}
    return list(found.values())


def _unknown(name: str) -> MixvaeError:
    """The error for an unknown name, with those that it may be short for, or the nearest."""
    near = [known for known in ITEMS if known.endswith(f"/{name}")]
    near = near or get_close_matches(name, [*ITEMS, *PAPERS, "all"], n=1, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    known = f"Papers: {', '.join(PAPERS)}, all; mixvae reproduce --list has the items."
    return MixvaeError(f"unknown item {name!r}.{hint} {known}")

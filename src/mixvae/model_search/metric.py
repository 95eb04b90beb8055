"""The figure of validation rows that a search maximises or minimises."""

from dataclasses import dataclass
from difflib import get_close_matches

from mixvae.errors import MixvaeError
from mixvae.evaluation.metrics import METRICS

AUTO = "auto"


@dataclass(frozen=True)
class Target:
    """A figure that trials are compared by.

    Parameters
    ----------
    name
        How it is named: ``log_likelihood``, ``elbo``, ``sse``, or METRIC.KEY of the registry.
    label
        In words.
    higher_is_better
        Whether it is maximised.
    metric, key
        Where it is in the result of :func:`mixvae.evaluation.evaluate`.
    by_row
        Whether there is a figure of each row, and so a paired standard error.
    """

    name: str
    label: str
    higher_is_better: bool
    metric: str
    key: str
    by_row: bool = False

    @property
    def sign(self) -> int:
        """1 where it is maximised, -1 where it is minimised."""
        return 1 if self.higher_is_better else -1


BY_ROW = {
    "log_likelihood": Target("log_likelihood", "log p(x)", True, "log_likelihood", "mean", True),
    "elbo": Target("elbo", "bound on log p(x)", True, "bounds", "elbo", True),
    "sse": Target("sse", "squared error", False, "reconstruction", "sse_deterministic", True),
}  # those of mixvae.comparison


def target_of(name: str) -> Target:
    """The figure of a name.

    Parameters
    ----------
    name
        ``log_likelihood``, ``elbo`` or ``sse``; or a figure of :data:`mixvae.evaluation.METRICS`,
        as METRIC.KEY, or by KEY alone where no other has it.

    Returns
    -------
    Target
        The figure.

    Raises
    ------
    MixvaeError
        For a name that no figure has, and one of which neither direction is better.

    Examples
    --------
    >>> target_of("nmi").name
    'clustering.nmi'
    """
    known = targets()
    if name in known:
        return known[name]
    found = [key for key in known if key.endswith(f".{name}")]
    if len(found) == 1:
        return known[found[0]]
    near = get_close_matches(name, found or known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise MixvaeError(f"unknown metric {name!r}.{hint} Known: {', '.join([AUTO, *known])}.")


def targets() -> dict[str, Target]:
    """All figures by name, those with a direction that is better."""
    found = dict(BY_ROW)
    for metric in METRICS:
        for key, figure in metric.all_figures.items():
            own = metric.name if key == metric.name else f"{metric.name}.{key}"
            if figure.higher_is_better is not None and own != "log_likelihood.mean":
                label = (figure.label or own).strip()
                found.setdefault(own, Target(own, label, figure.higher_is_better, metric.name, key))
    return found

"""Stopping bad trials early, by the bound on validation rows."""

from collections.abc import Callable, Sequence
from math import ceil, isnan, nan
from statistics import median
from typing import Any

from mixvae.training import TrainingState

ETA = 3  # in each round of successive halving the best third goes on
LEAST = 3  # other runs, before the median of them says anything
GRACE, LEAST_GRACE = 0.25, 3  # no run is stopped in the first quarter of its epochs
Curve = dict[int, float]  # epoch -> the best bound so far


def bound_of(row: dict[str, Any]) -> float:
    """The bound on validation rows after an epoch; the objective of a model without one."""
    return float(row.get("val/elbo", row.get("val/objective", nan)))


def curve(history: Sequence[dict[str, Any]]) -> Curve:
    """The best bound so far, by epoch."""
    found: Curve = {}
    best = -float("inf")
    for row in history:
        value = bound_of(row)
        best = best if isnan(value) else max(best, value)
        found[int(row["epoch"])] = best
    return found


def grace(n_epochs: int) -> int:
    """Epochs after which the median rule begins."""
    return max(LEAST_GRACE, ceil(GRACE * n_epochs))


def below_median(own: Curve, others: Sequence[Curve], epoch: int) -> float | None:
    """The median of other runs' best bounds up to an epoch, where the run's own is below it.

    Others that were stopped before that epoch do not count; with fewer than three there is none
    (Golovin et al. 2017, the median stopping rule).
    """
    values = [other[epoch] for other in others if epoch in other]
    if len(values) < LEAST or epoch not in own:
        return None
    middle = median(values)
    return middle if own[epoch] < middle else None


def rounds(n_trials: int) -> list[float]:
    """Shares of the epochs after which trials are compared; the last is 1.

    Successive halving (Jamieson & Talwalkar 2016): each round's best third goes on, for three
    times as many epochs.
    """
    n = 0
    while n < 3 and n_trials > ETA**n:
        n += 1
    return [ETA**-i for i in range(n, 0, -1)] + [1.0]


def survivors(scores: dict[int, float], n: int) -> list[int]:
    """The numbers of the best n, in their order."""
    best = sorted(scores, key=lambda number: (-scores[number], number))[:n]
    return sorted(best)


class Watch:
    """Callback that ends a run's training after some epochs, or where it is below the median.

    Parameters
    ----------
    limit
        Epochs to train for now, or None.
    others
        Curves of other runs, for the median rule; none without it.
    stopped
        Called with the reason when the median rule stops the run, before its last files.
    """

    def __init__(
        self,
        limit: int | None,
        others: Sequence[Curve] = (),
        stopped: Callable[[int, str], object] = lambda epoch, why: None,
    ) -> None:
        self.limit, self.others, self.stopped = limit, others, stopped

    def on_epoch_end(self, state: TrainingState) -> None:
        """Compare the epoch that is over."""
        if state.phase != state.settings.phase or state.best is None:
            return
        epoch, last = state.epoch, state.n_epochs
        if self.limit is not None and epoch >= self.limit:
            state.stop = True
        if not self.others or not grace(last) <= epoch < last:
            return
        own = curve([row for row in state.history if row["phase"] == state.phase])
        middle = below_median(own, self.others, epoch)
        if middle is not None:
            state.stop = True
            self.stopped(epoch, f"bound {own[epoch]:.2f}, below the others' median {middle:.2f}")

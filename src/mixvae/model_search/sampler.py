"""Points of ranges, proposed by Optuna from the trials before.

Optuna keeps nothing: each proposal is that of a new study, told of the trials in the search folder
and seeded by their number, so that a search that was interrupted proposes what it would have.
"""

from collections.abc import Sequence
from typing import Any

from mixvae.errors import MixvaeError

from .space import Choice, Point, Space

TRIES = 20  # for a point that was not tried yet


def check_installed() -> Any:
    """The module optuna; raises a MixvaeError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise MixvaeError(
            "points of a larger space are proposed by the package optuna, which is not installed: "
            "pip install 'mixvae[search]'. A grid needs no package: give values, without --trials."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def propose(
    space: Space, tried: Sequence[tuple[Point, float | None]], seed: int, *, random: bool = False
) -> Point | None:
    """A point that was not tried yet, by a tree-structured Parzen estimator.

    Parameters
    ----------
    space
        The space.
    tried
        Points, and the value to maximise; None of a trial that was stopped.
    seed
        Of the sampler.
    random
        Whether points are sampled independently of values.

    Returns
    -------
    Point or None
        None where no new one was found in 20 tries.

    References
    ----------
    Bergstra, Bardenet, Bengio & Kégl, Algorithms for hyper-parameter optimization, NIPS 2011.
    """
    optuna = check_installed()
    distributions = {name: _distribution(optuna, one) for name, one in space.items()}
    known = [point for point, _ in tried]
    for i in range(TRIES):
        own = (seed * 1_000_003 + len(tried) * TRIES + i) % 2**32
        sampler = (
            optuna.samplers.RandomSampler(seed=own)
            if random
            else optuna.samplers.TPESampler(seed=own, multivariate=False)
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_told(optuna, distributions, space, *one) for one in tried])
        asked = study.ask(distributions).params
        point = {name: _point_value(space[name], value) for name, value in asked.items()}
        if point not in known:
            return point
    return None


def _distribution(optuna: Any, one: Any) -> Any:
    kinds = optuna.distributions
    if isinstance(one, Choice):  # by place, as values may be lists
        return kinds.CategoricalDistribution(list(range(len(one.values))))
    if one.is_whole:
        return kinds.IntDistribution(one.low, one.high, log=one.log, step=one.step or 1)
    return kinds.FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _told(optuna: Any, distributions: Any, space: Space, point: Point, value: float | None) -> Any:
    """A trial of the search folder as Optuna's."""
    params = {name: _place(space[name], own) for name, own in point.items()}
    given: dict[str, Any] = {"params": params, "distributions": distributions}
    if value is None:
        return optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED, **given)
    return optuna.trial.create_trial(value=value, **given)


def _place(one: Any, value: Any) -> Any:
    return one.values.index(value) if isinstance(one, Choice) else value


def _point_value(one: Any, value: Any) -> Any:
    return one.values[value] if isinstance(one, Choice) else value

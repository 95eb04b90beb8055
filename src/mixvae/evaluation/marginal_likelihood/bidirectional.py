"""Bidirectional Monte Carlo: log p(x) of a model's own samples, bracketed (Grosse et al. 2015)."""

from dataclasses import dataclass
from math import log, nan, sqrt
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor
from torch.distributions import Categorical

from mixvae.errors import MixvaeError, seeds, whole
from mixvae.families import ExactMixture, Joint
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.progress import progress as progress_bar
from mixvae.seeding import noise_from, seed_of

from ..batches import check_model, device_of
from ..mode import evaluation_mode
from .annealed import Annealing, Block, of_each
from .chains import Path
from .latent_space import Latents
from .log_likelihood import check_normalised


@dataclass(frozen=True, eq=False)
class Bracket:
    """Stochastic lower and upper bounds on log p(x) of samples of a model, nats."""

    lower: Float64[Tensor, " n"]
    upper: Float64[Tensor, " n"]
    x: Float[Tensor, "n *X"]  # the samples

    @property
    def gap(self) -> Float64[Tensor, " n"]:
        """How far apart the bounds are; noise can make single gaps negative."""
        return self.upper - self.lower

    def to_dict(self) -> dict[str, Any]:
        """The means as plain numbers; ``gap_error`` is the standard error of the mean gap."""
        n = len(self.gap)
        return {
            "lower": float(self.lower.mean()),
            "upper": float(self.upper.mean()),
            "gap": float(self.gap.mean()),
            "gap_error": float(self.gap.std()) / sqrt(n) if n > 1 else nan,
            "gap_max": float(self.gap.max()),
            "n": n,
        }

    def __str__(self) -> str:
        d = self.to_dict()
        return (
            f"log p(x) of {d['n']} samples of the model: {d['lower']:.2f} to {d['upper']:.2f} nats "
            f"on average, a gap of {d['gap']:.3f} ± {d['gap_error']:.3f}, at most "
            f"{d['gap_max']:.3f}"
        )


def bidirectional(
    model: MixtureVAE,
    n: int = 100,
    *,
    n_chains: int = 16,
    n_steps: int = 1000,
    n_leapfrog: int = 10,
    y: Classes | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Bracket:
    r"""Bracket log p(x) of the model's own samples: how far an estimate of this size can be wrong.

    A sample x comes with the latent that made it, which is an exact sample of its posterior.
    Chains from the prior bound log p(x) from below, as in :func:`annealed_log_likelihood`. Chains
    from that latent back to the prior have weights w with :math:`E[1/w] = 1/p(x)`, and bound it
    from above by :math:`-\log \frac1S \sum_s 1/w_s`. Each bound holds in expectation, and with
    high probability: either exceeds log p(x) in the wrong direction by b nats with probability at
    most :math:`e^{-b}`.

    Of an exact mixture with the component k that made x, the upper bound is
    :math:`\pi_k w / r_k`, where r are the responsibilities that the forward chains found.

    Parameters
    ----------
    model : MixtureVAE
        It is left in the mode that it came in.
    n : int
        Samples of x, with the likelihood's noise.
    n_chains : int
        Chains each way, of each x.
    n_steps : int
        As in :func:`annealed_log_likelihood`; the gap closes as they grow.
    n_leapfrog : int
        Leapfrog steps of each move.
    y : Tensor or None
        (n,), the classes to sample x of, for a conditional model.
    seed : int
        Of the samples and of the noise. Sample i is the same whatever n is.
    progress : bool
        Show a bar over the moves of all chains.

    Returns
    -------
    Bracket
        Both bounds of each x, and the x.

    Raises
    ------
    MixvaeError
        As :func:`annealed_log_likelihood`.

    References
    ----------
    Grosse, Ghahramani & Adams, *Sandwiching the marginal likelihood using bidirectional Monte
    Carlo*, 2015. Wu, Burda, Salakhutdinov & Grosse, 2017.
    """
    path = Path(n_chains, n_steps, n_leapfrog)
    whole(1, n=n)
    seeds(seed=seed)
    check_model(model)
    check_normalised(model)
    with evaluation_mode(model), torch.no_grad():
        annealing = Annealing(model, path)
        pairs = [_pair(model, _class_of(model, y, i, n), seed_of(seed, i, 0)) for i in range(n)]
        own_seeds = [seed_of(seed, i, 1) for i in range(n)]
        bounds: list[tuple[float, float]] = []
        n_moves = annealing.n_moves(n, n_runs=2)
        with progress_bar("both bounds, moves of chains", n_moves, show=progress) as advance:
            rows = [(pair.x, pair.y) for pair in pairs]
            for block in annealing.blocks(rows, own_seeds, advance):
                bounds += _bounds(block, pairs[len(bounds) :][: annealing.n_rows])
    lower, upper = torch.tensor(bounds, dtype=torch.float64).unbind(1)
    return Bracket(lower, upper, torch.cat([pair.x for pair in pairs]).cpu())


@dataclass(frozen=True)
class Pair:
    """A sample of a model and the latent that made it."""

    x: Float[Tensor, "1 *X"]
    latents: Latents
    y: Classes | None = None


def _pair(model: MixtureVAE, y: Classes | None, seed: int) -> Pair:
    """One x, drawn with the likelihood's noise, not its mean."""
    with noise_from(Generator(device_of(model)).manual_seed(seed)):
        w, z = model._kept_weights(1), model._prior_codes(1)
        k = Categorical(w, validate_args=False).sample()  # of the code that makes x
        x = model.decode(z, w.unsqueeze(0), y).sample()[0]
    x = x[:, int(k) if x.shape[1] > 1 else 0]
    if isinstance(model.family, Joint):
        return Pair(x, Latents(z, w=w.unsqueeze(0)), y)
    component = k.unsqueeze(0) if isinstance(model.family, ExactMixture) else None
    return Pair(x, Latents(z[:, :, int(k)], component), y)


def _bounds(block: Block, pairs: list[Pair]) -> list[tuple[float, float]]:
    """The lower and the upper bound of each pair's x; the block's last rows may repeat the last."""
    filled = pairs + pairs[-1:] * (len(block.seeds) - len(pairs))
    latents = _together([pair.latents for pair in filled])
    log_part = block.forward()
    lower = log_part.logsumexp(0)
    log_w = block.reverse(latents)
    upper = log(len(log_w)) - (-log_w).logsumexp(0)
    if block.component is not None and latents.component is not None:
        k = latents.component.cpu()
        log_pi = block.log_share.T.gather(0, k).squeeze(0)
        of_k = of_each(log_part, block.component, block.log_share.shape[1]).gather(0, k).squeeze(0)
        upper = upper + log_pi - (of_k - lower)
    return list(zip(lower.tolist(), upper.tolist(), strict=True))[: len(pairs)]


def _together(latents: list[Latents]) -> Latents:
    """The latents of several rows, (1, B)."""
    z = torch.cat([one.z for one in latents], 1)
    k = [one.component for one in latents if one.component is not None]
    w = [one.w for one in latents if one.w is not None]
    return Latents(z, torch.cat(k, 1) if k else None, torch.cat(w, 1) if w else None)


def _class_of(model: MixtureVAE, y: Classes | None, i: int, n: int) -> Int64[Tensor, "1"] | None:
    """The class of sample i, of a conditional model."""
    if model.labels.n_classes is None:
        return None
    if y is None or y.shape != (n,):
        raise MixvaeError(
            f"y must have the class of each of the {n} samples, as the model is conditional; got "
            f"{None if y is None else tuple(y.shape)}."
        )
    return y[i : i + 1].to(device_of(model))

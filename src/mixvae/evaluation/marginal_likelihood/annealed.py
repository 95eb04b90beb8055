"""Held-out log p(x) by annealed importance sampling, as in Wu et al. 2017."""

from collections.abc import Callable, Iterator, Sequence
from math import log, nan

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from mixvae.errors import MixvaeError, seeds
from mixvae.families import ExactMixture
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.progress import progress as progress_bar

from ..batches import batches, check_model, device_of
from ..mode import evaluation_mode
from .chains import WARM_UP, Chains, Path
from .latent_space import Latents, LatentSpace, space_of
from .log_likelihood import LogLikelihood, check_density, mean_bits, seed_of_row
from .proposals import deal
from .unconstrained import UnconstrainedLatent, check_continuous, in_float64

CODES = 500  # decoded at a time, at most: more take memory and win no time
ROWS = 8  # at a time, at most: twice as quick as one by one
FLOOR = 0.1  # part of an exact mixture's chains that is dealt out evenly
TEMPER = 0.5  # power of the responsibilities that deal out the others: the pilot's are rough
Row = tuple[Tensor, Classes | None]
Figures = tuple[float, float, float]


def annealed_log_likelihood(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    *,
    n_chains: int = 16,
    n_steps: int = 1000,
    n_leapfrog: int = 10,
    y: Classes | None = None,
    seed: int = 0,
    progress: bool = False,
) -> LogLikelihood:
    r"""Estimate log p(x) by annealed importance sampling: chains from the prior to the posterior.

    A chain moves by HMC under :math:`p(u)\, p(x | u)^{\beta_t}` while beta rises from 0 to 1. Its
    weight :math:`\prod_t p(x | u_{t-1})^{\beta_t - \beta_{t-1}}` is unbiased for p(x), so that the
    logarithm of the weights' mean is low in expectation: a stochastic lower bound, which does not
    rest on the encoder as importance sampling does. How far it can be too low,
    :func:`bidirectional` says. Betas are those of Wu et al. 2017: a sigmoid from -4 to 4.

    The step sizes are adapted to an acceptance of 0.65, example by example, in a pilot run of a
    tenth as many steps, at least 50. Its noise is its own, and what counts is run with its step
    sizes as they are, so that the estimate stays unbiased.

    Of an exact mixture every component's :math:`p_k(x)` has chains of its own, dealt out by the
    responsibilities that the pilot found; :math:`p(x) = \sum_k \pi_k p_k(x)`. In other families
    the latent is the code, or all codes and the weights where they are random.

    The noise of an example is seeded by what it holds, and rows go through a fixed number at a
    time, the last ones filled up. So a figure does not depend on the other examples nor on its
    place, unless a product of matrices of one size rounds differently from row to row.

    Parameters
    ----------
    model : MixtureVAE
        It is left in the mode that it came in. It decodes in its own precision; the chains'
        positions, their acceptance and their weights are float64.
    x : Tensor
        (N, *X), data that the likelihood has a density for.
    n_chains : int
        Chains S an example; of an exact mixture at least one for each component.
    n_steps : int
        Steps from beta 0 to 1, with a move between any two. A single one is importance sampling
        from the prior.
    n_leapfrog : int
        Leapfrog steps of each move.
    y : Tensor or None
        (N,), the classes of x, for a conditional model: log p(x | y).
    seed : int
        Of the noise.
    progress : bool
        Show a bar over the moves of all examples.

    Returns
    -------
    LogLikelihood
        ``method`` is "ais", ``n_samples`` is S, and k-hat is NaN.

    Raises
    ------
    MixvaeError
        For numbers below 1, too few chains for the components, a likelihood that is not a
        normalised density, data that it has none for, or a prior that is not continuous or has no
        density.

    References
    ----------
    Neal, *Annealed importance sampling*, 2001. Wu, Burda, Salakhutdinov & Grosse, *On the
    quantitative analysis of decoder-based generative models*, 2017.
    """
    path = Path(n_chains, n_steps, n_leapfrog)
    seeds(seed=seed)
    check_density(model, x)
    with evaluation_mode(model), torch.no_grad():
        rows = list(batches(model, x, y, 1))
        own_seeds = [seed_of_row(seed, *row) for row in rows]
        different = dict(zip(own_seeds, rows, strict=True))  # equal rows have equal figures
        annealing = Annealing(model, path)
        n_moves = annealing.n_moves(len(different))
        found: dict[int, Figures] = {}
        with progress_bar("log p(x), moves of chains", n_moves, show=progress) as advance:
            for block in annealing.blocks(list(different.values()), list(different), advance):
                found |= block.estimates()
    number = {own: i for i, own in enumerate(different)}
    each = torch.tensor([found[own] for own in own_seeds], dtype=torch.float64)
    log_prob, error, ess = each.unbind(1)
    bits = mean_bits(log_prob, model)
    example = torch.tensor([number[own] for own in own_seeds])
    no_k_hat = torch.full_like(ess, nan)
    return LogLikelihood(log_prob, error, ess, no_k_hat, bits, n_chains, "ais", example)


class Annealing:
    """A model, the chains' path, and how many rows and chains there are at a time.

    Raises
    ------
    MixvaeError
        For a model whose latent cannot be annealed, or too few chains for its components.
    """

    def __init__(self, model: MixtureVAE, path: Path) -> None:
        check_model(model)
        space = space_of(model)
        if space is None:
            raise MixvaeError(
                "annealed importance sampling knows the latent of mixvae's own families; got "
                f"{type(model.family).__name__}. Use log_likelihood(model, x)."
            )
        self.model, self.path, self.space = model, path, space
        self.p_z = in_float64(model.prior(model.encode))
        check_continuous(self.p_z, "codes")
        self.exact = isinstance(model.family, ExactMixture)
        n_codes = model.family.n_codes(model.n_components)
        if n_codes > 1 and (p_w := model.weights.prior()) is not None:
            check_continuous(p_w, "weights")
        if self.exact and path.n_chains < (least := int(model.kept.sum())):
            raise MixvaeError(
                f"n_chains must be at least {least}, one for each component of the mixture; got "
                f"{path.n_chains}."
            )
        least = model.n_components if self.exact else 1
        self.n_at_a_time = min(path.n_chains, max(CODES // n_codes, least))
        self.n_rows = 1
        sorts_rows = self.exact and model.n_components > 1 and not model.decoder.decodes_components
        while not sorts_rows and 2 * self.n_rows <= min(
            ROWS, CODES // (n_codes * self.n_at_a_time)
        ):
            self.n_rows *= 2

    def n_moves(self, n_rows: int, n_runs: int = 1) -> int:
        """Moves of so many rows' chains, all that are run at a time counted as one."""
        if self.path.n_steps == 1:
            return 0
        n_parts = -(-self.path.n_chains // self.n_at_a_time)
        each = WARM_UP + self.path.n_pilot + n_runs * n_parts * (self.path.n_steps - 1)
        return each * -(-n_rows // self.n_rows) * self.n_rows

    def blocks(
        self, rows: Sequence[Row], own_seeds: Sequence[int], advance: Callable[[int], object]
    ) -> Iterator["Block"]:
        """All rows in order, a fixed number at a time; the last block repeats its last row."""
        for start in range(0, len(rows), self.n_rows):
            some = list(range(start, min(start + self.n_rows, len(rows))))
            filled = some + some[-1:] * (self.n_rows - len(some))
            x = torch.cat([rows[i][0] for i in filled])
            labels = [y for i in filled if (y := rows[i][1]) is not None]
            y = torch.cat(labels) if labels else None
            yield Block(self, x, y, [own_seeds[i] for i in filled], advance)


class Block:
    """A few rows and each one's noise."""

    def __init__(
        self,
        annealing: Annealing,
        x: Float[Tensor, "B *X"],
        y: Classes | None,
        own_seeds: Sequence[int],
        advance: Callable[[int], object],
    ) -> None:
        self.annealing, self.seeds, self.advance = annealing, own_seeds, advance
        model, n = annealing.model, annealing.path.n_chains
        self.space: LatentSpace = annealing.space(model, x, y, annealing.p_z)
        device = device_of(model)
        self.generators = [Generator(device).manual_seed(own) for own in own_seeds]
        self.log_share = self.space.q_w.mean.double().log().cpu()  # pi, in an exact mixture
        there = (self.log_share > -torch.inf).double()
        even = there / there.sum(1, keepdim=True)
        self.component = _dealt(even, n) if annealing.exact else None
        self.pilot = None
        if annealing.path.n_steps > 1:
            some = annealing.n_at_a_time
            component = _dealt(even, some) if annealing.exact else None
            self.pilot = self._chains(some, component).pilot()
            if component is not None:
                log_part = _parts(self.pilot.log_w.double().cpu(), component, self.log_share)
                r = (TEMPER * of_each(log_part, component, even.shape[1])).softmax(0).T
                self.component = _dealt((1 - FLOOR) * r + FLOOR * even, n)

    def estimates(self) -> dict[int, Figures]:
        """By each row's seed: log p(x), its standard error, the effective number of chains."""
        log_part = self.forward()
        return {
            own: _estimate(log_part[:, i], None if self.component is None else self.component[:, i])
            for i, own in enumerate(self.seeds)
        }

    def forward(self) -> Float64[Tensor, "S B"]:
        """Logarithms of the chains' parts in p(x), whose sum estimates it."""
        log_w = self._all(self.component, lambda chains: chains.forward(self.pilot))
        if self.component is None:
            return log_w - log(len(log_w))
        return _parts(log_w, self.component, self.log_share)

    def reverse(self, latents: Latents) -> Float64[Tensor, "S B"]:
        """Log weights of the way back from one value of each row's latent, (1, B)."""
        n, k = self.annealing.path.n_chains, latents.component
        component = None if k is None else k.cpu().expand(n, -1)
        return self._all(component, lambda chains: chains.reverse(latents, self.pilot))

    def _all(
        self, component: Int64[Tensor, "S B"] | None, run: Callable[[Chains], Tensor]
    ) -> Float64[Tensor, "S B"]:
        """What is found of all chains, a fixed number of which are run at a time."""
        found = []
        for some in torch.arange(self.annealing.path.n_chains).split(self.annealing.n_at_a_time):
            own = None if component is None else component[some]
            found.append(run(self._chains(len(some), own)).double().cpu())
        return torch.cat(found)

    def _chains(self, n: int, component: Int64[Tensor, "S B"] | None) -> Chains:
        component = None if component is None else component.to(self.space.x.device)
        latent = UnconstrainedLatent(self.space, self.annealing.p_z, component)
        return Chains(latent, self.annealing.path, n, self.generators, self.advance)


def _dealt(share: Float64[Tensor, "B K"], n: int) -> Int64[Tensor, "n B"]:
    """The component of each chain: by shares, and every one that has a share at least once."""
    numbers = torch.arange(share.shape[1])
    each = [numbers.repeat_interleave(deal(row / row.sum(), numbers, n)) for row in share]
    return torch.stack(each, 1)


def _parts(
    log_w: Float64[Tensor, "S B"],
    component: Int64[Tensor, "S B"],
    log_share: Float64[Tensor, "B K"],
) -> Float64[Tensor, "S B"]:
    """Log pi_k w / n_k of chains, n_k of component k: what each adds to the estimate of p(x)."""
    counts = torch.zeros_like(log_share).T.scatter_add(0, component, torch.ones_like(log_w))
    return log_w + (log_share.T - counts.log()).gather(0, component)


def of_each(
    log_part: Float64[Tensor, "S B"], component: Int64[Tensor, "S B"], n_components: int
) -> Float64[Tensor, "K B"]:
    """The logarithms of the components' sums."""
    each = [
        log_part.masked_fill(component != k, -torch.inf).logsumexp(0) for k in range(n_components)
    ]
    return torch.stack(each)


def _estimate(log_part: Float64[Tensor, " S"], component: Int64[Tensor, " S"] | None) -> Figures:
    """Log p(x), its standard error by the delta method, and the effective number of chains.

    The variance is that within components. A component with one chain has an error as large as its
    part of p(x).
    """
    log_prob = log_part.logsumexp(0)
    part = (log_part - log_prob).exp()
    if component is None:
        component = torch.zeros(len(part), dtype=torch.int64)
    _, its, counts = component.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(counts), dtype=part.dtype).index_add(0, its, part)
    squares = torch.zeros_like(sums).index_add(0, its, (part - (sums / counts)[its]).square())
    variance = torch.where(counts > 1, counts * squares / (counts - 1).clamp_min(1), sums.square())
    error = float(variance.sum().sqrt()) if len(part) > 1 else nan
    return float(log_prob), error, float(1 / part.square().sum())

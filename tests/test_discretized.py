"""Logistics on 256 grey levels: they sum to one, say what they draw, and keep their digits."""

from math import pi, sqrt

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import chisquare, logistic
from torch import Tensor

from mixvae.distributions import DiscretizedLogistic, LogisticMixture

pytestmark = pytest.mark.usefixtures("maths")
SCALES = [1 / 2040, 1 / 510, 1 / 255, 0.02, 0.1, 1.0, 30.0]
LOCS = [-3.0, 0.0, 1 / 255, 0.1234, 0.5, 0.999, 1.0, 2.5]


def levels() -> Tensor:
    return torch.arange(256) / torch.tensor(255.0)


def every_pair() -> DiscretizedLogistic:
    return DiscretizedLogistic(torch.tensor(LOCS)[:, None], torch.tensor(SCALES))


def plainly(loc: float, scale: float) -> np.ndarray:
    """The 256 probabilities: on either side of the mean, of what that side's tails lack."""
    edges = (np.arange(1, 256) - 0.5) / 255
    below = np.concatenate([[0], logistic.cdf(edges, loc, scale), [1]])
    above = np.concatenate([[1], logistic.sf(edges, loc, scale), [0]])
    return np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))


def mixture(n_channels: int, n_places: int = 1, batch: tuple[int, ...] = ()) -> LogisticMixture:
    """Of three logistics; those of fewer channels are the first of those of more."""
    g, n_slopes = torch.Generator().manual_seed(3), (n_channels * (n_channels - 1)) // 2
    draw = lambda n: torch.randn(*batch, n, 3, n_places, generator=g)
    logits, loc, scale, slopes = draw(1), draw(4), draw(4), draw(6)
    return LogisticMixture(
        logits.squeeze(-3),
        0.5 + 0.4 * loc[..., :n_channels, :, :],
        0.1 * scale.exp()[..., :n_channels, :, :],
        slopes[..., :n_slopes, :, :],
        (n_channels, n_places),
    )


# -- one logistic


def test_the_256_probabilities_sum_to_one():
    log_prob = every_pair().log_prob(levels()[:, None, None])
    torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(len(LOCS), len(SCALES)))


def test_each_is_the_mass_of_what_rounds_to_it():
    log_prob = every_pair().log_prob(levels()[:, None, None])
    for i, loc in enumerate(LOCS):
        for j, scale in enumerate(SCALES):
            expected = plainly(loc, scale)
            seen = expected > 1e-250
            np.testing.assert_allclose(
                log_prob[:, i, j].numpy()[seen], np.log(expected[seen]), rtol=1e-9, atol=1e-12
            )


def test_the_ends_have_their_whole_tails():
    p = DiscretizedLogistic(torch.tensor([-2.0, 3.0]), torch.tensor(0.1))
    torch.testing.assert_close(p.log_prob(torch.tensor([0.0, 1.0])), torch.zeros(2))
    inside = p.log_prob(torch.tensor([1 / 255, 254 / 255]))
    assert (inside < -20).all()


def test_float32_has_the_digits_of_float64():
    """Down to the smallest scale, where a level across the range has -2000 nats."""
    double = every_pair()
    single = DiscretizedLogistic(double.loc.float(), double.scale.float())
    exact = DiscretizedLogistic(single.loc.double(), single.scale.double())
    x = levels().float()[:, None, None]
    log_prob = single.log_prob(x)
    assert log_prob.dtype == torch.float32
    expected = exact.log_prob(x.double()).float()
    assert expected.min() < -2000
    # x - loc is known to 3e-8 (of numbers near 3, to 2e-7), and a bin's edge no better.
    error = 5e-7 / single.scale + 2e-6
    assert ((log_prob - expected).abs() <= error + 2e-6 * expected.abs()).all()


def test_gradients_are_the_slopes_of_the_log_probability():
    loc = torch.tensor([-0.2, 0.0, 0.31, 0.5, 1.4], requires_grad=True)
    scale = torch.tensor([0.001, 0.01, 0.1, 3.0])[:, None].requires_grad_()
    for level in (0.0, 0.4, 1.0):
        x = torch.tensor(level)
        assert torch.autograd.gradcheck(
            lambda m, s, x=x: DiscretizedLogistic(m, s).log_prob(x), (loc, scale)
        )


@pytest.mark.parametrize("scale", [1e-4, 1e-3, 1.0, 1e6])
def test_gradients_are_finite_in_float32_however_unlikely_the_level(scale):
    loc = torch.tensor([-100.0, 0.0, 0.5, 1.0, 100.0], dtype=torch.float32, requires_grad=True)
    s = torch.tensor(scale, dtype=torch.float32, requires_grad=True)
    log_prob = DiscretizedLogistic(loc, s).log_prob(levels().float()[:, None])
    log_prob.sum().backward()
    for t in (log_prob, loc.grad, s.grad):
        assert t.isfinite().all()


def test_the_mean_is_that_of_the_levels_but_for_rounding():
    p = every_pair()
    x = levels()[:, None, None]
    exact = (p.log_prob(x).exp() * x).sum(0)
    assert ((p.mean - exact).abs() <= 0.5 / 255 + 1e-12).all()
    wide = p.scale >= 0.5 / 255
    assert ((p.mean - exact).abs()[wide] <= 1e-4).all()
    assert (p.mean - p.loc).abs().max() > 1  # a mean outside is drawn to the end


def test_a_mean_is_a_pixel_in_float32_too():
    loc = torch.tensor([-1e4, 0.0, 0.3, 1.0, 96.8, 97.1, 1e4], dtype=torch.float32)
    scale = torch.tensor([5e-4, 1.4e-3, 1.0, 1e4], dtype=torch.float32)[:, None]
    mean = DiscretizedLogistic(loc, scale).mean
    assert ((mean >= 0) & (mean <= 1)).all()
    torch.testing.assert_close(mean[0], loc.clamp(0, 1), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("loc", "scale"), [(0.4, 0.05), (0.02, 0.1), (0.9, 0.6), (0.5, 0.0005)])
def test_draws_are_levels_as_often_as_they_should(loc, scale):
    p = DiscretizedLogistic(torch.tensor(loc), torch.tensor(scale))
    x = p.sample((20000,))
    assert torch.isin(x, levels()).all()
    seen = np.bincount((255 * x).round().long().numpy(), minlength=256)
    assert_fits(seen, 20000 * p.log_prob(levels()).exp().numpy())


def assert_fits(seen: np.ndarray, expected: np.ndarray) -> None:
    """Chi-square, of the cells with at least five draws and the rest as one."""
    often = expected >= 5
    seen = np.append(seen[often], seen[~often].sum())
    expected = np.append(expected[often], expected[~often].sum())
    kept = expected > 1e-3
    assert seen[~kept].sum() == 0
    assert (
        len(seen[kept]) == 1 or chisquare(seen[kept], expected[kept], sum_check=False).pvalue > 1e-3
    )


# -- mixtures with channels that depend on those before


def test_a_mixture_sums_to_one_channel_by_channel():
    """Blue summed out is the distribution of red and green; green summed out, that of red."""
    red, two, three = mixture(1), mixture(2), mixture(3)
    x = levels().reshape(256, 1, 1)
    torch.testing.assert_close(red.log_prob(x).exp().sum(), torch.tensor(1.0))
    for r in (0, 70, 255):
        at_r = x[r].expand(256, 1, 1)
        torch.testing.assert_close(
            two.log_prob(torch.cat([at_r, x], 1)).logsumexp(0), red.log_prob(x[r])
        )
        for g in (0, 131, 255):
            at_both = torch.cat([at_r, x[g].expand(256, 1, 1), x], 1)
            torch.testing.assert_close(
                three.log_prob(at_both).logsumexp(0), two.log_prob(at_both[0, :2])
            )


def test_a_mixture_of_four_channels_goes_on_in_the_same_way():
    three, four = mixture(3), mixture(4)
    x = torch.cat(
        [levels()[[9, 99, 199]].reshape(1, 3, 1).expand(256, 3, 1), levels()[:, None, None]], 1
    )
    torch.testing.assert_close(four.log_prob(x).logsumexp(0), three.log_prob(x[0, :3]))


def test_a_mixtures_log_probability_is_that_of_a_plain_loop():
    p = mixture(3, 2, (4,))
    x = levels()[torch.randint(256, (5, 4, 3, 2))]
    x[0] = x[0].round()
    log_prob = p.log_prob(x)
    assert log_prob.shape == (5, 4)
    n = lambda t: t.numpy()
    weights = n(p.log_weights.exp())
    np.testing.assert_allclose(weights.sum(1), 1)
    for s, b in np.ndindex(5, 4):
        total = 0.0
        for place in range(2):
            r, g, blue = (x[s, b, c, place].item() for c in range(3))
            terms = []
            for m in range(3):
                a_gr, a_br, a_bg = n(p.slopes[b, :, m, place])
                loc, scale = n(p.loc[b, :, m, place]), n(p.scale[b, :, m, place])
                locs = [
                    loc[0],
                    loc[1] + a_gr * (r - 0.5),
                    loc[2] + a_br * (r - 0.5) + a_bg * (g - 0.5),
                ]
                each = [
                    plainly(mu, sd)[round(255 * v)]
                    for mu, sd, v in zip(locs, scale, (r, g, blue), strict=True)
                ]
                terms.append(np.log(weights[b, m, place]) + np.log(each).sum())
            total += logsumexp(terms)
        assert log_prob[s, b].item() == pytest.approx(total, rel=1e-9)


def test_a_mixture_of_one_channel_has_the_mean_of_its_levels():
    p = mixture(1, 5)
    x = levels().reshape(256, 1, 1).expand(256, 1, 5)
    one = [mixture_at(p, i) for i in range(5)]
    exact = torch.stack([(q.log_prob(x[:, :, :1]).exp() * levels()).sum() for q in one])
    torch.testing.assert_close(p.mean, exact[None], rtol=0, atol=1e-5)


def mixture_at(p: LogisticMixture, place: int) -> LogisticMixture:
    at = slice(place, place + 1)
    return LogisticMixture(
        *(t[..., at] for t in (p.log_weights, p.loc, p.scale, p.slopes)), (p.loc.shape[-3], 1)
    )


def test_later_channels_have_their_mean_where_no_end_is_near():
    p = mixture(3, 2)
    q = LogisticMixture(
        p.log_weights, 0.5 + 0.1 * (p.loc - 0.5), 0.1 * p.scale, 0.5 * p.slopes, (3, 2)
    )
    x = q.sample((40000,))
    error = x.std(0) / 40000**0.5
    assert ((x.mean(0) - q.mean).abs() <= 4 * error).all()
    assert (
        (q.mean - (q.log_weights.exp() * q.loc).sum(-2)).abs() > 8 * error
    ).any()  # slopes count


def test_a_draw_takes_one_component_for_all_channels():
    """Cells of 32 by 32 levels of red and green, against the sum of their probabilities."""
    loc = torch.tensor([[0.2, 0.7], [0.25, 0.8]])[:, :, None]
    p = LogisticMixture(
        torch.tensor([[0.3], [-0.4]]),
        loc,
        torch.full((2, 2, 1), 0.05),
        torch.tensor([[[-0.9], [0.7]]]),
        (2, 1),
    )
    x = p.sample((20000,)).squeeze(-1)
    cell = ((255 * x).round().long() // 32).numpy()
    seen = np.bincount(8 * cell[:, 0] + cell[:, 1], minlength=64)
    grid = torch.cartesian_prod(levels(), levels()).unsqueeze(-1)
    probability = p.log_prob(grid).exp().reshape(8, 32, 8, 32).sum((1, 3))
    assert_fits(seen, 20000 * probability.flatten().numpy())


def test_draws_of_a_mixture_have_the_shape_of_x_and_are_levels():
    p = mixture(3, 2, (4,))
    x = p.sample((6, 5))
    assert x.shape == (6, 5, 4, 3, 2)
    assert torch.isin(x, levels()).all()
    assert p.mean.shape == (4, 3, 2)
    assert len(x.flatten(0, 2).unique(dim=0)) == 6 * 5 * 4


def test_the_blue_of_a_draw_follows_its_red_and_green():
    """Of one logistic, the slopes are those of a regression."""
    slopes = torch.tensor([0.3, -0.5, 0.8])
    p = LogisticMixture(
        torch.zeros(1, 1),
        torch.full((3, 1, 1), 0.5),
        torch.full((3, 1, 1), 0.01),
        slopes[:, None, None],
        (3, 1),
    )
    x = p.sample((20000,)).squeeze(-1) - 0.5
    found = torch.linalg.lstsq(x[:, :2], x[:, 2:]).solution.flatten()
    torch.testing.assert_close(found, slopes[1:], rtol=0, atol=0.05)
    noise = x[:, 2] - x[:, :2] @ slopes[1:]
    assert noise.std().item() == pytest.approx(0.01 * pi / sqrt(3), rel=0.05)

"""log p(x) by importance sampling: the figures, how far they can be relied on, and the picture."""

import json
import sys
from dataclasses import replace
from itertools import pairwise, product
from math import inf, isnan, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from scipy.stats import genpareto
from torch import Tensor

from cases import CASES, Case
from linear_models import DATA, ConstantWeights, Maps
from mixvae import plots, report
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import bounds, evaluate, log_likelihood, pareto_k
from mixvae.evaluation.marginal_likelihood.log_likelihood import CODES, LogLikelihood, Weighted
from mixvae.evaluation.marginal_likelihood.pareto import fit_pareto
from mixvae.evaluation.marginal_likelihood.proposals import PILOT, deal
from mixvae.model import MixtureVAE
from mixvae.parts.component_sampler import ComponentGate
from mixvae.parts.weights import CategoricalWeights
from mixvae.plots import figures
from mixvae.recipes import BuiltRecipe

FAMILIES = ["vae", "m-vae", "mixture-vae", "dlgmm", "gmmp-vae"]


def small(name: str = "m-vae", **options: Any) -> BuiltRecipe:
    return Case(name, {"likelihood": "gaussian"} | options, (6,)).build()


def data(n: int) -> Tensor:
    return torch.rand(n, 6, generator=torch.Generator().manual_seed(3))


def of(log_prob: Tensor, **changes: Any) -> LogLikelihood:
    """Estimates, good ones but for what is changed."""
    one = torch.ones_like(log_prob)
    figures = {"standard_error": 0.1 * one, "ess": 9 * one, "k_hat": 0.2 * one}
    plain = {"bits_per_dim": 0.5, "n_samples": 1000}
    return LogLikelihood(log_prob, **(figures | plain | changes))


# -- against closed forms


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("n_samples", [3, 7, 1200])
def test_an_exact_posterior_gives_log_p_without_error(n_components: int, n_samples: int) -> None:
    maps = Maps(n_components, shared=True)
    for model, p_x in (maps.exact(), maps.posterior()):
        found = log_likelihood(model, DATA, n_samples, method="plain")
        assert torch.allclose(found.log_prob, p_x.log_prob(DATA), atol=1e-9)
        assert found.standard_error.max() < (1e-6 if n_samples > 7 else 1)
        if n_components == 1:
            assert found.ess.tolist() == pytest.approx([n_samples] * 7)
        if n_samples >= 125:
            assert found.k_hat.tolist() == [-inf] * 7
        assert found.warning() is None


def wrong_exact() -> tuple[MixtureVAE, Tensor, Tensor]:
    model, p_x = Maps(2).exact(0.2)
    x = p_x.mean + 0.3 * DATA
    return model, x, p_x.log_prob(x)


def wrong_posterior() -> tuple[MixtureVAE, Tensor, Tensor]:
    model, p_x = Maps(3, shared=True).posterior(0.3)
    return model, DATA, p_x.log_prob(DATA)


def random_weights_of_a_posterior() -> tuple[MixtureVAE, Tensor, Tensor]:
    model, p_x = Maps(3, shared=True).posterior(0.3, ConstantWeights(0.8, 0.9, 0.7))
    return model, DATA, p_x.log_prob(DATA)


def blended() -> tuple[MixtureVAE, Tensor, Tensor]:
    maps = Maps(2)
    p_x = maps.evidence(torch.full((2,), 0.5, dtype=torch.float64))
    x = p_x.mean + 0.3 * DATA
    return maps.joint(CategoricalWeights(2)), x, p_x.log_prob(x)


def blended_by_random_weights() -> tuple[MixtureVAE, Tensor, Tensor]:
    """p(x) is an integral over one weight: the midpoint rule."""
    maps = Maps(2)
    w = (torch.arange(2000).double() + 0.5) / 2000
    p_x = maps.evidence(torch.stack([w, 1 - w], -1))
    x = maps.b.mean(0) + 0.3 * DATA
    return (
        maps.joint(ConstantWeights(0.9, 0.7)),
        x,
        p_x.log_prob(x.unsqueeze(1)).logsumexp(1) - log(2000),
    )


@pytest.mark.parametrize(
    "make",
    [
        wrong_exact,
        wrong_posterior,
        random_weights_of_a_posterior,
        blended,
        blended_by_random_weights,
    ],
)
def test_an_inexact_posterior_gives_log_p_within_the_stated_errors(make) -> None:
    model, x, exact = make()
    found = log_likelihood(model, x, 20_000)
    assert ((found.log_prob - exact) / found.standard_error).abs().max() < 4
    assert found.standard_error.max() < 0.05
    assert ((found.ess > 1) & (found.ess < found.n_samples - 1)).all()
    assert abs(found.mean - exact.mean()) < 4 * found.mean_error


def test_a_stated_standard_error_is_the_spread_over_seeds() -> None:
    for model, _ in (Maps(2).exact(0.1), Maps(3, shared=True).posterior(0.3)):
        runs = [log_likelihood(model, DATA[:2], 300, seed=seed) for seed in range(100)]
        spread = torch.stack([run.log_prob for run in runs]).std(0)
        claimed = torch.stack([run.standard_error for run in runs]).mean(0)
        assert torch.allclose(claimed / spread, torch.ones(2).double(), atol=0.25)
        means = torch.tensor([run.mean for run in runs])
        error = torch.tensor([run.mean_error for run in runs]).mean()
        assert float(error / means.std()) == pytest.approx(1, abs=0.25)


def alike(x: Tensor, n: int) -> Tensor:
    """Rows that differ in their last digits, so that each has noise of its own."""
    return x * (1 + 1e-13 * torch.arange(n).double().unsqueeze(1))


def test_more_samples_raise_the_mean_of_the_estimates() -> None:
    """It is a lower bound in expectation, and tighter with each sample."""
    model, x, exact = wrong_exact()
    means = [log_likelihood(model, alike(x[0], 200), n, method="plain").mean for n in (2, 4, 16)]
    assert all(low < high for low, high in pairwise([*means, float(exact[0]) + 0.02]))


# -- what an estimate depends on


@pytest.mark.parametrize("name", FAMILIES)
def test_an_examples_estimate_does_not_depend_on_the_other_examples(name: str) -> None:
    model, x = small(name).model, data(6)
    whole, few = log_likelihood(model, x, 400), log_likelihood(model, x[:2], 400)
    others = log_likelihood(model, torch.cat([x[:2], 1 - x[2:]]), 400)
    for figure in ("log_prob", "standard_error", "ess", "k_hat"):
        expected = getattr(few, figure)
        for found in (whole, others):
            assert torch.equal(getattr(found, figure)[:2].nan_to_num(), expected.nan_to_num())


def test_a_seed_gives_the_same_figures_again_and_another_seed_others() -> None:
    model, x = small().model, data(2)
    first = log_likelihood(model, x, 30, seed=1)
    torch.rand(5)
    assert torch.equal(log_likelihood(model, x, 30, seed=1).log_prob, first.log_prob)
    assert (log_likelihood(model, x, 30, seed=2).log_prob != first.log_prob).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_an_examples_estimate_does_not_depend_on_its_place(name: str) -> None:
    model, x = small(name).model, data(6)
    whole, last = (log_likelihood(model, rows, 150) for rows in (x, x[3:]))
    order = torch.tensor([4, 0, 5, 2, 2, 1, 3, 4])
    mixed = log_likelihood(model, x[order], 150)
    for figure in ("log_prob", "standard_error", "ess", "k_hat"):
        expected = getattr(whole, figure).nan_to_num()
        assert torch.equal(getattr(last, figure).nan_to_num(), expected[3:])
        assert torch.equal(getattr(mixed, figure).nan_to_num(), expected[order])
    assert len(whole.log_prob.unique()) == 6


def test_examples_of_two_classes_have_noise_of_their_own() -> None:
    """And one of a class has it wherever it is."""
    model = Case("mvae", {"conditional": True, "n_classes": 2, "likelihood": "gaussian"}, (6,))
    model, x = model.build().model, data(1).expand(3, -1)
    found = log_likelihood(model, x, 20, y=torch.tensor([1, 0, 1])).log_prob
    assert found[0] == found[2] != found[1]
    assert found[1] == log_likelihood(model, x[:1], 20, y=torch.tensor([0])).log_prob


def test_an_unconditional_models_estimate_does_not_depend_on_labels() -> None:
    model, x = small().model, data(2)
    found = [log_likelihood(model, x, 20, y=y).log_prob for y in (None, torch.tensor([0, 1]))]
    assert torch.equal(*found)


def test_noughts_of_either_sign_are_the_same_data() -> None:
    x = torch.tensor([[0.0, 0.5, 0.0, 1.0, 0.0, 0.2]])
    other = torch.where(x == 0, -0.0, x)
    model = small().model
    assert log_likelihood(model, x, 20).log_prob == log_likelihood(model, other, 20).log_prob


def test_the_error_of_a_mean_over_repeated_rows_is_its_spread_over_seeds() -> None:
    """Equal rows have equal errors: of a row 8 times and another twice, (8 a, 2 b) / 10."""
    model, _ = Maps(2).exact(0.1)
    x = DATA[torch.tensor([0] * 8 + [1] * 2)]
    runs = [log_likelihood(model, x, 300, seed=seed) for seed in range(100)]
    claimed = np.mean([run.mean_error for run in runs])
    assert claimed / np.std([run.mean for run in runs]) == pytest.approx(1, abs=0.25)
    a, b = runs[0].standard_error[[0, 9]].tolist()
    assert runs[0].mean_error == pytest.approx(sqrt((8 * a) ** 2 + (2 * b) ** 2) / 10)


def test_no_block_of_samples_repeats_the_noise_of_another() -> None:
    model, seen = Maps(1).exact(0.2)[0], []
    model.decoder.branch.register_forward_hook(lambda m, i, out: seen.append(i[0].flatten()))
    log_likelihood(model, DATA[:1], 2 * CODES, method="plain")
    codes = torch.cat(seen)
    assert len(seen) == 2
    assert len(codes.unique()) == len(codes)


# -- codes dealt out to the components of an exact mixture


def routed_maps(n: int, wrong: float) -> tuple[MixtureVAE, Tensor, Tensor]:
    """A model that can decode its components one by one, x of one component each, log p(x)."""
    model, p_x = Maps(n).exact(wrong)
    model.sampler = ComponentGate(4, n, 2)
    x = p_x.component_distribution.mean[torch.arange(5) % n] + 0.3 * DATA[:5]
    return model, x, p_x.log_prob(x)


def sparse_model() -> MixtureVAE:
    return small("mixture-vae", n_components=4, shared_layers=True, n_active=2).model


@pytest.mark.parametrize("n_samples", [5, 7, 3 * CODES + 1])
def test_dealt_codes_of_exact_posteriors_give_log_p_whatever_the_deal(n_samples: int) -> None:
    model, x, exact = routed_maps(5, 0.0)
    found = log_likelihood(model, x, n_samples, method="plain")
    assert torch.allclose(found.log_prob, exact, atol=1e-9)


def test_dealt_codes_give_log_p_within_errors_that_are_smaller_than_without() -> None:
    model, x, exact = routed_maps(5, 0.2)
    found = log_likelihood(model, x, 20_000)
    assert ((found.log_prob - exact) / found.standard_error).abs().max() < 4
    with torch.no_grad():
        even = model.draw(x, *model.infer(x), 4_000).log_weight.exp()  # as many: 4,000 of each
    error = even.std(0) / even.mean(0) / sqrt(4_000)
    assert found.standard_error.mean() < 0.7 * error.mean()


def test_few_dealt_codes_are_unbiased() -> None:
    """p(x), not its logarithm; 600 estimates, four standard errors."""
    model, x, exact = routed_maps(3, 0.2)
    found = log_likelihood(model, alike(x[0], 600), 8)
    ratio = (found.log_prob - exact[0]).exp()
    error = ratio.std() / sqrt(len(ratio))
    assert abs(ratio.mean() - 1) < 4 * error
    assert error < 0.03


def test_dealt_codes_agree_with_as_many_of_every_component() -> None:
    """Shared layers and unequal proportions: the decoder of some against that of all."""
    model = sparse_model()
    model.weights.logits.data.copy_(torch.tensor([1.0, -2.0, 0.5, 0.0]))
    dealt = log_likelihood(model, data(3), 4000)
    with torch.no_grad():
        w = model.eval().draw(data(3), *model.infer(data(3)), 4000).log_weight.double().exp()
    error = (dealt.standard_error.square() + (w.std(0) / w.mean(0)).square() / 4000).sqrt()
    assert ((dealt.log_prob - w.mean(0).log()) / error).abs().max() < 4
    assert error.max() < 0.1


@pytest.mark.parametrize("n", [4, 7, 1000])
def test_all_codes_are_dealt_and_every_component_that_has_a_share_has_one(n: int) -> None:
    share = torch.tensor([0.9, 0.0, 0.04, 0.06]).double()
    counts = deal(share, torch.arange(4), n)
    assert counts.sum() == n
    assert counts[1] == 0
    assert counts[[0, 2, 3]].min() >= 1
    if n > 100:
        assert torch.allclose(counts.double(), n * share, atol=2)


def test_dealt_codes_are_decoded_a_fixed_number_at_a_time_and_each_example_is_encoded_once() -> (
    None
):
    model, rows, encoded = sparse_model(), [], []
    model.decoder.head.register_forward_hook(lambda m, i, out: rows.append(out.shape[:-1].numel()))
    model.trunk.register_forward_hook(lambda m, i, out: encoded.append(len(i[0])))
    n_samples = 3 * CODES + 1
    log_likelihood(model, data(2), n_samples, method="plain")
    assert max(rows) <= CODES
    assert sum(rows) == pytest.approx(2 * (1 + PILOT) * n_samples, rel=0.01)
    assert encoded == [1, 1]


# -- what it costs


@pytest.mark.parametrize("name", FAMILIES)
def test_memory_grows_with_neither_n_nor_s_and_each_example_is_encoded_once(name: str) -> None:
    model, rows, calls = small(name).model, [], {"trunk": [], "prior": []}
    model.decoder.branch.register_forward_hook(lambda m, i, out: rows.append(i[0].shape))
    model.trunk.register_forward_hook(lambda m, i, out: calls["trunk"].append(len(i[0])))
    model.prior.register_forward_hook(lambda m, i, out: calls["prior"].append(1))
    for (n, n_samples), method in product(((1, 10), (3, 4 * CODES + 1)), ("plain", "defensive")):
        rows.clear()
        calls["trunk"].clear()
        calls["prior"].clear()
        log_likelihood(model, data(n), n_samples, method=method)
        codes = [shape[0] * shape[1] for shape in rows]
        assert max(codes) <= CODES
        a_sample = model.family.n_codes(model.n_components)
        if method == "plain":
            n_proposals = 1 if a_sample > 1 else model.n_components
            pilot = max(round(PILOT * n_samples), n_proposals) if n_proposals > 1 else 0
            assert sum(codes) == n * (n_samples + pilot) * a_sample
        assert len(calls["prior"]) == 1
        pseudo = 4 if name == "gmmp-vae" else 0  # its prior encodes its pseudo-inputs
        assert sum(calls["trunk"]) == n + pseudo


def test_a_sample_of_more_codes_than_are_decoded_at_a_time_is_decoded_by_itself() -> None:
    model, rows = small("m-vae", n_components=CODES + 1, hidden=[2]).model, []
    model.decoder.branch.register_forward_hook(lambda m, i, out: rows.append(len(i[0])))
    log_likelihood(model, data(1), 3, method="plain")
    assert rows == [1, 1, 1]


# -- the figures, of given weights


@pytest.mark.parametrize("n", [2, 41, CODES, 2 * CODES + 3])
@pytest.mark.parametrize("level", [-1e4, 0.0, 1e4])
def test_figures_are_those_of_the_weights(
    n: int, level: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = Maps(1).exact()
    log_w = level + torch.randn(n, generator=torch.Generator().manual_seed(4)).double()
    same = torch.zeros(n, dtype=torch.int64)
    module = sys.modules[LogLikelihood.__module__]
    monkeypatch.setattr(module, "_weighted", lambda *_: Weighted(log_w, same, same))
    found = log_likelihood(model, DATA[:1], n)
    w = (log_w - log_w.max()).exp()
    assert float(found.log_prob) == pytest.approx(float(w.mean().log() + log_w.max()))
    assert float(found.ess) == pytest.approx(float(w.sum() ** 2 / w.square().sum()))
    assert float(found.standard_error) == pytest.approx(float(w.std() / sqrt(n) / w.mean()))
    assert float(found.k_hat) == pytest.approx(pareto_k(log_w), nan_ok=True)


def test_one_draw_has_no_standard_error() -> None:
    found = log_likelihood(small().model, data(2), 1)
    assert found.standard_error.isnan().all()
    assert found.ess.tolist() == [1, 1]


def test_bits_per_dimension_are_those_of_the_mean() -> None:
    x = data(3).round()
    found = log_likelihood(small("vae", likelihood="bernoulli").model, x, 20)
    assert found.bits_per_dim == pytest.approx(-found.mean / (6 * log(2)))


def test_log_likelihood_refuses_what_has_none() -> None:
    with pytest.raises(MixvaeError, match="CrossEntropy is not a normalised density"):
        log_likelihood(small(likelihood="cross-entropy").model, data(3))
    for bad in (data(3), torch.full((3, 6), torch.nan)):
        with pytest.raises(MixvaeError, match="bernoulli"):
            log_likelihood(small(likelihood="bernoulli").model, bad)
    for n_samples in (0, -1):
        with pytest.raises(MixvaeError, match=f"n_samples must be at least 1; got {n_samples}"):
            log_likelihood(small().model, data(3), n_samples)


# -- Pareto k-hat


def uniforms(n: int) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.7, 1.0, 2.0])
def test_k_hat_of_pareto_weights_is_their_shape(k: float) -> None:
    """Excess over a threshold is then a generalised Pareto distribution exactly."""
    log_w = -k * uniforms(1_000_000).log()
    assert pareto_k(log_w) == pytest.approx(k, abs=3 * (1 + k) / sqrt(3000))


@pytest.mark.parametrize(("degrees", "tolerance"), [(1, 0.15), (2, 0.12), (4, 0.12)])
def test_k_hat_of_half_t_weights_is_one_over_the_degrees_of_freedom(
    degrees: int, tolerance: float
) -> None:
    w = np.abs(np.random.default_rng(0).standard_t(degrees, 1_000_000))
    assert pareto_k(torch.tensor(np.log(w))) == pytest.approx(1 / degrees, abs=tolerance)


def test_k_hat_of_bounded_and_exponential_tails_is_not_positive() -> None:
    u = uniforms(5000)
    assert pareto_k(u.log()) == pytest.approx(-1, abs=0.2)  # excess of a uniform is uniform
    assert pareto_k((-u.log()).log()) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("k", [-0.5, 0.0, 0.3, 0.7, 1.5])
def test_the_fit_is_close_to_the_maximum_of_the_likelihood(k: float) -> None:
    y = genpareto.rvs(k, size=5000, random_state=1)
    maximum = genpareto.fit(y, floc=0)[0]
    assert fit_pareto(torch.tensor(y)) == pytest.approx(maximum, abs=0.02)
    assert fit_pareto(torch.tensor(1e9 * y)) == pytest.approx(fit_pareto(torch.tensor(y)))


def plain_fit(y: np.ndarray) -> float:
    """Zhang & Stephens 2009, Section 3, in their symbols (their k is minus ours), one by one."""
    n, y = len(y), np.sort(y)
    m = 30 + int(sqrt(n))
    quartile = y[int(n / 4 + 0.5) - 1]
    thetas = [1 / y[-1] + (1 - sqrt(m / (j - 0.5))) / (3 * quartile) for j in range(1, m + 1)]

    def shape(theta: float) -> float:
        return -sum(log(1 - theta * each) for each in y) / n

    profile = [n * (log(theta / shape(theta)) + shape(theta) - 1) for theta in thetas]
    weights = [1 / sum(np.exp(other - own) for other in profile) for own in profile]
    theta = sum(t * w for t, w in zip(thetas, weights, strict=True))
    return -shape(theta)


@pytest.mark.parametrize("n", [5, 25, 212])
@pytest.mark.parametrize("k", [-0.5, 0.3, 1.5])
def test_the_fit_is_the_published_one_drawn_towards_a_half_by_ten_values(n: int, k: float) -> None:
    y = genpareto.rvs(k, size=n, random_state=2)
    expected = (n * plain_fit(y) + 5) / (n + 10)
    assert fit_pareto(torch.tensor(y)) == pytest.approx(expected, rel=1e-9)


def test_a_grid_point_that_is_the_exponential_distribution_does_no_harm() -> None:
    """100 equal values put one of 40 points at b = 0 exactly, where b/k is 0/0."""
    assert fit_pareto(torch.ones(100).double()) < -1


def test_the_tail_is_the_largest_weights_whatever_their_order_and_scale() -> None:
    log_w = -0.6 * uniforms(5000).log()
    k = pareto_k(log_w)
    assert pareto_k(log_w.flip(0) - 1e5) == pytest.approx(k, abs=1e-6)
    top = log_w.topk(213).values.exp()  # 3 sqrt(5000) = 212.1
    assert k == pytest.approx(fit_pareto(top[:-1] - top[-1]), abs=1e-9)
    few = log_w[:200]  # min(200/5, 3 sqrt(200)) = 40
    top = few.topk(41).values.exp()
    assert pareto_k(few) == pytest.approx(fit_pareto(top[:-1] - top[-1]), abs=1e-9)


def test_the_k_hat_of_a_component_that_hardly_counts_is_left_out() -> None:
    """Component 0's posterior is far too narrow, the other's exact: all its weights are equal."""
    model, p_x = Maps(2).exact()
    x = p_x.mean[None] + 0.3 * DATA[:1]
    with torch.no_grad():
        model.posterior.scale[0] *= 0.3
        assert log_likelihood(model, x, 4000, method="plain").k_hat > 0.2
        model.weights.logits[0] = -20.0
    assert log_likelihood(model, x, 4000, method="plain").k_hat == -inf


def test_too_few_weights_and_weights_that_are_no_numbers_have_no_k_hat() -> None:
    log_w = uniforms(125)
    assert isnan(pareto_k(log_w[:124]))
    assert not isnan(pareto_k(log_w))
    assert isnan(pareto_k(torch.cat([log_w, torch.tensor([torch.nan])])))
    assert isnan(pareto_k(torch.full((200,), -torch.inf)))


@pytest.mark.parametrize("rounding", [0.0, 1e-15, 1e-4])
def test_weights_that_differ_by_rounding_have_no_tail(rounding: float) -> None:
    noise = (uniforms(1000) * 4).round() * rounding
    assert pareto_k(-300 + noise) == -inf


def test_a_few_weights_above_all_others_are_the_worst_tail() -> None:
    log_w = uniforms(1000)
    for n in (1, 4):
        one = log_w.clone()
        one[:n] += 2000.0 * (1 + torch.arange(n))
        assert pareto_k(one) == inf
    assert pareto_k(300 * torch.randn(1000, generator=torch.Generator().manual_seed(1))) > 5


# -- what is said of them


def test_the_warning_counts_the_examples_names_the_worst_and_says_what_to_do() -> None:
    k_hat = torch.tensor([0.3, 0.71, torch.nan, 1.5, 0.7], dtype=torch.float64)
    found = of(torch.zeros(5).double(), k_hat=k_hat)
    said = found.warning()
    assert "above 0.7 for 2 of 5 examples" in said
    assert "1.50, of example 3" in said
    assert "annealed importance sampling" in said
    assert found.to_dict()["warning"] == said
    assert found.to_dict()["k_hat_max"] == 1.5
    assert found.to_dict()["k_hat_above"] == 0.4
    assert of(torch.zeros(2).double()).warning() is None


@pytest.mark.parametrize(("n_above", "reliable"), [(0, True), (5, True), (6, False), (100, False)])
def test_a_mean_is_reliable_where_at_most_one_example_in_twenty_has_a_heavy_tail(
    n_above: int, reliable: bool
) -> None:
    k_hat = torch.full((100,), 0.7).double()
    k_hat[:n_above] = 0.8
    found = of(torch.full((100,), 45.95).double(), k_hat=k_hat)
    assert found.reliable is reliable
    assert found.to_dict()["reliable"] is reliable
    assert (found.caveat is None) == reliable
    row = next(
        r for r in report.table({"log_likelihood": found.to_dict()}).splitlines() if "(x)" in r
    )
    if reliable:
        assert "UNRELIABLE" not in row
    else:
        assert row.split()[2] == "45.95"
        assert (
            f"UNRELIABLE: k-hat above 0.7 for {n_above}% of examples; likely too low, error larger "
            "than ±"
        ) in row


def test_the_estimate_of_a_poor_posterior_is_called_unreliable_and_is_too_low(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scales are a fiftieth of what they should be: log p(x) is known, and missed."""
    model, p_x = Maps(1).exact()
    x = p_x.mean + 0.3 * DATA
    with torch.no_grad():
        model.posterior.scale.mul_(0.02)
    found = log_likelihood(model, x, 1000, method="plain")
    assert found.mean < float(p_x.log_prob(x).mean()) - 5 * found.mean_error
    assert found.reliable is False
    drawn = []
    monkeypatch.setattr(
        plots.likelihood, "save", lambda fig, path, _: drawn.append(fig.axes[0]) or path
    )
    plots.log_likelihood(found.log_prob, tmp_path / "h.png", caveat=found.caveat)
    assert "UNRELIABLE: k-hat above 0.7" in drawn[0].get_title()


def test_without_k_hat_nothing_is_said_of_it() -> None:
    found = of(torch.zeros(2).double(), k_hat=torch.full((2,), torch.nan).double())
    assert found.warning() is None
    assert found.reliable is None
    assert found.caveat is None
    table = report.table({"log_likelihood": found.to_dict()})
    assert "reliability unknown, as k-hat needs 125 samples" in table
    annealed = replace(found, method="ais").to_dict()  # whose chains have no k-hat at all
    assert "reliability unknown" not in report.table({"log_likelihood": annealed})
    assert not {"k_hat_max", "k_hat_above"} & found.to_dict().keys()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


@pytest.mark.parametrize("n_test", [1, 4, 100])
def test_evaluation_can_take_all_figures_of_examples_at_even_distances(n_test: int) -> None:
    recipe, x, y = small("mixture-vae"), data(6), torch.arange(6) % 2
    kept: list[LogLikelihood] = []
    how = {"log_likelihood": 20, "keep": kept.append}
    found = evaluate(recipe, Split(x, y), n_test=n_test, **how)
    rows = {1: [0], 4: [0, 1, 3, 4], 100: [0, 1, 2, 3, 4, 5]}[n_test]
    assert found == evaluate(recipe, Split(x[rows], y[rows]), **how)
    assert found["n"] == min(n_test, 6)
    assert len(kept[0].log_prob) == min(n_test, 6)
    assert kept[0].to_dict() == found["log_likelihood"]


def test_evaluation_refuses_numbers_that_mean_nothing() -> None:
    with pytest.raises(MixvaeError, match="log_likelihood must be at least 0; got -1"):
        evaluate(small(), Split(data(3)), log_likelihood=-1)
    with pytest.raises(MixvaeError, match="n_test must be at least 1; got 0"):
        evaluate(small(), Split(data(3)), n_test=0)


# -- is the objective a bound?

SUMMED = {"kl_reduction": "sum", "beta_dhsic": 0.0}
OBJECTIVES = [
    ("vae", {}, True),
    ("vae", {"likelihood": "cross-entropy"}, False),
    ("beta-vae", {"beta_kl": 4.0}, True),
    ("beta-vae", {"beta_kl": 0.5}, False),
    ("iwae", {}, True),
    ("m-vae", {}, False),
    ("m-vae", {"bound": "iwae"}, False),  # less the penalty
    ("m-vae", {"bound": "iwae", "beta_dhsic": 0.0}, True),
    ("m-vae", SUMMED, True),
    ("m-vae", SUMMED | {"beta_w": 20.0}, True),
    ("m-vae", SUMMED | {"beta_kl": 0.5}, False),
    ("m-vae", SUMMED | {"beta_w": 0.5}, False),
    ("mvae", {"beta_dhsic": 0.0}, False),
    ("mvae-gs", {}, False),
    ("mixture-vae", {}, True),
    ("mixture-vae", {"keep_prior": 0.2}, False),  # masks are relaxed, and their KL is not
    ("mixture-vae", {"keep_prior": 0.2, "beta_dropout": 0.0}, False),
    ("dlgmm", {}, True),
    ("dlgmm", {"form": "paper"}, True),
    ("dlgmm", {"stick_kl": "series"}, False),
    ("dlgmm", {"stick_kl": "series", "bound": "iwae"}, True),
    ("sb-vae", {"stick_kl": "series"}, False),
    ("sb-vae", {}, True),
    ("vamp-prior", {}, True),
    ("gmmp-vae", {}, True),
    ("gmmp-vae", {"bound": "miselbo"}, True),
    ("gmmp-vae", {"bound": "matched"}, True),
    ("gmmp-vae", {"bound": "matched", "matching": "variational"}, False),
    ("gmmp-vae", {"decode": "average"}, False),
]


@pytest.mark.parametrize(("name", "options", "expected"), OBJECTIVES)
def test_it_is_known_which_objectives_are_bounds(
    name: str, options: dict[str, Any], expected: bool
) -> None:
    recipe = small(name, **options)
    assert recipe.objective_is_bound == expected
    x = data(2).round() if options.get("likelihood") == "bernoulli" else data(2)
    assert bounds(recipe, x)["objective_is_bound"] == expected


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_objective_that_is_called_a_bound_is_below_log_p(case: Case) -> None:
    recipe = case.build()
    if not recipe.objective_is_bound:
        return
    x = case.data(2)
    y = case.labels(x)
    exact = log_likelihood(recipe.model, x, 2000, y=y)
    many = x.repeat(100, *[1] * (x.dim() - 1))
    found = bounds(recipe, many, None if y is None else y.repeat(100))
    assert found["objective"] < exact.mean + 4 * exact.mean_error + 0.05
    assert found["elbo"] < exact.mean + 4 * exact.mean_error + 0.05


# -- the picture


@pytest.mark.parametrize("n", [1, 2, 500])
def test_the_histogram_is_drawn(n: int, tmp_path: Path) -> None:
    log_prob = torch.randn(n, dtype=torch.float64) - 90
    path = plots.log_likelihood(log_prob, tmp_path / "h.png", of="digits, test")
    assert path == tmp_path / "h.png"
    assert imread(path)[..., :3].std() > 0.01


def test_the_histogram_leaves_out_what_is_not_finite_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles, drawn = [], []

    def save(fig: Any, path: Path, title: str) -> Path:
        titles.append(title)
        drawn.append(fig)
        return figures.save(fig, path, title)

    monkeypatch.setattr(plots.likelihood, "save", save)
    bad = torch.tensor([torch.nan, -torch.inf]).double()
    with pytest.raises(MixvaeError, match="none of the 2 estimates"):
        plots.log_likelihood(bad, tmp_path / "h.png")
    log_prob = torch.cat([torch.full((3,), -90.0).double(), bad])
    plots.log_likelihood(log_prob, tmp_path / "h.png", of="digits")
    assert titles == ["log p(x) of digits; 2 not finite"]
    heights = sum(bar.get_height() for bar in drawn[0].axes[0].patches)
    assert heights == pytest.approx(3 / 5)

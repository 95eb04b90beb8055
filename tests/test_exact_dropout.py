"""Component dropout in the exact mixture: the masks join the proportions."""

from dataclasses import replace
from itertools import product
from math import log

import pytest
import torch
import yaml
from torch import Tensor
from torch.distributions import Bernoulli

import mixvae
from cases import Case
from linear_gaussian import LinearGaussian
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.evaluation import component_health, log_likelihood
from mixvae.objectives import iwae, mixture_bound
from mixvae.parts.component_dropout import ConcreteDropout, reweigh
from mixvae.recipes import BuiltRecipe
from mixvae.trace import Trace

MASKED = Case("mixture-vae", {"keep_prior": 0.2})
CASES = [
    MASKED,
    Case("mixture-vae", {"keep_prior": 0.2, "likelihood": "gaussian", "shared_layers": False}),
]
LINE = "train mixture-vae --data digits --n-components 3 --n-latent 2 --hidden 8 --max-epochs 1"
LINE += " --accelerator cpu --subset 256 --start-epochs 1"
maths = pytest.mark.usefixtures("maths")


def total(t: Trace) -> Tensor:
    return sum(mixture_bound(t).values())


def dropping(case: Case = MASKED) -> BuiltRecipe:
    """A model of three components in evaluation mode, the second of which is dropped."""
    recipe = case.build()
    recipe.model.weights.logits.data.copy_(torch.tensor([0.1, 0.5, 0.4]).log())
    recipe.model.dropout.logits.data = torch.tensor([-2.0, 9.0, -1.0])
    recipe.model.eval()
    return recipe


# -- the bound


@maths
def test_rates_of_zero_leave_the_bound_without_dropout():
    recipe, x = MASKED.build(), MASKED.data()
    recipe.model.dropout.logits.data.fill_(-1000.0)
    plain = Case("mixture-vae", {"n_active": 3}).build()
    plain.model.load_state_dict(recipe.model.state_dict(), strict=False)
    terms = []
    for model in (recipe, plain):
        torch.manual_seed(1)
        terms.append(model.objective(model.model, x))
    masked, without = terms
    torch.testing.assert_close(masked.pop("dropout"), torch.tensor(3 * log(0.2)))
    assert masked.keys() == without.keys()
    for name, term in without.items():
        torch.testing.assert_close(masked[name], term)


@maths
def test_under_given_masks_it_is_the_evidence_of_the_mixture_they_leave():
    model = LinearGaussian()
    x = model.data()
    q = model.posterior(x)
    t = model.mixture_trace(x, q, q.sample((2,)))
    log_mask = torch.tensor([0.0, -torch.inf, log(0.3)])
    t = replace(t, b=reweigh(t.w, log_mask.expand_as(t.w)))
    left = torch.tensor([1.0, 0.0, 0.3]) * model.pi
    exact = (model.log_evidence_each(x) + (left / left.sum()).log()).logsumexp(-1)
    torch.testing.assert_close(total(t), exact)
    torch.testing.assert_close(iwae(t)["iwae"], exact)
    assert (t.family.responsibilities(t)[:, 1] == 0).all()


@maths
@pytest.mark.parametrize("logits", [(-2.0, 0.5, 3.0), (0.0, 0.0, 0.0), (-4.0, 4.0, -4.0)])
def test_less_what_the_rates_cost_it_is_below_the_evidence_under_the_masks_prior(logits):
    """All eight sets of masks that are 0 or 1; where all are 0, (16) leaves the weights alone."""
    model, masks = LinearGaussian(), ConcreteDropout(3, keep_prior=0.3)
    masks.logits.data = torch.tensor(logits)
    x = model.data()
    q = model.posterior(x)
    t = model.mixture_trace(x, q, q.sample((1,)))
    prior, chosen = Bernoulli(torch.tensor(0.3)), Bernoulli(1 - masks.rate)
    bound, mean_b = -masks.penalty(), torch.zeros(3)
    for m in product((0.0, 1.0), repeat=3):
        mask = torch.tensor(m)
        b = reweigh(model.pi, mask.clamp_min(1e-30).log())
        bound = bound + chosen.log_prob(mask).sum().exp() * total(replace(t, b=b.expand_as(t.w)))
        mean_b += prior.log_prob(mask).sum().exp() * b
    torch.testing.assert_close(mean_b.sum(), torch.tensor(1.0))
    evidence = (model.log_evidence_each(x) + mean_b.log()).logsumexp(-1)
    assert (bound < evidence).all()


@maths
@pytest.mark.parametrize("keep_prior", [0.02, 0.1, 0.5])
def test_a_component_must_be_worth_the_logarithm_of_the_priors_odds(keep_prior):
    """At a rate of one half, what keeping costs more per unit of probability."""
    masks = ConcreteDropout(1, rate=0.5, keep_prior=keep_prior)
    (slope,) = torch.autograd.grad(masks.penalty(), masks.logits)
    per_probability = slope.item() / -0.25  # d keep / d logit
    assert per_probability == pytest.approx(log((1 - keep_prior) / keep_prior))


def test_masks_that_underflow_leave_values_and_gradients_finite():
    recipe = Case("mixture-vae", {"keep_prior": 0.2, "temperature": 0.001}).build()
    terms = recipe.objective(recipe.model, MASKED.data(50), 1.0)
    assert (recipe.model(MASKED.data(50)).b == 0).any()
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in recipe.model.parameters() if p.grad is not None)


# -- off, and its options


def test_by_default_nothing_is_dropped():
    recipe = Case("mixture-vae").build()
    assert recipe.model.dropout is None
    assert "dropout" not in recipe.objective(recipe.model, MASKED.data())


def test_the_objective_pays_for_the_rates():
    recipe = Case("mixture-vae", {"keep_prior": 0.2, "beta_dropout": 3.0, "bound": "iwae"}).build()
    terms = recipe.objective(recipe.model, MASKED.data(), 0.5)
    torch.testing.assert_close(terms["dropout"], -1.5 * recipe.model.dropout.penalty())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep_prior": 0.0}, "keep_prior must be between 0 and 1"),
        ({"start_rate": 1.0}, "rate must be between"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"beta_dropout": -1.0}, "beta_dropout must be at least 0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_masks_that_cannot_be_are_refused(options, said):
    with pytest.raises(MixvaeError, match=said):
        MASKED.build(**options)


# -- what was dropped, and pruning


@maths
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pruned_mixture_is_the_masked_one(case):
    recipe, x = dropping(case), case.data()
    small = mixvae.prune(recipe)
    assert (small.name, small.n_components) == ("mixture-vae", 2)
    assert small.options["keep_prior"] is None
    whole, part = recipe.model, small.model
    assert part.dropout is None
    torch.testing.assert_close(part.reconstruct(x), whole.reconstruct(x))
    torch.testing.assert_close(total(part.mean_trace(x)), total(whole.mean_trace(x)))
    traces = (part.mean_trace(x), whole.mean_trace(x))
    one, other = (t.family.responsibilities(t) for t in traces)
    torch.testing.assert_close(one, other[:, [0, 2]])


@maths
def test_keeping_all_changes_nothing_but_the_masks():
    recipe, x = MASKED.build(), MASKED.data()
    recipe.model.eval()
    small = mixvae.prune(recipe)
    assert small.n_components == 3
    torch.testing.assert_close(total(small.model.mean_trace(x)), total(recipe.model.mean_trace(x)))


@maths
def test_what_was_dropped_has_no_say_however_well_it_explains_x():
    recipe, x = dropping(), MASKED.data()
    t = recipe.model.mean_trace(x)
    small = total(mixvae.prune(recipe).model.mean_trace(x))
    certain = t.log_lik + torch.tensor([0.0, 1e4, 0.0])
    t.__dict__["log_lik"] = certain  # a cached property
    torch.testing.assert_close(total(t), small)


def test_log_likelihood_and_health_leave_out_what_was_dropped():
    recipe, x = dropping(), MASKED.data(2)
    estimates = [log_likelihood(r.model, x, 20_000) for r in (recipe, mixvae.prune(recipe))]
    assert estimates[0].mean == pytest.approx(estimates[1].mean, abs=0.05)
    health = component_health(recipe.model, x)
    assert health.dropped == [1]
    assert health.share[1] == 0
    assert 1 not in health.dead


def test_train_prunes_in_the_end(tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*LINE.split(), "--keep-prior", "0.2", "--out", str(out), "--prune"]) == 0
    assert f"run: {out / 'pruned'}\n" in capsys.readouterr().out
    config = yaml.safe_load((out / "pruned/config.yaml").read_text())
    assert config["recipe"] == "mixture-vae"
    assert config.get("keep_prior") is None
    assert mixvae.load(out).recipe.model.dropout is not None
    assert mixvae.load(out / "pruned").recipe.model.dropout is None


def test_pruning_without_dropout_is_refused_before_training(tmp_path, capsys):
    assert main([*LINE.split(), "--out", str(tmp_path / "run"), "--prune"]) == 2
    assert "has no component dropout" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

"""The experiments of the DLGMM and GMMpVAE papers, and the fixed weights that they need."""

from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from mixvae import prune, recipes
from mixvae.errors import MixvaeError

PI = [0.2, 0.5, 0.3]


def gmmp(**options: object) -> tuple[recipes.BuiltRecipe, Tensor]:
    """A small model with fixed weights, whose components differ, and binary x."""
    torch.manual_seed(1)
    small = {"n_latent": 2, "hidden": [8], "n_pseudo_inputs": 5, "weights": PI}
    recipe = recipes.build("gmmp-vae", (6,), **small | options)
    with torch.no_grad():
        for p in recipe.model.trunk.parameters():
            p *= 3
    return recipe, torch.rand(4, 6).round()


def plain_matched_kl(q: list[Normal], p: list[Normal]) -> Tensor:
    """Equation 21 for one x and one pseudo-input: components by weight, each to the best left."""
    total, left = torch.zeros(()), [0, 1, 2]
    for m in (1, 2, 0):  # by weight
        kls = {n: kl_divergence(q[m], p[n]).sum() for n in left}
        n = min(left, key=lambda n: float(kls[n].detach()) - log(PI[n]))
        left.remove(n)
        total = total + PI[m] * (kls[n] + log(PI[m] / PI[n]))
    return total


def test_the_matched_bound_of_fixed_weights_is_the_papers_formula(maths: None):
    recipe, x = gmmp(bound="matched")
    model = recipe.model
    t = model(x)
    terms = recipe.objective.terms(t)
    q, a = (model.posterior(model.trunk(v)).base_dist for v in (x, model.prior.pseudo_inputs))
    of = lambda d, row: [Normal(d.loc[row, k], d.scale[row, k]) for k in range(3)]
    kl = [plain_matched_kl(of(q, b), of(a, c)) for b in range(4) for c in range(5)]
    log_lik = sum(PI[k] * t.log_lik[0, :, k].mean() for k in range(3))
    torch.testing.assert_close(terms["log_lik"], log_lik)
    torch.testing.assert_close(-terms["kl_z"], torch.stack(kl).mean())


def test_the_elbo_of_fixed_weights_has_them_in_posterior_and_prior(maths: None):
    recipe, x = gmmp()
    model = recipe.model
    t = model(x)
    q, a = (model.posterior(model.trunk(v)).base_dist for v in (x, model.prior.pseudo_inputs))
    pi = torch.tensor(PI)

    def mixture(weights: Tensor, loc: Tensor, scale: Tensor) -> MixtureSameFamily:
        return MixtureSameFamily(Categorical(weights), Independent(Normal(loc, scale), 1))

    prior = mixture(pi.repeat(5) / 5, a.loc.flatten(0, 1), a.scale.flatten(0, 1))
    elbo = torch.zeros(4)
    for k in range(3):
        log_q = mixture(pi.expand(4, 3), q.loc, q.scale).log_prob(t.z[0, :, k])
        elbo += pi[k] * (t.log_lik[0, :, k] + prior.log_prob(t.z[0, :, k]) - log_q)
    torch.testing.assert_close(sum(recipe.objective.terms(t).values()), elbo.mean())


def test_the_average_of_codes_has_the_fixed_weights(maths: None):
    recipe, x = gmmp(bound="matched", decode="average")
    t = recipe.model(x)
    z = sum(PI[k] * t.z[:, :, k : k + 1] for k in range(3))
    p_x = recipe.model.decode(z, torch.ones(1, 4, 1))
    expected = p_x.log_prob(x.unsqueeze(1)).mean()
    torch.testing.assert_close(recipe.objective.terms(t)["log_lik"], expected)


def test_fixed_weights_stay_and_learned_ones_start_from_them():
    torch.testing.assert_close(gmmp()[0].model.weights.generate(1)[0], torch.tensor(PI))
    assert not list(gmmp()[0].model.weights.parameters())
    learned = gmmp(learned_weights=True)[0].model.weights
    torch.testing.assert_close(learned.generate(1)[0], torch.tensor(PI))
    assert len(list(learned.parameters())) == 1


def test_a_pruned_model_has_the_fixed_weights_of_the_components_that_it_keeps():
    small = prune(gmmp()[0], [0, 2])
    assert small.options["weights"] == pytest.approx([0.4, 0.6])
    torch.testing.assert_close(small.model.weights.generate(1)[0], torch.tensor([0.4, 0.6]))


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.2, 0.5, 0.4], [0.0, 0.5, 0.5], []])
def test_weights_that_are_none_are_refused(weights: list[float]):
    with pytest.raises(MixvaeError, match="weights must be 3 positive numbers that sum to 1"):
        gmmp(weights=weights)

"""MSVI: experts' weights computed from x, and the two bounds."""

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from cases import FLAT, Case
from linear_models import DATA, Maps
from mixvae.distributions import mixture
from mixvae.families import MixturePosterior
from mixvae.model import MixtureVAE
from mixvae.objectives import expert_elbos, mixture_elbo
from mixvae.parts.weights import GatingWeights
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")


def same_weights(source: BuiltRecipe, target: BuiltRecipe) -> None:
    """Copy parameters in their order; stacks of one have an axis more."""
    own = [p for name, p in source.model.named_parameters() if not name.startswith("weights.")]
    with torch.no_grad():
        for p, q in zip(own, target.model.parameters(), strict=True):
            q.copy_(p.reshape(q.shape))


def value(recipe: BuiltRecipe, x: Tensor, n_samples: int = 3) -> Tensor:
    torch.manual_seed(5)
    return sum(recipe.objective.bound(recipe.model(x, n_samples)).values())


@pytest.mark.parametrize(
    ("bound", "name"), [("experts", "vae"), ("elbo", "iwae"), ("miselbo", "iwae")]
)
def test_one_expert_is_the_vae_or_the_iwae(bound: str, name: str) -> None:
    one, other, x = (
        Case("msvi", {"n_components": 1, "bound": bound}).build(),
        Case(name, {}).build(seed=1),
        Case("msvi").data(),
    )
    same_weights(one, other)
    n = 1 if bound == "elbo" else 3
    torch.testing.assert_close(value(one, x, n), value(other, x, n))


@pytest.mark.parametrize("bound", ["elbo", "miselbo", "iwae"])
def test_even_weights_are_semvae(bound: str) -> None:
    one = Case("msvi", {"weights": "uniform", "bound": bound}).build()
    other, x = Case("semvae", {"bound": bound}).build(), Case("msvi").data()
    torch.testing.assert_close(value(one, x), value(other, x))


def test_the_weights_are_the_softmax_of_a_linear_layer_of_the_experts_features() -> None:
    model, x = Case("msvi").build().model, Case("msvi").data(4)
    h, layer = model.features(x), model.weights.net.body
    logits = torch.stack([h[:, k] @ layer.weight[k, 0] + layer.bias[k, 0] for k in range(3)], -1)
    w = model.infer(x)[1].mean
    torch.testing.assert_close(w, logits.exp() / logits.exp().sum(-1, keepdim=True))
    assert len(w.unique(dim=0)) == 4
    assert model.weights.prior() is None


def linear(wrong: float) -> tuple[MixtureVAE, Tensor, Tensor]:
    """Three experts for one linear map, weights that depend on x, and log p(x)."""
    model, p_x = Maps(3, shared=True).posterior(wrong, GatingWeights(4, 3))
    x = p_x.mean + 0.5 * DATA
    assert model.infer(x)[1].mean.std(0).min() > 0.03
    return model, x, p_x.log_prob(x)


def test_right_experts_give_log_p_whatever_their_weights() -> None:
    model, x, exact = linear(0.0)
    t = model(x, 2)
    torch.testing.assert_close(sum(mixture_elbo(t).values()), exact)
    torch.testing.assert_close(t.log_weight, exact.expand(2, -1))


def test_the_mean_importance_weight_is_p_of_x() -> None:
    model, x, exact = linear(0.3)
    with torch.no_grad():
        ratio = (model(x, 20_000).log_weight - exact).exp()
    assert ratio.std(0).min() > 0.05
    assert ((ratio.mean(0) - 1).abs() < 4 * ratio.std(0) / 20_000**0.5).all()


def test_the_experts_bound_is_lower_by_their_jensen_shannon_divergence() -> None:
    model, x, exact = linear(0.3)
    n = 40_000
    with torch.no_grad():
        t = model(x, n)
        both = [sum(bound(t).values()) for bound in (mixture_elbo, expert_elbos)]
        q = mixture(t.q_w.mean, t.q_z)
        log_ratio = t.q_z.log_prob(t.z) - q.log_prob(t.z.transpose(1, 2)).transpose(1, 2)
        grid = torch.cartesian_prod(*[torch.linspace(-8, 8, 321)] * 2)[:, None].expand(-1, 7, -1)
        log_q, each = q.log_prob(grid), t.q_z.log_prob(grid.unsqueeze(2))
    js = (each.exp() * (each - log_q.unsqueeze(-1)) * t.q_w.mean).sum(-1).sum(0) * 0.05**2
    assert js.min() > 0.02
    error = (log_ratio.std(0) * t.q_w.mean).sum(-1) / n**0.5
    assert ((both[0] - both[1] - js).abs() < 5 * error).all()
    assert (both[0] < exact).all()


def test_the_experts_bound_is_the_weighted_mean_of_their_elbos() -> None:
    recipe, x = Case("msvi", {"bound": "experts"}, FLAT).build(), Case("msvi", {}, FLAT).data()
    t = recipe.model(x, 4)
    assert isinstance(t.family, MixturePosterior)
    kl = kl_divergence(t.q_z, recipe.model.prior(recipe.model.encode))
    each = [t.log_lik[..., k].mean(0) - kl[:, k] for k in range(3)]
    by_hand = sum(t.w[0, :, k] * elbo for k, elbo in enumerate(each))
    torch.testing.assert_close(sum(recipe.objective.bound(t).values()), by_hand)
    assert recipe.objective_is_bound

"""A mixture of normals as prior: its densities, its start, and the clusters it finds."""

from collections.abc import Callable
from copy import deepcopy
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

import mixvae
from mixvae import DeepMixture, data, recipes
from mixvae.distributions import Delta, kl_to_mixture
from mixvae.errors import MixvaeError
from mixvae.evaluation import clustering, evaluate
from mixvae.evaluation.batches import cluster_probabilities, responsibilities
from mixvae.objectives import mixture_elbo
from mixvae.parts.priors import GaussianMixturePrior
from mixvae.training import TrainingState

pytestmark = pytest.mark.usefixtures("maths")
C, L = 4, 2


@pytest.fixture
def single(maths: None) -> None:
    """What is trained is trained in float32."""
    torch.set_default_dtype(torch.float32)


def spread() -> GaussianMixturePrior:
    """A prior whose components differ in weight, place and scale."""
    prior = GaussianMixturePrior(C, L)
    prior.logits.data, prior.raw_scale.data = torch.randn(C), torch.randn(C, L)
    return prior


def sklearns(prior: GaussianMixturePrior) -> GaussianMixture:
    """The same mixture, as scikit-learn has it."""
    p, twin = prior(Delta), GaussianMixture(C, covariance_type="diag")
    each = p.component_distribution
    twin.weights_ = p.mixture_distribution.probs.detach().numpy()
    twin.means_ = each.mean.detach().numpy()
    twin.covariances_ = each.variance.detach().numpy()
    twin.precisions_cholesky_ = 1 / np.sqrt(twin.covariances_)
    return twin


def blobs(n: int = 300) -> tuple[Tensor, Tensor]:
    """Codes in three heaps far apart, and the heap of each."""
    heap = torch.arange(n) % 3
    means = torch.tensor([[-5.0, 0.0], [5.0, 1.0], [0.0, 6.0]])
    return means[heap] + torch.randn(n, L), heap


def three_kinds() -> data.Dataset:
    """Images of three kinds, nine pixels, with some noise; always the same."""
    y = torch.arange(300) % 3
    rows = torch.eye(3).repeat_interleave(3, 1)[y]
    noise = torch.rand(300, 9, generator=torch.Generator().manual_seed(0))
    x = torch.where(noise < 0.05, 1 - rows, rows)
    return data.from_arrays(x.numpy(), y.numpy(), name="kinds")


def vade(**options: object) -> recipes.BuiltRecipe:
    torch.manual_seed(0)
    small = {"n_clusters": 3, "n_latent": L, "hidden": [16]}
    return recipes.build("vade", three_kinds(), **small | options)


# -- densities


def test_densities_and_responsibilities_are_scikit_learns():
    prior, z = spread(), 2 * torch.randn(50, L)
    twin = sklearns(prior)
    log_p = prior(Delta).log_prob(z).detach().numpy()
    np.testing.assert_allclose(log_p, twin.score_samples(z.numpy()))
    r = prior.responsibilities(z.reshape(5, 10, L)).detach().numpy()
    np.testing.assert_allclose(r.reshape(50, C), twin.predict_proba(z.numpy()))


def test_the_density_integrates_to_one():
    axis = torch.linspace(-12, 12, 1201)
    p = spread()(Delta).log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert float(p.detach().sum() * (24 / 1200) ** 2) == pytest.approx(1, abs=1e-9)


def test_draws_have_the_moments_of_the_mixture():
    p, n = spread()(Delta), 100_000
    z = p.sample((n,))
    assert ((z.mean(0) - p.mean).abs() < 4 * z.std(0) / n**0.5).all()
    squares = z.square()
    each = p.component_distribution.variance + p.component_distribution.mean.square()
    exact = p.mixture_distribution.probs @ each
    assert ((squares.mean(0) - exact).abs() < 4 * squares.std(0) / n**0.5).all()


def test_it_starts_with_even_weights_unit_scales_and_means_that_differ():
    p = GaussianMixturePrior(C, L)(Delta)
    torch.testing.assert_close(p.mixture_distribution.probs, torch.full((C,), 1 / C))
    torch.testing.assert_close(p.component_distribution.stddev, torch.ones(C, L))
    assert torch.pdist(p.component_distribution.mean).min() > 0.1


def test_a_fixed_prior_has_nothing_to_learn():
    assert not list(GaussianMixturePrior(C, L, learned=False).parameters())
    assert len(list(GaussianMixturePrior(C, L).parameters())) == 3


# -- the start


def test_the_start_is_what_scikit_learn_fits():
    z, heap = blobs()
    prior = GaussianMixturePrior(3, L)
    prior.start_from(z, torch.zeros_like(z), seed=5)
    least = 0.01 * float(z.var(0).mean())
    fitted = GaussianMixture(
        3, covariance_type="diag", reg_covar=least, n_init=5, random_state=5
    ).fit(z.numpy())
    log_p = prior(Delta).log_prob(z).detach().numpy()
    np.testing.assert_allclose(log_p, fitted.score_samples(z.numpy()), rtol=1e-6)
    assert clustering(prior.responsibilities(z).argmax(-1), heap)["acc"] == 1


def test_codes_that_are_all_the_same_have_no_clusters_to_start_from():
    prior, z = GaussianMixturePrior(3, L), torch.full((40, L), 0.7)
    for same in (z, torch.zeros(40, L), z * (1 + 1e-7 * torch.rand(40, 1))):
        with pytest.raises(MixvaeError, match=r"40 codes to start from are all the same.*random"):
            prior.start_from(same, torch.ones_like(z))


@pytest.mark.usefixtures("single")
def test_vade_on_data_that_are_all_alike_says_so(tmp_path):
    same = data.from_arrays(np.full((64, 9), 0.5, dtype="float32"), name="flat")
    recipe = recipes.build("vade", same, n_clusters=3, n_latent=L, hidden=[8], start_epochs=1)
    quick = {"accelerator": "cpu", "precision": "32", "progress": False, "batch_size": 16}
    with pytest.raises(MixvaeError, match=r"training examples of flat are all the same.*random"):
        mixvae.fit(recipe, same, out=tmp_path / "run", max_epochs=1, **quick)
    assert not (tmp_path / "run").exists()  # it is told before the pretraining


def test_the_start_is_as_wide_as_the_posteriors_are():
    z, heap = blobs()
    narrow, wide = GaussianMixturePrior(3, L), GaussianMixturePrior(3, L)
    narrow.start_from(z, torch.zeros_like(z))
    scale = (1.0 + heap.unsqueeze(1)).expand(-1, L) * torch.tensor([1.0, 2.0])
    wide.start_from(z, scale)
    own = narrow.responsibilities(z).argmax(-1)
    within = torch.stack([scale[own == c][0] for c in range(3)])
    added = [p(Delta).component_distribution.variance for p in (wide, narrow)]
    torch.testing.assert_close((added[0] - added[1]).detach(), within.square(), rtol=1e-3, atol=0)


def test_no_scale_starts_under_a_tenth_of_the_codes():
    z, _ = blobs()
    z[:, 1] = 0  # a latent that says nothing
    prior = GaussianMixturePrior(3, L)
    prior.start_from(z, torch.zeros_like(z))
    scale = prior(Delta).component_distribution.stddev
    torch.testing.assert_close(scale[:, 1].detach(), 0.1 * z.var(0).mean().sqrt().expand(3))


def test_codes_that_cannot_be_started_from_are_refused():
    prior = GaussianMixturePrior(3, L)
    with pytest.raises(MixvaeError, match="3 normals cannot start from 2 codes"):
        prior.start_from(torch.randn(2, L), torch.ones(2, L))
    with pytest.raises(MixvaeError, match="not finite"):
        prior.start_from(torch.randn(5, L), torch.full((5, L), torch.nan))
    with pytest.raises(MixvaeError, match="n_components must be at least 1"):
        GaussianMixturePrior(0, L)


class Watch:
    """Calls a function at the end of an epoch of a phase."""

    def __init__(self, phase: str, epoch: int, look: Callable[[TrainingState], None]) -> None:
        self.at, self.look = (phase, epoch), look

    def on_epoch_end(self, state: TrainingState) -> None:
        if (state.phase, state.epoch) == self.at:
            self.look(state)


def trained(recipe: recipes.BuiltRecipe, seed: int = 0, *callbacks: object) -> None:
    """Train for an epoch."""
    how = {"max_epochs": 1, "batch_size": 50, "lr": 0.01, "precision": "32", "seed": seed}
    with TemporaryDirectory() as folder:
        how |= {"out": f"{folder}/run", "progress": False, "pictures": False}
        mixvae.fit(recipe, three_kinds(), callbacks=callbacks, **how)


def started(recipe: recipes.BuiltRecipe, seed: int = 0) -> Tensor:
    """The prior's means before the first step of training itself."""
    found: list[Tensor] = []
    look = Watch("main", 0, lambda state: found.append(state.model.prior.loc.detach().clone()))
    trained(recipe, seed, look)
    return found[0]


def test_the_start_is_decided_by_the_seed(single):
    first, again = vade(start_epochs=4), vade(start_epochs=4)
    means = started(first)
    torch.manual_seed(7)
    assert torch.equal(started(again), means)
    assert not torch.equal(started(vade(start_epochs=4), seed=1), means)


def test_the_start_happens_once_and_only_where_it_is_asked_for(single):
    recipe = vade(start_epochs=4)
    drawn = recipe.model.prior.loc.detach().clone()
    assert not torch.equal(started(recipe), drawn)
    kept = recipe.model.prior.loc.detach().clone()
    assert torch.equal(started(recipe), kept)
    random = vade(start="random")
    before = random.model.prior.loc.detach().clone()
    assert torch.equal(started(random), before)


def test_the_autoencoder_learns_to_reconstruct_and_pays_no_kl(single):
    recipe, kinds = vade(), three_kinds()
    recipe.model.eval()
    before = recipe.model.mean_trace(kinds.test.x).log_lik.mean()
    prior, looks = deepcopy(recipe.model.prior), []

    def look(state: TrainingState) -> None:
        assert state.model.training
        assert state.model.mean_trace(kinds.test.x).log_lik.mean() > before + 2
        for name, value in state.model.prior.state_dict().items():
            assert torch.equal(value, prior.state_dict()[name])
        looks.append(state.history[-1])

    trained(recipe, 0, Watch("autoencoder", 20, look))
    assert [row["kl_scale"] for row in looks] == [0]


# -- the bound


def test_vades_own_bound_is_below_by_the_kl_of_the_cluster():
    """The KL of its bound is that of ours and E KL(q(c|x) || p(c|z)), for every q(c|x)."""
    model, n = vade().model, 20_000
    model.prior = spread()
    with torch.no_grad():
        t = model(torch.rand(4, 9), n)
        log_r = model.prior.responsibilities(t.z).log().squeeze(2)  # log p(c | z), (S, B, C)
    p, ours = t.p_z, mixture_elbo(t)["kl_z"]
    normals = p.component_distribution
    one = lambda c: Independent(Normal(normals.mean[c], normals.stddev[c]), 1)
    kl = torch.stack([kl_divergence(t.q_z, one(c)).squeeze(-1) for c in range(C)], -1)
    cost = kl - p.mixture_distribution.logits

    def vades(q_c: Tensor) -> Tensor:
        """Its KL terms in closed form: those of z given c, and of c."""
        return (q_c * (cost + q_c.log())).sum(-1)

    optimal, averaged = (-cost).softmax(-1), log_r.exp().mean(0)
    for q_c in (optimal, averaged, torch.full((4, C), 1 / C)):
        gap = (q_c * (q_c.log() - log_r)).sum(-1)
        error = ((t.log_prior - t.log_q).squeeze(-1) - gap).std(0) / n**0.5
        assert ((ours + vades(q_c) - gap.mean(0)).abs() < 4 * error).all()
        assert (vades(q_c) >= vades(optimal) - 1e-9).all()
    torch.testing.assert_close(vades(optimal), kl_to_mixture(t.q_z, p).squeeze(-1))
    assert (ours + vades(optimal) > 0.05).any()


# -- clusters


def test_a_clusters_probability_is_the_posteriors_mean_of_p_of_c_given_z():
    model, x = vade().model, torch.rand(6, 9)
    model.prior = spread()
    with torch.no_grad():
        z = model(x, 20_000).z.squeeze(2)
        exact = model.prior.responsibilities(z).mean(0)
    found = cluster_probabilities(model, x)
    torch.testing.assert_close(found, exact, rtol=0, atol=0.1)  # 64 draws
    torch.testing.assert_close(found.sum(-1), torch.ones(6))
    at_mean = model.prior.responsibilities(model.mean_trace(x).z[0, :, 0])
    assert (found - exact).abs().mean() < 0.5 * (at_mean - exact).abs().mean()


def test_a_row_has_the_same_clusters_in_any_company():
    model, x = vade().model, torch.rand(7, 9)
    together = cluster_probabilities(model, x)
    torch.testing.assert_close(cluster_probabilities(model, x, batch_size=2), together)
    torch.testing.assert_close(cluster_probabilities(model, x[3:4]), together[3:4])


@pytest.mark.parametrize("name", ["mixture-vae", "gmmp-vae", "vamp-prior", "vae"])
def test_elsewhere_clusters_are_components(name: str):
    small = {"n_latent": L, "hidden": [8], "n_components": 3, "n_pseudo_inputs": 5}
    known = {k: v for k, v in small.items() if k in recipes.options_of(name)}
    model, x = recipes.build(name, (9,), **known).model, torch.rand(4, 9).round()
    assert torch.equal(cluster_probabilities(model, x), responsibilities(model, x))
    if model.n_components > 1:  # whatever its prior is
        model.prior = GaussianMixturePrior(4, L)
        assert cluster_probabilities(model, x).shape == (4, model.n_components)


def test_training_finds_planted_clusters(single, tmp_path):
    kinds = three_kinds()
    run = mixvae.fit(
        vade(), kinds, out=tmp_path / "run", max_epochs=10, batch_size=32, lr=0.01, progress=False
    )
    assert run.metrics["clustering"]["acc"] > 0.9
    again = mixvae.load(tmp_path / "run").recipe
    assert again.initialization is None
    assert evaluate(again, kinds.test)["clustering"] == run.metrics["clustering"]


def test_the_estimator_predicts_clusters(single):
    kinds = three_kinds()
    X = kinds.train.x.numpy()
    options = {"n_clusters": 3, "n_latent": L, "hidden": [16]}
    model = DeepMixture(
        recipe="vade", recipe_options=options, max_epochs=10, batch_size=32, lr=0.01, random_state=0
    ).fit(X)
    probability = model.predict_proba(X)
    assert probability.shape == (len(X), 3)
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X), probability.argmax(1))
    assert clustering(torch.from_numpy(model.labels_), kinds.train.y)["acc"] > 0.9
    assert model.transform(X).shape == (len(X), L)

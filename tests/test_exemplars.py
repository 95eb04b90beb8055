"""The exemplar prior: a slow loop over exemplars, x left out of its own, and no test rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

import mixvae
from mixvae import data, recipes
from mixvae.distributions import Delta, diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.objectives import elbo
from mixvae.parts.exemplars import ExemplarPrior

pytestmark = pytest.mark.usefixtures("maths")
L = 2


def made(n_exemplars: int = 5, x_shape: tuple[int, ...] = (L,)) -> ExemplarPrior:
    """A prior of exemplars that encode themselves, with another scale than 1."""
    prior = ExemplarPrior(x_shape, n_exemplars)
    prior.log_scale.data.fill_(-0.7)
    return prior


def looped(centres: Tensor, scale: float, z: Tensor) -> Tensor:
    """Log density of one code, exemplar by exemplar."""
    total = torch.zeros(())
    for centre in centres:
        each = [
            Normal(mean, scale).log_prob(value).exp() for mean, value in zip(centre, z, strict=True)
        ]
        total = total + torch.stack(each).prod() / len(centres)
    return total.log()


def squares(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 6)).round().astype("float32")


SMALL = {"prior": "exemplar", "n_latent": L, "hidden": [8]}


# -- the density


def test_the_density_is_that_of_a_loop_over_exemplars():
    prior, z = made(), torch.randn(6, L)
    found = prior(Delta).log_prob(z)
    expected = torch.stack([looped(prior.exemplars, np.exp(-0.7), one) for one in z])
    torch.testing.assert_close(found, expected)


def test_leaving_one_out_is_a_loop_over_the_other_rows():
    prior = made()
    q_z = diagonal_normal(torch.randn(6, 1, L), torch.full((6, 1, L), 0.3))
    z = q_z.rsample((4,))
    found = prior.leave_one_out(q_z).log_prob(z)
    assert found.shape == (4, 6, 1)
    for s in range(4):
        for b in range(6):
            others = torch.stack([q_z.mean[i, 0] for i in range(6) if i != b])
            expected = looped(others, np.exp(-0.7), z[s, b, 0])
            torch.testing.assert_close(found[s, b, 0], expected)


def test_in_training_the_prior_of_x_does_not_depend_on_the_code_of_x():
    prior, means = made(), torch.randn(5, 1, L, requires_grad=True)
    p = prior.leave_one_out(diagonal_normal(means, torch.ones_like(means)))
    z = torch.randn(1, 5, 1, L)
    for b in range(5):
        (gradient,) = torch.autograd.grad(p.log_prob(z)[0, b, 0], means, retain_graph=True)
        seen = gradient.abs().sum((1, 2)) > 0
        assert seen.tolist() == [i != b for i in range(5)]


def test_a_model_in_training_leaves_x_out_and_in_evaluation_does_not():
    recipe = recipes.build("vae", (6,), **SMALL, n_exemplars=4)
    model, x = recipe.model, torch.rand(3, 6).round()
    assert model.train()(x).p_z.component_distribution.batch_shape == (3, 1, 2)
    p_z = model.eval()(x).p_z
    assert p_z.batch_shape == ()
    assert p_z.component_distribution.batch_shape == (4,)


def test_the_bound_of_training_is_below_that_of_all_the_other_rows_on_average():
    """A random subset inside a logarithm: Jensen's inequality."""
    torch.manual_seed(2)
    prior, codes = made(), 2 * torch.randn(40, L)
    prior.log_scale.data.zero_()
    z = torch.randn(L)
    every = looped(codes, 1.0, z)
    subsets = [looped(codes[torch.randperm(40)[:5]], 1.0, z) for _ in range(400)]  # a batch of six
    values = torch.stack(subsets)
    assert values.mean() + 3 * values.std() / 20 < every
    assert values.exp().mean() == pytest.approx(float(every.exp()), rel=0.15)


def test_the_elbo_has_the_sampled_kl_and_not_its_bound():
    recipe = recipes.build("vae", (6,), **SMALL, n_exemplars=4)
    for p in recipe.model.trunk.parameters():
        p.data *= 2
    recipe.model.prior.log_scale.data.fill_(-1.0)
    t = recipe.model.eval()(torch.rand(3, 6).round(), 10_000)
    kl = -elbo(t)["kl_z"]
    error = (t.log_q - t.log_prior).std(0).squeeze(1) / 10_000**0.5
    axis = torch.linspace(-6, 6, 601)
    z = torch.cartesian_prod(axis, axis)
    log_q = t.q_z.log_prob(z[:, None, None]).squeeze(2)
    log_p = t.p_z.log_prob(z).unsqueeze(1)
    exact = (log_q.exp() * (log_q - log_p)).sum(0) * 0.02**2
    assert ((kl - exact).abs() < 4 * error).all()
    assert (t.kl.squeeze(1) > exact + 4 * error).all()  # the closed form is looser here


def test_log_p_x_is_that_of_quadrature():
    torch.manual_seed(3)
    recipe = recipes.build("vae", (6,), **SMALL | {"n_latent": 1}, n_exemplars=4)
    x = torch.rand(3, 6).round()
    found = log_likelihood(recipe.model, x, 2000)
    z = torch.linspace(-12, 12, 4001).reshape(-1, 1, 1, 1)
    model = recipe.model.eval()
    with torch.no_grad():
        p_x = model.decode(z.expand(-1, 3, 1, 1), torch.ones(4001, 3, 1))
        joint = p_x.log_prob(x[:, None]).squeeze(2) + model.prior(model.encode).log_prob(z[:, 0])
    exact = joint.logsumexp(0) + np.log(24 / 4000)
    assert ((found.log_prob - exact).abs() < 4 * found.standard_error + 1e-6).all()


# -- which rows are exemplars


def test_exemplars_are_different_training_rows_and_the_density_is_theirs():
    rows = np.arange(120, dtype="float32").reshape(20, 6) / 120
    given = data.from_arrays(rows, name="rows")
    recipe = recipes.build("vae", given, **SMALL, likelihood="gaussian", n_exemplars=10)
    train = {tuple(row) for row in given.train.x.tolist()}
    found = {tuple(row) for row in recipe.model.prior.exemplars.tolist()}
    assert len(found) == 10
    assert found <= train
    assert not found & {tuple(row) for row in [*given.val.x.tolist(), *given.test.x.tolist()]}


def test_test_rows_have_no_influence_on_the_prior():
    given = data.from_arrays(squares(60), name="rows")
    other = replace(given, test=replace(given.test, x=1 - given.test.x))
    one, two = (recipes.build("vae", d, **SMALL, seed=0).model.eval() for d in (given, other))
    z = torch.randn(9, L)
    torch.testing.assert_close(one.prior(one.encode).log_prob(z), two.prior(two.encode).log_prob(z))


def test_exemplars_are_binary_where_the_encoder_sees_binary_images():
    grey = data.from_arrays(np.random.default_rng(0).random((60, 6)), name="grey")
    given = replace(grey, binarize="dynamic")
    exemplars = recipes.build("vae", given, **SMALL).model.prior.exemplars
    assert set(exemplars.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("n", [30, 2000])
def test_by_default_they_are_all_training_rows_or_a_thousand(n: int):
    given = data.from_arrays(squares(n), name="rows")
    recipe = recipes.build("vae", given, **SMALL)
    assert recipe.recipe.n_exemplars == min(len(given.train), 1000)
    assert recipes.build("vae", given).recipe.n_exemplars is None


# -- learning, and bad input


def test_it_trains_and_is_read_from_its_folder(tmp_path):
    torch.set_default_dtype(torch.float32)
    given = data.from_arrays(squares(200), name="rows")
    recipe = recipes.build("vae", given, **SMALL, n_exemplars=20, seed=0)
    exemplars = recipe.model.prior.exemplars.clone()
    quick = {"max_epochs": 2, "batch_size": 32, "progress": False}
    done = mixvae.fit(recipe, given, out=tmp_path / "run", **quick)
    again = mixvae.load(tmp_path / "run").recipe.model.prior
    assert torch.equal(again.exemplars.cpu(), exemplars)
    assert torch.equal(again.log_scale, done.recipe.model.prior.log_scale)
    assert again.log_scale != 0


def test_more_exemplars_than_training_rows_are_an_error():
    given = data.from_arrays(squares(30), name="rows")
    with pytest.raises(MixvaeError, match=r"29 exemplars cannot be chosen from .* n_exemplars"):
        recipes.build("vae", given, **SMALL, n_exemplars=29)


def test_examples_of_another_shape_are_an_error():
    with pytest.raises(MixvaeError, match=r"shape \(2,\) of one x; got examples of shape \(3,\)"):
        made().start_from(torch.zeros(9, 3))


def test_a_batch_of_one_row_is_an_error():
    with pytest.raises(MixvaeError, match="two rows or more"):
        made().leave_one_out(diagonal_normal(torch.zeros(1, 1, L), torch.ones(1, 1, L)))


def test_sizes_are_checked():
    with pytest.raises(MixvaeError, match="n_exemplars must be at least 1; got 0"):
        ExemplarPrior((L,), 0)

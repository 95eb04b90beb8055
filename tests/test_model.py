"""What a model does besides being trained: encode, reconstruct, sample."""

import pytest
import torch

from cases import CASES, Case
from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.objectives import mixture_bound
from mixvae.parts.posteriors import NormalPosterior

pytestmark = pytest.mark.usefixtures("maths")


def constant_components(case: Case, levels: list[float]) -> MixtureVAE:
    """A model whose component k decodes every code to an image of one level."""
    model = case.build().model
    branch = model.decoder.branch if case.recipe == "mixture-vae" else model.decoder.branch[0]
    last = branch.body[-1]
    last.weight.data.zero_()
    last.bias.data.copy_(torch.tensor(levels).logit()[:, None].expand_as(last.bias))
    return model


def test_shapes_in_signatures_are_checked_while_tests_run():
    import jaxtyping

    posterior = NormalPosterior(n_features=5, n_latent=2, n_components=3)
    with pytest.raises(jaxtyping.TypeCheckError, match="B K H"):
        posterior(torch.zeros(3, 5))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_encoding_gives_the_mixture_of_the_components_posteriors(case):
    model, x, y = case.build().model, case.data(), case.labels(case.data())
    q_z, q_w = model.infer(x, y)
    z = q_z.sample()[:, -1]
    encoded = model.encode(x, y)
    assert (encoded.batch_shape, encoded.event_shape) == ((len(x),), z.shape[1:])
    if hasattr(q_z, "rsample_and_log_prob"):  # knows the density of its own samples alone
        with pytest.raises(MixvaeError, match="own samples"):
            encoded.log_prob(z)
    elif not model.is_deterministic:
        density = (q_w.mean * q_z.log_prob(z[:, None]).exp()).sum(-1)
        torch.testing.assert_close(encoded.log_prob(z), density.log())
    torch.testing.assert_close(encoded.mean, (q_w.mean[..., None] * q_z.mean).sum(1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_mean_trace_has_codes_and_weights_at_their_means(case):
    model, x, y = case.build().model, case.data(), case.labels(case.data())
    q_z, q_w = model.infer(x, y)
    t = model.mean_trace(x, y)
    torch.testing.assert_close(t.z, q_z.mean[None])
    torch.testing.assert_close(t.w, q_w.mean[None])


def test_an_m_vae_reconstructs_with_its_weights_mean():
    model, x = constant_components(Case("m-vae"), [0.1, 0.5, 0.9]), Case("m-vae").data()
    weights = model.infer(x)[1].mean
    expected = weights @ torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(model.reconstruct(x)[:, 0, 1, 2], expected)
    torch.testing.assert_close(
        model.reconstruct_each(x)[:, :, 0, 1, 2], torch.tensor([0.1, 0.5, 0.9]).expand(6, 3)
    )


@pytest.mark.parametrize("combine", ["mixture", "expected"])
def test_components_kept_apart_reconstruct_as_their_blend_would(combine):
    """The mean of a mixture is the blend of its means."""
    x = Case("m-vae").data()
    blended, apart = Case("m-vae").build().model, Case("m-vae").build(combine=combine).model
    state = blended.state_dict()
    apart.load_state_dict({k.replace("branch.0.", "branch."): v for k, v in state.items()})
    torch.testing.assert_close(apart.reconstruct(x), blended.reconstruct(x))
    torch.testing.assert_close(apart.reconstruct_each(x), blended.reconstruct_each(x))


def test_an_exact_mixture_reconstructs_with_its_responsibilities():
    case = Case("mixture-vae")
    model, x = constant_components(case, [0.1, 0.5, 0.9]), case.data()
    t = model.mean_trace(x)
    expected = model.family.responsibilities(t) @ torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(model.reconstruct(x)[:, 0, 1, 2], expected)


def test_an_mvae_component_reconstructs_as_the_whole_with_all_the_weight_on_it():
    model, x = Case("mvae").build().model, Case("mvae").data()
    t, each = model.mean_trace(x), model.reconstruct_each(x)
    for k in range(3):
        one_hot = torch.eye(3)[k].expand(1, len(x), 3)
        torch.testing.assert_close(model.decoder(t.z, one_hot).mean[0, :, 0], each[:, k])


def test_an_exact_mixture_samples_its_components_by_their_proportions():
    """4,000 draws; four standard errors."""
    model = constant_components(Case("mixture-vae"), [0.1, 0.5, 0.9])
    model.weights.logits.data.copy_(torch.tensor([0.6, 0.3, 0.1]).log())
    pixel = model.sample(4000)[:, 0, 1, 2]
    for level, share in ((0.1, 0.6), (0.5, 0.3), (0.9, 0.1)):
        found = torch.isclose(pixel, torch.tensor(level)).double().mean()
        assert abs(found - share) < 4 * (share * (1 - share) / 4000) ** 0.5


def test_a_blend_samples_weights_from_their_prior():
    """4,000 draws of sum_k w_k m_k, w uniform on the simplex: its mean is that of the levels."""
    levels = torch.tensor([0.1, 0.4, 0.9])
    pixel = constant_components(Case("m-vae"), levels.tolist()).sample(4000)[:, 0, 1, 2]
    variance = (levels.square().mean() - levels.mean() ** 2) / 4  # K b0 + 1 = 4
    assert abs(pixel.mean() - levels.mean()) < 4 * (variance / 4000) ** 0.5
    torch.testing.assert_close(pixel.var(), variance, rtol=0.1, atol=0)


@pytest.mark.parametrize("case", [Case("m-vae"), Case("mixture-vae")], ids=str)
def test_one_component_is_sampled_by_itself(case):
    model = constant_components(case, [0.1, 0.5, 0.9])
    for k, level in enumerate([0.1, 0.5, 0.9]):
        torch.testing.assert_close(model.sample(3, k), torch.full((3, 1, 3, 4), level))


@pytest.mark.parametrize("component", [-1, 3])
def test_sampling_a_component_that_does_not_exist_is_an_error(component):
    with pytest.raises(MixvaeError, match=rf"component must be in 0 ... 2.*got {component}\."):
        Case("m-vae").build().model.sample(2, component)


def test_codes_are_drawn_from_their_posteriors():
    """20,000 draws; four standard errors of the mean, and 3% of the variance."""
    model, x = Case("m-vae").build().model, Case("m-vae").data(2)
    with torch.no_grad():
        t = model(x, 20_000)
    error = t.q_z.variance.sqrt() / 20_000**0.5
    assert ((t.z.mean(0) - t.q_z.mean).abs() < 4 * error).all()
    torch.testing.assert_close(t.z.var(0), t.q_z.variance, rtol=0.05, atol=0)
    torch.testing.assert_close(t.w.mean(0), t.q_w.mean, rtol=0.03, atol=0)


def test_a_mixture_trained_on_two_kinds_of_image_gives_each_a_component():
    """The whole loop, without a trainer: black and white images part within 150 steps."""
    torch.manual_seed(0)
    recipe = Case("mixture-vae", {"n_components": 2}).build()
    x = torch.cat([torch.zeros(8, 1, 3, 4), torch.ones(8, 1, 3, 4)])
    optimizer = torch.optim.Adam(recipe.model.parameters(), 0.02)
    before = sum(mixture_bound(recipe.model(x, 20)).values()).mean()
    for _ in range(150):
        optimizer.zero_grad()
        loss = -sum(recipe.objective(recipe.model, x).values())
        loss.backward()
        optimizer.step()
    t = recipe.model(x, 50)
    assert before < -7  # about 12 log 2
    assert sum(mixture_bound(t).values()).mean() > -1.5  # at best log 1/2
    assert (recipe.model.reconstruct(x) - x).abs().max() < 0.2

"""What is done with the codes of a trained model."""

import pytest
import torch

from cases import FLAT, Case
from mixvae.errors import MixvaeError
from mixvae.evaluation import responsibilities
from mixvae.evaluation.latent_operations import (
    codes,
    cross_decode,
    interpolate,
    pairs,
    scales,
    traverse,
)

pytestmark = pytest.mark.usefixtures("maths")
JOINT = [
    Case("m-vae"),
    Case("m-vae", {"combine": "mixture"}),
    Case("mvae", x_shape=FLAT),
    Case("mvae", {"conditional": True, "n_classes": 3}),
    Case("mvae-gs"),
    Case("mvae-gau", {"conditional": True, "n_classes": 2}, FLAT),
]
MIXTURES = [*JOINT, Case("mixture-vae")]
SINGLE = [Case("vae"), Case("mixture-vae", {"n_components": 1})]
CONDITIONAL = Case("mvae", {"conditional": True, "n_classes": 3})


def given(case, n=6):
    """A model in training mode, x, and their classes if it is conditional."""
    x = case.data(n)
    return case.build().model.train(), x, case.labels(x)


def dropping(*dropped):
    """An mvae-gs without some of its components."""
    model, x, _ = given(Case("mvae-gs"))
    model.dropout.logits.data = torch.tensor([3.0 if k in dropped else -2.0 for k in range(3)])
    return model, x


def rolled(model, x, y, order):
    """What the mixture makes of codes in another order, the weights being left."""
    model.eval()
    z = codes(model, x, y)[:, order]
    r = responsibilities(model, x, y)
    mean = model.decode(z[None], r[None], y).mean[0]
    if mean.shape[1] == 1:
        return mean.squeeze(1)
    return torch.einsum("bk,bk...->b...", r, mean)


@pytest.mark.parametrize("case", [*MIXTURES, *SINGLE], ids=str)
def test_codes_and_scales_are_the_posteriors_moments_whatever_the_batches(case):
    model, x, y = given(case)
    q_z, _ = model.infer(x, y)
    torch.testing.assert_close(codes(model, x, y, batch_size=4), q_z.mean)
    torch.testing.assert_close(scales(model, x, y, batch_size=4), q_z.stddev)


@pytest.mark.parametrize("case", [*MIXTURES, *SINGLE], ids=str)
def test_every_sub_decoder_fed_with_its_own_code_reconstructs(case):
    model, x, y = given(case)
    crossed = cross_decode(model, x, y)
    own = torch.stack([crossed[:, k, k] for k in range(crossed.shape[1])], 1)
    torch.testing.assert_close(own, model.eval().reconstruct_each(x, y))


@pytest.mark.parametrize("case", MIXTURES, ids=str)
def test_row_i_of_the_crossed_is_what_all_sub_decoders_make_of_code_i(case):
    model, x, y = given(case)
    crossed, mu = cross_decode(model, x, y), codes(model, x, y)
    for i in range(3):
        z = mu[:, i : i + 1].expand_as(mu)
        torch.testing.assert_close(crossed[:, i], model.decode_each(z[None], y).mean[0])


@pytest.mark.parametrize("case", [*MIXTURES, *SINGLE], ids=str)
def test_an_interpolation_begins_and_ends_with_the_reconstructions(case):
    model, x, y = given(case)
    start, end = x, x.flip(0)
    y = None if y is None else torch.zeros_like(y)
    path = interpolate(model, start, end, 4, y=y)
    model.eval()
    assert len(path) == 4
    torch.testing.assert_close(path[0], model.reconstruct(start, y))
    torch.testing.assert_close(path[-1], model.reconstruct(end, y))


@pytest.mark.parametrize("case", [*MIXTURES, *SINGLE], ids=str)
def test_the_middle_of_an_interpolation_decodes_mean_codes_and_mean_weights(case):
    model, x, y = given(case)
    start, end = x[:3], x[3:]
    y = None if y is None else y[:3]
    middle = interpolate(model, start, end, 3, y=y)[1]
    z = (codes(model, start, y) + codes(model, end, y)) / 2
    r = (responsibilities(model, start, y) + responsibilities(model, end, y)) / 2
    mean = model.decode(z[None], r[None], y).mean[0]  # (B, K or 1, *X)
    weights = r if mean.shape[1] == r.shape[1] else torch.ones(3, 1)
    torch.testing.assert_close(middle, torch.einsum("bk,bk...->b...", weights, mean))


@pytest.mark.parametrize("case", MIXTURES, ids=str)
@pytest.mark.parametrize(("shift", "order"), [(1, [1, 2, 0]), (2, [2, 0, 1]), (-1, [2, 0, 1])])
def test_a_shift_gives_each_sub_decoder_a_later_encoders_code(case, shift, order):
    model, x, y = given(case)
    made = interpolate(model, x, x, 2, shift=shift, y=y)[0]
    torch.testing.assert_close(made, rolled(model, x, y, order))
    assert not torch.allclose(made, model.reconstruct(x, y))


@pytest.mark.parametrize("case", [*MIXTURES, *SINGLE], ids=str)
def test_a_shift_once_round_changes_nothing(case):
    model, x, y = given(case)
    plain = interpolate(model, x, x, 3, y=y)
    assert torch.equal(interpolate(model, x, x, 3, shift=model.n_components, y=y), plain)


def test_a_shift_goes_round_among_the_kept_components():
    model, x = dropping(1)
    made = interpolate(model, x, x, 2, shift=1)[0]
    torch.testing.assert_close(made, rolled(model, x, None, [2, 1, 0]))
    assert torch.equal(interpolate(model, x, x, 2, shift=2), interpolate(model, x, x, 2))


@pytest.mark.parametrize("shift", [0, 1])
def test_a_dropped_component_takes_no_part_in_an_interpolation(shift):
    model, x = dropping(1)
    before = interpolate(model, x, x.flip(0), shift=shift)
    for part in (model.trunk, model.posterior, model.decoder.branch):
        for parameter in part.parameters():
            parameter.data[1] += 1.0
    torch.testing.assert_close(interpolate(model, x, x.flip(0), shift=shift), before)


@pytest.mark.parametrize("case", [*MIXTURES, *SINGLE], ids=str)
def test_a_latent_left_where_it_is_leaves_the_reconstructions(case):
    model, x, y = given(case, 1)
    component = model.n_components - 1
    value = [float(codes(model, x, y)[0, component, 1])]
    alone = traverse(model, x, component, 1, value, y)
    together = traverse(model, x, component, 1, value, y, alone=False)
    model.eval()
    torch.testing.assert_close(alone[0], model.reconstruct_each(x, y)[:, component])
    torch.testing.assert_close(together[0], model.reconstruct(x, y))


@pytest.mark.parametrize("case", MIXTURES, ids=str)
def test_a_traversal_moves_one_latent_of_one_component_and_no_other(case):
    model, x, y = given(case)
    values = torch.tensor([-2.0, 0.5, 3.0])
    alone, mu = traverse(model, x, 2, 0, values, y), codes(model, x, y)
    together = traverse(model, x, 2, 0, values, y, alone=False)
    for t, value in enumerate(values):
        z = mu.clone()
        z[:, 2, 0] = value
        torch.testing.assert_close(alone[t], model.decode_each(z[None], y).mean[0, :, 2])
        r = responsibilities(model, x, y)
        mean = model.decode(z[None], r[None], y).mean[0]
        expected = mean.sum(1) if mean.shape[1] == 1 else torch.einsum("bk,bk...->b...", r, mean)
        torch.testing.assert_close(together[t], expected)


def test_a_dropped_components_latents_do_not_reach_the_mixture():
    model, x = dropping(0)
    made = traverse(model, x, 0, 1, [-3.0, 3.0], alone=False)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(*traverse(model, x, 0, 1, [-3.0, 3.0]))


@pytest.mark.parametrize("case", [CONDITIONAL, Case("mvae-gs"), Case("mixture-vae")], ids=str)
def test_the_model_is_left_as_it_came_and_nothing_is_random(case):
    model, x, y = given(case)
    state = torch.get_rng_state()
    first, again = (interpolate(model, x, x.flip(0), y=y) for _ in range(2))
    assert torch.equal(first, again)
    assert model.training
    assert not first.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: codes(m, x, batch_size=2),
        cross_decode,
        lambda m, x: interpolate(m, x, x.flip(0)).flatten(0, 1),
        lambda m, x: traverse(m, x, 1, 0, [1.0])[0],
    ],
    ids=["codes", "cross_decode", "interpolate", "traverse"],
)
def test_batch_normalisation_neither_reads_nor_learns_from_the_data(call):
    options = {"network": "conv", "norm": "batch", "channels": [4, 4], "hidden": [8]}
    model = Case("m-vae", options).build((1, 8, 8)).model.train()
    x = torch.rand(6, 1, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.testing.assert_close(call(model, x), call(model.eval(), x))
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_classes_matter_to_a_conditional_model_and_reach_no_other():
    model, x, y = given(CONDITIONAL)
    other = (y + 1) % 3
    assert not torch.allclose(cross_decode(model, x, y), cross_decode(model, x, other))
    plain = given(Case("mvae"))[0]
    assert torch.equal(cross_decode(plain, x, y), cross_decode(plain, x))


# Pairs to interpolate between


def test_pairs_follow_the_data():
    model, x, _ = given(Case("mvae"), 7)
    start, end, y = pairs(model, x, n=2)
    assert torch.equal(start, x[[0, 2]])
    assert torch.equal(end, x[[1, 3]])
    assert y is None
    assert len(pairs(model, x, n=50)[0]) == 3
    assert len(pairs(model, x[:1])[0]) == 0


def test_pairs_for_a_conditional_model_are_of_one_class_and_classes_take_turns():
    model, x, _ = given(CONDITIONAL, 9)
    y = torch.tensor([2, 0, 2, 0, 0, 0, 1, 2, 2])
    start, end, classes = pairs(model, x, y, n=3)
    assert classes.tolist() == [0, 2, 0]
    assert torch.equal(start, x[[1, 0, 4]])
    assert torch.equal(end, x[[3, 2, 5]])


# What cannot be done


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: interpolate(m, x, x, 1), "n_steps must be at least 2; got 1"),
        (lambda m, x: interpolate(m, x, x[:2]), r"as many x of one shape; got \(6, 1, 3, 4\) and"),
        (lambda m, x: interpolate(m, x.mT, x.mT), r"\(N, 1, 3, 4\).* got \(6, 1, 4, 3\)"),
        (lambda m, x: codes(m, x[0]), r"\(N, 1, 3, 4\).* got \(1, 3, 4\)"),
        (lambda m, x: codes(m, x[:0]), r"N at least 1; got \(0, 1, 3, 4\)"),
        (lambda m, x: cross_decode(m, x.flatten(1)), r"\(N, 1, 3, 4\).* got \(6, 12\)"),
        (lambda m, x: traverse(m, x, 3, 0, [0.0]), r"component must be in 0 \.\.\. 2"),
        (lambda m, x: traverse(m, x, 0, 2, [0.0]), r"latent must be in 0 \.\.\. 1.* got 2"),
        (lambda m, x: traverse(m, x, 0, -1, [0.0]), r"latent must be in 0 \.\.\. 1.* got -1"),
        (lambda m, x: traverse(m, x, 0, 0, []), "n_values must be at least 1"),
        (lambda m, x: codes(m, x, torch.zeros(2, dtype=torch.int64)), "each of the 6 x; got 2"),
        (lambda m, x: pairs(m, x, n=0), "n must be at least 1"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_used_is_refused(call, message):
    model, x, _ = given(Case("mvae"))
    with pytest.raises(MixvaeError, match=message):
        call(model, x)


def test_missing_and_unseen_classes_are_refused_by_the_model():
    model, x, y = given(CONDITIONAL)
    for call in (codes, cross_decode):
        with pytest.raises(MixvaeError, match="give y, the class of each x"):
            call(model, x)
        with pytest.raises(MixvaeError, match="was given 3, which it has never seen"):
            call(model, x, y + 1)


def test_scales_without_closed_form_are_nan() -> None:
    case = Case("sb-vae", x_shape=FLAT)
    assert scales(case.build().model, case.data(5)).isnan().all()

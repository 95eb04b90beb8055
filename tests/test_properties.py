"""What holds of every recipe in ``cases.CASES`` and of every part in ``cases.PARTS``."""

import io
import json
from collections.abc import Callable, Sequence
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from cases import CASES, COLOUR, FLAT, IMAGE, LARGER, PARTS, Case, Part, mean_trace
from mixvae import recipes
from mixvae.families import MixturePosterior
from mixvae.likelihoods import LikelihoodName
from mixvae.model import MixtureVAE
from mixvae.nn.layers import StackedLayer
from mixvae.nn.networks import NetworkName, Norm
from mixvae.objectives import Terms
from mixvae.parts.component_dropout import ComponentDropout
from mixvae.parts.factor_analysers import ComponentMLP, FactorAnalysers
from mixvae.parts.flows import ComponentFlowPrior
from mixvae.parts.posteriors import OneHotPosterior
from mixvae.parts.priors import ComponentMixturePrior
from mixvae.parts.weights import (
    CategoricalWeights,
    DirichletWeights,
    SharedStickWeights,
    StickWeights,
    TwoLayerWeights,
)
from mixvae.recipes import BuiltRecipe
from mixvae.recipes.aggregated import EncoderName, KernelName
from mixvae.recipes.joint import Concentration
from mixvae.recipes.m_vae import Combine

pytestmark = pytest.mark.usefixtures("maths")
every_case = pytest.mark.parametrize("case", CASES, ids=str)
# The median heuristic, and LARS's normaliser in evaluation, are held fixed in the gradient, on
# purpose; the gradient of log Z is sampled.
smooth = [
    c
    for c in CASES
    if c.options.get("bandwidth", "gaussian") is not None
    and c.options.get("prior") != "lars"
    and c.recipe != "discrete-vae"
]
every_smooth_case = pytest.mark.parametrize("case", smooth, ids=str)
every_part = pytest.mark.parametrize("part", PARTS, ids=str)


def objective(case: Case, recipe: BuiltRecipe, x: Tensor, seed: int = 1) -> Terms:
    torch.manual_seed(seed)
    return recipe.objective(recipe.model, x, y=case.labels(x))


def copy_state(source: nn.Module, target: nn.Module) -> None:
    """Save and load as users do, with nothing unpickled."""
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    target.load_state_dict(torch.load(file, weights_only=True))


def per_component(model: MixtureVAE) -> dict[str, nn.Parameter]:
    """The parameters with a leading component axis."""
    kinds = StackedLayer | OneHotPosterior | CategoricalWeights | ComponentDropout
    kinds |= FactorAnalysers | ComponentMLP | ComponentMixturePrior | ComponentFlowPrior
    layers = {n: m for n, m in model.named_modules() if isinstance(m, kinds)}
    named = {f"{n}.{p}": value for n, m in layers.items() for p, value in m.named_parameters()}
    # Not a shared rate, nor a network that all components share: a stack of one.
    return {n: p for n, p in named.items() if p.dim() and len(p) == model.n_components}


def in_range(means: Tensor, recipe: BuiltRecipe) -> bool:
    """Means of pixels are in (0, 1), of other values finite."""
    pixels = recipe.model.decoder.likelihood.has_levels
    return bool(((means > 0) & (means < 1) if pixels else means.isfinite()).all())


def has_an_order(case: Case) -> bool:
    greedy = case.options.get("bound") == "matched" and "matching" not in case.options
    sticks = StickWeights | TwoLayerWeights | SharedStickWeights
    return greedy or isinstance(case.build().model.weights, sticks)


# -- the lists themselves


def test_the_cases_cover_every_recipe_and_every_choice():
    def seen(option: str) -> set:
        built = [recipes.RECIPES[c.recipe](**c.options).resolve().options() for c in CASES]
        return {options[option] for options in built if option in options}

    assert {c.recipe for c in CASES} == set(recipes.RECIPES)
    assert {c.x_shape for c in CASES} == {IMAGE, FLAT, LARGER, COLOUR}
    assert seen("network") == set(get_args(NetworkName))
    assert seen("norm") == set(get_args(Norm))
    assert seen("likelihood") == set(get_args(LikelihoodName))
    assert seen("combine") == set(get_args(Combine))
    names = {value for value in seen("concentration") if isinstance(value, str)}  # sticks': numbers
    assert names == set(get_args(Concentration))
    assert seen("kl_reduction") == {"mean", "sum"}
    assert seen("encoder") == set(get_args(EncoderName))
    assert seen("kernel") == set(get_args(KernelName))


# -- every recipe


@every_case
def test_every_parameter_of_every_component_learns(case: Case):
    recipe = case.build()
    for seed in range(1 if recipe.model.sampler is None else 8):  # each draws some components
        sum(objective(case, recipe, case.data(), seed + 1).values()).backward()
    stacked = per_component(recipe.model)
    for name, p in recipe.model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        if recipe.n_components == 1 and name.startswith("weights."):
            continue  # one component has all the weight, whatever its parameter
        rows = p.grad.flatten(1) if name in stacked and p.dim() > 1 else p.grad.reshape(1, -1)
        assert rows.any(1).all(), name


@every_case
def test_the_logged_terms_add_up_to_the_objective(case: Case):
    recipe, x = case.build(), case.data()
    terms = objective(case, recipe, x)
    torch.manual_seed(1)
    trace = recipe.model(x, recipe.objective.n_samples, case.labels(x))
    bound = sum(recipe.objective.bound(trace).values())
    assert bound.shape == (len(x),)
    penalties = sum(penalty(trace) for penalty in recipe.objective.penalties.values())
    assert all(term.dim() == 0 for term in terms.values())
    torch.testing.assert_close(sum(terms.values()), bound.mean() + penalties)


@pytest.mark.parametrize("case", [c for c in CASES if c.build().bound], ids=str)
def test_the_bound_is_the_mean_of_the_log_weight(case: Case):
    """A closed-form KL or a sampled one: the same on average.

    The log weight of a mixture posterior has its components inside the logarithm: it is tighter.
    """
    recipe, x = case.build(), case.data(2)
    torch.manual_seed(1)
    with torch.no_grad():
        trace = recipe.model(x, 4000, case.labels(x))
        bound, log_weight = sum(recipe.bound(trace).values()), trace.log_weight
    error = log_weight.std(0) / 4000**0.5
    difference = bound - log_weight.mean(0)
    if recipe.n_components == 1 or not isinstance(trace.family, MixturePosterior):
        difference = difference.abs()
    assert (difference <= 4 * error).all()


@every_case
def test_weights_sum_to_one(case: Case):
    model, x = case.build().model, case.data()
    trace = model(x, 4, case.labels(x))
    for w in (trace.w, trace.b, model.weights.generate(5), trace.family.responsibilities(trace)):
        torch.testing.assert_close(w.sum(-1), torch.ones(w.shape[:-1]))
        assert (w >= 0).all()


@every_case
def test_rows_do_not_interact(case: Case):
    """Only penalties may look across the batch, and batch norm and some priors in training."""
    recipe, x = case.build(), case.data(3)
    recipe.model.train(not case.rows_interact)
    y = case.labels(x)
    together = recipe.objective.bound(mean_trace(recipe.model, x, y))
    for i in range(3):
        its_y = None if y is None else y[i : i + 1]
        alone = recipe.objective.bound(mean_trace(recipe.model, x[i : i + 1], its_y))
        assert alone.keys() == together.keys()
        for name, term in alone.items():
            torch.testing.assert_close(term, together[name][i : i + 1])


@every_case
def test_a_code_is_decoded_the_same_in_any_company(case: Case):
    """No leak: neither the batch, nor the order, nor the other samples reach log p(x | z, w)."""
    model, x = case.build().model, case.data(3)
    y = case.labels(x)
    trace = model(x, 2, y)
    for s in range(2):
        for b in range(3):
            its_y = None if y is None else y[b : b + 1]
            alone = model.decode(trace.z[s, b][None, None], trace.b[s, b][None, None], its_y)
            torch.testing.assert_close(alone.log_prob(x[b])[0, 0], trace.log_lik[s, b])
    order = torch.tensor([2, 0, 1])
    moved = model.decode(trace.z[:, order], trace.b[:, order], None if y is None else y[order])
    torch.testing.assert_close(moved.mean, trace.p_x.mean[:, order])


@pytest.mark.parametrize("case", [c for c in CASES if not has_an_order(c)], ids=str)
def test_components_can_be_renumbered(case: Case):
    """But for broken sticks, which have an order, and for greed, which breaks ties by it."""
    recipe, x = case.build(), case.data()
    before = mean_trace(recipe.model, x, case.labels(x))
    objective_of = recipe.objective
    terms = objective_of.bound(before)
    torch.manual_seed(1)  # a penalty may sample the prior
    penalties = [penalty(before) for penalty in objective_of.penalties.values()]
    order = torch.arange(recipe.n_components).roll(1)
    for p in per_component(recipe.model).values():
        p.data = p.data[order] + 0.0
    after = mean_trace(recipe.model, x, case.labels(x))
    torch.testing.assert_close(after.z, before.z[:, :, order])
    for name, term in objective_of.bound(after).items():
        torch.testing.assert_close(term, terms[name])
    torch.manual_seed(1)
    for penalty, value in zip(objective_of.penalties.values(), penalties, strict=True):
        torch.testing.assert_close(penalty(after), value)


@every_case
def test_state_survives_a_round_trip(case: Case):
    one, other, x = case.build(seed=0), case.build(seed=1), case.data()
    assert sum(objective(case, one, x).values()) != sum(objective(case, other, x).values())
    copy_state(one.model, other.model)
    assert objective(case, one, x) == objective(case, other, x)


@every_case
def test_a_recipe_is_rebuilt_from_its_json(case: Case):
    one = case.build()
    said = json.loads(json.dumps(one.to_dict()))
    torch.manual_seed(0)
    other = recipes.build(said["recipe"], said["x_shape"], **said["options"])
    other.model.train(one.model.training)
    assert other.to_dict() == one.to_dict()
    assert objective(case, one, case.data()) == objective(case, other, case.data())


@every_case
def test_the_seed_decides_every_draw(case: Case):
    recipe, x = case.build(), case.data()
    assert objective(case, recipe, x) == objective(case, recipe, x)
    assert objective(case, recipe, x) != objective(case, recipe, x, seed=2)


@every_smooth_case
def test_the_objective_has_the_gradient_that_it_says(case: Case):
    """Finite differences along one random direction."""
    recipe, x = case.build(), case.data()
    # Draws of a Dirichlet or a Beta have implicit gradients: right on average, not the slope of one
    # fixed draw.
    implicit = isinstance(recipe.model.weights, DirichletWeights | SharedStickWeights)
    fixed = ("weights.", "trunk.") if implicit else ()
    moved = [p for n, p in recipe.model.named_parameters() if not n.startswith(fixed)]
    assert_gradient_is_the_slope(lambda: sum(objective(case, recipe, x).values()), moved)


@every_smooth_case
def test_the_objective_at_the_means_has_the_gradient_that_it_says(case: Case):
    """The same without draws, so that the encoders and the Dirichlet's parameters take part."""
    recipe, x = case.build(), case.data()
    gated = recipe.options.get("network", "mlp").startswith(
        "gated"
    )  # there the scale enters twice a layer
    with torch.no_grad():
        for p in recipe.model.trunk.parameters():
            # Codes that differ: the root of dHSIC has no slope where they hardly do.
            p *= 2 if gated else 3

    def value() -> Tensor:
        torch.manual_seed(1)  # a penalty may sample the prior
        trace = mean_trace(recipe.model, x, case.labels(x))
        penalties = sum(penalty(trace) for penalty in recipe.objective.penalties.values())
        return sum(recipe.objective.bound(trace).values()).mean() + penalties

    assert_gradient_is_the_slope(value, list(recipe.model.parameters()))


def assert_gradient_is_the_slope(f: Callable[[], Tensor], moved: Sequence[nn.Parameter]) -> None:
    direction = [torch.randn_like(p) for p in moved]
    gradients = torch.autograd.grad(f(), moved)
    analytic = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))

    @torch.no_grad()
    def at(step: float) -> Tensor:
        for p, d in zip(moved, direction, strict=True):
            p += step * d
        value = f()
        for p, d in zip(moved, direction, strict=True):
            p -= step * d
        return value

    numeric = (at(1e-6) - at(-1e-6)) / 2e-6
    torch.testing.assert_close(analytic, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "case", [c for c in CASES if not {"network", "pixelcnn", "columns"} & c.options.keys()], ids=str
)
def test_an_image_and_its_pixels_in_a_row_give_the_same_numbers(case: Case):
    image, flat, x = case.build(IMAGE), case.build(FLAT, seed=1), case.data()
    shapes = {name: p.shape for name, p in flat.model.state_dict().items()}  # pseudo-inputs are x
    state = {name: p.reshape(shapes[name]) for name, p in image.model.state_dict().items()}
    flat.model.load_state_dict(state)
    one = objective(case, image, x.reshape(-1, *IMAGE))
    other = objective(case, flat, x.reshape(-1, *FLAT))
    torch.testing.assert_close(one, other)


@every_case
def test_reconstructions_are_in_range(case: Case):
    recipe, x = case.build(), case.data()
    y = case.labels(x)
    together, each = recipe.model.reconstruct(x, y), recipe.model.reconstruct_each(x, y)
    assert together.shape == x.shape
    assert each.shape == (len(x), recipe.n_components, *case.x_shape)
    for means in (together, each):
        assert in_range(means, recipe)
    if recipe.n_components == 1:
        torch.testing.assert_close(together, each[:, 0])


@every_case
def test_a_reconstruction_is_deterministic_and_follows_its_row(case: Case):
    model, x = case.build().model, case.data()
    y, order = case.labels(x), torch.arange(len(x)).flip(0)
    moved_y = None if y is None else y[order]
    for reconstruct in (model.reconstruct, model.reconstruct_each):
        torch.testing.assert_close(reconstruct(x, y)[order], reconstruct(x[order], moved_y))


@every_case
def test_samples_are_in_range(case: Case):
    recipe = case.build()
    for component in (None, 0, recipe.n_components - 1):
        x = recipe.model.sample(7, component, case.labels(torch.zeros(7)))
        assert x.shape == (7, *case.x_shape)
        if recipe.model.decoder.likelihood.autoregressive:
            assert ((x == 0) | (x == 1)).all()  # draws, of binary pixels
        else:
            assert in_range(x, recipe)
        assert len(x.unique(dim=0)) == 7


@every_case
def test_saturated_networks_keep_every_number_finite(case: Case):
    torch.set_default_dtype(torch.float32)
    recipe = case.build()
    with torch.no_grad():
        for p in recipe.model.parameters():
            p *= 20
    terms = objective(case, recipe, case.data())
    assert all(term.isfinite() for term in terms.values()), terms
    sum(terms.values()).backward()
    for name, p in recipe.model.named_parameters():
        assert p.grad.isfinite().all(), name


@every_case
def test_bfloat16_autocast_leaves_the_terms_in_float32(case: Case):
    torch.set_default_dtype(torch.float32)
    recipe, x = case.build(), case.data()
    with torch.autocast("cpu", torch.bfloat16):
        half = recipe.objective.bound(mean_trace(recipe.model, x, case.labels(x)))
    full = recipe.objective.bound(mean_trace(recipe.model, x, case.labels(x)))
    for name, term in half.items():
        assert term.dtype == torch.float32, name
        torch.testing.assert_close(term, full[name], rtol=0.02, atol=0.1)


# -- every part


@every_part
def test_a_part_returns_the_distribution_that_its_slot_asks_for(part: Part):
    p = part.call(part.build(), part.rows(4))
    batch = tuple(4 if n is None else n for n in part.batch)
    assert (p.batch_shape, p.event_shape) == (batch, part.event)
    assert p.mean.shape == p.sample().shape == batch + part.event
    assert p.mean.isfinite().all()


@pytest.mark.parametrize("part", [p for p in PARTS if [*p.build().parameters()]], ids=str)
def test_every_parameter_of_a_part_learns(part: Part):
    module = part.build()
    p = part.call(module, part.rows())
    draw = p.rsample() if p.has_rsample else p.log_prob(p.sample())
    (draw - torch.rand(draw.shape)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("part", [p for p in PARTS if None in p.batch], ids=str)
def test_rows_of_a_part_do_not_interact(part: Part):
    module, rows, axis = part.build(), part.rows(), part.batch.index(None)
    together = part.call(module, rows).mean
    for i in range(len(rows)):
        alone = part.call(module, rows[i : i + 1]).mean
        torch.testing.assert_close(alone, together.narrow(axis, i, 1))


@every_part
def test_the_state_of_a_part_survives_a_round_trip(part: Part):
    one, other = part.build(seed=0), part.build(seed=1)
    for p in one.parameters():
        p.data += 0.1
    copy_state(one, other)
    torch.testing.assert_close(part.call(one, part.rows()).mean, part.call(other, part.rows()).mean)


@every_part
def test_a_part_takes_half_precision_to_full(part: Part):
    """Densities are never taken in half precision, whatever the autocast left."""
    torch.set_default_dtype(torch.float32)
    module, rows = part.build(), part.rows()
    with torch.autocast("cpu", torch.bfloat16):
        half = part.call(module, rows.bfloat16())
    assert half.mean.dtype == torch.float32
    torch.testing.assert_close(half.mean, part.call(module, rows).mean, rtol=0.03, atol=0.03)

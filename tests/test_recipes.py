"""Recipes: their names, options, messages, documentation and sizes."""

import json
import re
from functools import partial

import numpy as np
import pytest
import torch

from cases import IMAGE, Case
from mixvae import recipes
from mixvae.cli import main
from mixvae.data import Dataset, Split
from mixvae.errors import MixvaeError
from mixvae.recipes import RECIPES, build, list_recipes, options_of

pytestmark = pytest.mark.usefixtures("unchecked")
every_recipe = pytest.mark.parametrize("name", RECIPES)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (partial(build, "mvea", IMAGE), "unknown recipe 'mvea'. Did you mean 'mvae'?"),
        (partial(build, "mixture", IMAGE), "Did you mean 'mixture-vae'?"),
        (
            partial(build, "zzz", IMAGE),
            f"Known: {', '.join(sorted(RECIPES))}.",
        ),
        (partial(build, "m-vae", IMAGE, n_componets=3), "Did you mean 'n_components'?"),
        (partial(build, "vae", IMAGE, n_components=3), "unknown option of vae 'n_components'"),
        (partial(build, "vae", ()), "x_shape must have at least one axis"),
        (partial(build, "vae", (1, 0, 4)), r"x_shape[1] must be at least 1; got 0"),
        (partial(build, "vae", IMAGE, n_latent=0), "n_latent must be at least 1; got 0"),
        (partial(build, "vae", IMAGE, n_latent=-2), "n_latent must be at least 1; got -2"),
        (partial(build, "vae", IMAGE, hidden=()), "hidden must name at least one width"),
        (partial(build, "vae", IMAGE, n_latent=2.5), "n_latent must be a whole number; got 2.5"),
        (partial(build, "vae", IMAGE, n_latent="4"), "n_latent must be a whole number; got '4'"),
        (partial(build, "vae", IMAGE, n_latent=True), "n_latent must be a whole number; got True"),
        (
            partial(build, "vae", IMAGE, hidden="8"),
            "hidden must be a list, such as [500, 500]; got '8'",
        ),
        (partial(build, "mvae", IMAGE, hidden="8"), "must be a whole number or a list; got '8'"),
        (partial(build, "mvae", IMAGE, beta_w="1"), "beta_w must be a number; got '1'"),
        (partial(build, "mvae", IMAGE, dhsic_root=1), "dhsic_root must be true or false; got 1"),
        (partial(build, "vae", 784), "the shape of one x, such as (1, 28, 28), or a Dataset"),
        (partial(build, "vae", torch.rand(5, 4)), "mixvae.data.from_arrays makes one); got Tensor"),
        (partial(build, "vae", IMAGE, hidden=(8, 0)), "hidden must be at least 1; got 0"),
        (partial(build, "vae", IMAGE, likelihood="gausian"), "Did you mean 'gaussian'?"),
        (partial(build, "beta-vae", IMAGE, beta_kl=-1.0), "beta_kl must be at least 0; got -1.0"),
        (partial(build, "iwae", IMAGE, n_samples=0), "n_samples must be at least 1; got 0"),
        (partial(build, "m-vae", IMAGE, n_components=0), "n_components must be at least 1; got 0"),
        (partial(build, "mvae", IMAGE, n_components=-1), "n_components must be at least 1; got -1"),
        (partial(build, "mvae", IMAGE, hidden=0), "hidden must be at least 1; got 0"),
        (partial(build, "mvae", IMAGE, n_latent=0), "n_latent must be at least 1; got 0"),
        (
            partial(build, "mixture-vae", IMAGE, n_components=0),
            "n_components must be at least 1; got 0",
        ),
        (partial(build, "mixture-vae", IMAGE, n_active=0), "n_active must be at least 1; got 0"),
        (
            partial(build, "mixture-vae", IMAGE, start="random", n_active=1),
            "needs start='split', as its gate is trained in pretraining alone; use n_active=2",
        ),
        (partial(build, "m-vae", IMAGE, combine="blended"), "unknown combine 'blended'"),
        (
            partial(build, "m-vae", IMAGE, concentration="normalized"),
            "Did you mean 'normalised'?",
        ),
        (partial(build, "mvae", IMAGE, kl_reduction="avg"), "unknown kl_reduction 'avg'"),
        (partial(build, "mvae", IMAGE, beta_kl=-1.0), "beta_kl must be at least 0; got -1.0"),
        (
            partial(build, "mvae", IMAGE, beta_w=float("nan")),
            "beta_w must be a finite number; got nan",
        ),
        (
            partial(build, "m-vae", IMAGE, beta_dhsic=-0.5),
            "beta_dhsic must be at least 0; got -0.5",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value.args[0]),
)
def test_what_cannot_be_used_is_named_with_its_value_and_the_way_out(call, said):
    with pytest.raises(MixvaeError, match=re.escape(said)):
        call()


@pytest.mark.parametrize("name", ["m-vae", "mvae"])
@pytest.mark.parametrize("bandwidth", ["median", -1.0, 0])
def test_a_bandwidth_that_cannot_be_used_is_refused_when_the_recipe_is_built(name, bandwidth):
    with pytest.raises(MixvaeError, match=r"bandwidth must be .*'gaussian'.* or "):
        build(name, IMAGE, bandwidth=bandwidth)


@every_recipe
def test_options_of_a_recipe_are_the_keywords_of_its_class(name):
    options = options_of(name)
    assert RECIPES[name](**options) == RECIPES[name]()
    with pytest.raises(TypeError):
        RECIPES[name](*options.values())


@every_recipe
def test_a_recipe_is_a_value_that_cannot_be_changed(name):
    recipe = RECIPES[name]()
    assert recipe == RECIPES[name]()
    assert hash(recipe) == hash(RECIPES[name]())
    with pytest.raises(AttributeError):
        recipe.n_latent = 3


@every_recipe
def test_a_recipe_documents_itself_and_each_option(capsys, name):
    """``--help`` is made of these."""
    said = list_recipes()[name]
    assert re.fullmatch(r"[A-Z].+\.", said)
    assert main(["recipes", name]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert said in text
    for key in options_of(name):  # --n-latent int Size L of the code.
        assert re.search(rf"--{key.replace('_', '-')} \S.*? [A-Z][a-z]+ ", text), key


def test_the_table_at_the_top_has_a_row_for_every_recipe_in_their_order():
    rows = re.findall(r"^([a-z-]+)  +[1K]  ", recipes.__doc__, flags=re.MULTILINE)
    assert rows == ["recipe", *RECIPES]  # under the head


def test_recipes_are_listed_with_their_first_line():
    listed = list_recipes()
    assert list(listed) == list(RECIPES)
    assert listed["vae"] == "The variational autoencoder."


def test_a_built_recipe_remembers_every_option_given_or_not():
    recipe = build("m-vae", [1, 3, 4], n_components=2, hidden=(8,))
    assert recipe.to_dict() == {
        "recipe": "m-vae",
        "x_shape": [1, 3, 4],
        "options": options_of("m-vae")
        | {"n_components": 2, "hidden": [8], "channels": list(options_of("m-vae")["channels"])}
        | {"likelihood": "bernoulli"},
    }
    assert recipe.x_shape == (1, 3, 4)
    assert recipe.n_components == 2
    assert build("vae", [4], hidden=(8,)).n_components == 1


def test_numbers_of_numpy_become_plain_ones():
    options = {"n_components": np.int64(2), "beta_kl": np.float32(0.5), "hidden": [np.int32(8)]}
    recipe = build("m-vae", np.array(IMAGE), **options)
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    assert recipe.options["beta_kl"] == 0.5


@pytest.mark.parametrize(
    ("levels", "expected"), [(2, "bernoulli"), (3, "binomial"), (256, "gaussian")]
)
def test_data_choose_the_likelihood_unless_it_is_given(levels, expected):
    x = torch.randint(levels, (6, *IMAGE)).float() / (levels - 1)
    data = Dataset("made up", *(Split(x),) * 3)
    recipe = build("vae", data, hidden=(8,))
    assert recipe.x_shape == IMAGE
    assert recipe.options["likelihood"] == expected
    assert recipe.options["n_trials"] == (2 if levels == 3 else None)
    given = build("vae", data, hidden=(8,), likelihood="squared-error")
    assert given.options["likelihood"] == "squared-error"
    assert given.options["n_trials"] is None


def test_a_binomial_likelihood_has_the_trials_that_are_given_or_those_of_the_data():
    x = torch.randint(5, (6, *IMAGE)).float() / 4
    data = Dataset("made up", *(Split(x),) * 3)
    built = build("m-vae", data, hidden=(8,), likelihood="binomial")
    assert built.model.decoder.likelihood.n_trials == built.options["n_trials"] == 4
    assert build("vae", data, hidden=(8,), n_trials=8).model.decoder.likelihood.n_trials == 8
    again = build("m-vae", IMAGE, **built.options)
    assert again.model.decoder.likelihood.n_trials == 4
    with pytest.raises(MixvaeError, match=r"likelihood binomial needs n_trials, .* such as 16"):
        build("vae", IMAGE, hidden=(8,), likelihood="binomial")


@pytest.mark.parametrize(
    ("name", "n_components", "millions"), [("m-vae", 4, 5.27), ("mvae", 6, 4.96)]
)
def test_the_papers_mnist_models_have_the_papers_number_of_parameters(name, n_components, millions):
    recipe = build(name, (1, 28, 28), n_components=n_components)
    assert recipe.n_parameters == pytest.approx(millions * 1e6, rel=0.01)


def test_the_papers_defaults_are_the_defaults():
    """MODELS.md, section 9."""
    for name in ("m-vae", "mvae"):
        options = options_of(name)
        assert options["kl_reduction"] == "mean"
        assert options["concentration"] == "free"
        assert options["bandwidth"] == "gaussian"
        assert (options["beta_kl"], options["beta_w"], options["beta_dhsic"]) == (1, 1, 1)
        assert options["dhsic_root"] is False
    assert options_of("m-vae")["combine"] == "blend"
    assert options_of("m-vae")["n_latent"] == 20
    assert options_of("mvae")["n_latent"] == 50


def test_an_mvae_has_the_papers_layers():
    """X → 500 ELU → 500 tanh; L → 500 tanh; 500 → 500 ELU → X."""
    model = build("mvae", IMAGE, n_components=2, hidden=8).model
    kinds = lambda net: [type(m).__name__ for m in net.modules() if not list(m.children())]
    assert kinds(model.trunk) == ["Flatten", "StackedLinear", "ELU", "StackedLinear", "Tanh"]
    assert kinds(model.decoder.branch) == ["StackedLinear", "Tanh"]
    assert kinds(model.decoder.head) == ["Linear", "ELU", "Linear"]


def test_decoders_mirror_the_encoders_widths():
    model = Case("m-vae").build().model
    widths = lambda net: [tuple(p.shape[1:]) for p in net.parameters() if p.dim() == 3]
    assert widths(model.trunk) == [(8, 12), (6, 8)]
    assert widths(model.decoder.branch) == [(6, 2), (8, 6), (12, 8)]


def test_no_layer_looks_across_the_batch():
    """Batch norm in a decoder would tell it which component or batch a code came from."""
    for name in RECIPES:
        kinds = {type(m).__name__ for m in Case(name).build().model.modules()}
        assert not any("Norm" in kind.replace("Normal", "") for kind in kinds), name


def test_an_array_in_place_of_a_choice_is_refused():
    with pytest.raises(MixvaeError, match="likelihood must be"):
        build("vae", (4,), likelihood=np.zeros((2, 2)))


def test_hidden_is_a_list_or_one_number_in_every_recipe():
    small = {"n_components": 2, "n_latent": 3}
    alone, listed = (build("m-vae", IMAGE, hidden=h, **small).model for h in (8, [8]))
    assert str(alone) == str(listed)
    both, one, two = (build("mvae", IMAGE, hidden=h, **small).model for h in (8, [8], [8, 8]))
    assert str(both) == str(one) == str(two)
    wide = build("mvae", IMAGE, hidden=[9, 8, 7], **small).model
    assert {p.shape[-1] for name, p in wide.named_parameters() if "bias" in name} >= {9, 8, 7}

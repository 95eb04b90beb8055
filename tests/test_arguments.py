"""Arguments of the wrong kind: a MixvaeError that says what to do, and none of Python's."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import mixvae
from mixvae import MixvaeError, evaluation, plots
from mixvae.data import Split, from_arrays
from mixvae.evaluation import latent_operations as operations
from mixvae.recipes import VAE

pytestmark = pytest.mark.usefixtures("unchecked")

DATA = from_arrays(np.random.default_rng(0).random((60, 4)).astype("float32"), np.arange(60) % 3)
RECIPE = mixvae.build("m-vae", DATA, n_components=2, n_latent=2, hidden=[8], seed=0)
MODEL, X = RECIPE.model, DATA.test.x
QUICK = {"max_epochs": 1, "batch_size": 8, "progress": False, "pictures": False, "precision": "32"}

WRONG = {
    "an array": X.numpy(),
    "a list": X.tolist(),
    "nothing": None,
    "a sparse tensor": X.to_sparse(),
    "float64": X.double(),
    "whole numbers": X.long(),
    "another shape": X[:, :3],
    "no rows": X[:0],
    "a number": 3,
}
READ_X = {
    "log_likelihood": lambda x: evaluation.log_likelihood(MODEL, x, 2),
    "bounds": lambda x: evaluation.bounds(RECIPE, x),
    "reconstruction": lambda x: evaluation.reconstruction(MODEL, x),
    "component_health": lambda x: evaluation.component_health(MODEL, x),
    "dependence": lambda x: evaluation.dependence(MODEL, x),
    "responsibilities": lambda x: evaluation.responsibilities(MODEL, x),
    "cluster_probabilities": lambda x: evaluation.cluster_probabilities(MODEL, x),
    "codes": lambda x: operations.codes(MODEL, x),
    "scales": lambda x: operations.scales(MODEL, x),
    "cross_decode": lambda x: operations.cross_decode(MODEL, x),
    "interpolate": lambda x: operations.interpolate(MODEL, x, x),
    "traverse": lambda x: operations.traverse(MODEL, x, 0, 0, [0.0]),
    "pairs": lambda x: operations.pairs(MODEL, x),
    "plots.reconstructions": lambda x: plots.reconstructions(MODEL, x, "a.png"),
    "plots.codes": lambda x: plots.codes(MODEL, x, None, "a.png"),
    "plots.weights": lambda x: plots.weights(MODEL, x, None, "a.png"),
    "plots.crossed": lambda x: plots.crossed(MODEL, x, "a.png"),
    "plots.traversals": lambda x: plots.traversals(MODEL, x, "a.png"),
    "plots.interpolations": lambda x: plots.interpolations(MODEL, x, x, "a.png"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", READ_X)
def test_data_of_the_wrong_kind_are_refused(name, what):
    with pytest.raises(MixvaeError, match=r"x must be a|the model takes x of shape"):
        READ_X[name](WRONG[what])


TAKE_A_MODEL = {
    "log_likelihood": lambda model: evaluation.log_likelihood(model, X, 2),
    "reconstruction": lambda model: evaluation.reconstruction(model, X),
    "component_health": lambda model: evaluation.component_health(model, X),
    "dependence": lambda model: evaluation.dependence(model, X),
    "responsibilities": lambda model: evaluation.responsibilities(model, X),
    "cluster_probabilities": lambda model: evaluation.cluster_probabilities(model, X),
    "selection": evaluation.selection,
    "representation": lambda model: evaluation.representation(model, DATA.train, DATA.test),
    "codes": lambda model: operations.codes(model, X),
    "cross_decode": lambda model: operations.cross_decode(model, X),
    "interpolate": lambda model: operations.interpolate(model, X, X),
    "traverse": lambda model: operations.traverse(model, X, 0, 0, [0.0]),
    "pairs": lambda model: operations.pairs(model, X),
    "plots.samples": lambda model: plots.samples(model, "a.png"),
    "plots.codes": lambda model: plots.codes(model, X, None, "a.png"),
    "plots.reconstructions": lambda model: plots.reconstructions(model, X, "a.png"),
}


@pytest.mark.parametrize("wrong", [RECIPE, None, "runs/m-vae-001"], ids=["recipe", "none", "path"])
@pytest.mark.parametrize("name", TAKE_A_MODEL)
def test_what_is_no_model_is_refused(name, wrong):
    with pytest.raises(MixvaeError, match=r"model must be a model, such as run\.recipe\.model"):
        TAKE_A_MODEL[name](wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixvae.fit(RECIPE, X.numpy()), "data must be a Dataset"),
        (lambda: mixvae.fit(RECIPE, None), "data must be a Dataset"),
        (lambda: mixvae.fit("vae", X), "data must be a Dataset"),
        (lambda: mixvae.fit(MODEL, DATA), "recipe must be a recipe's name"),
        (lambda: mixvae.fit(None, DATA), "recipe must be a recipe's name"),
        (lambda: mixvae.fit("vaee", DATA), "unknown recipe 'vaee'"),
        (lambda: mixvae.fit(RECIPE, DATA, lr="1"), "lr must be positive; got '1'"),
        (lambda: mixvae.fit(RECIPE, DATA, lr=float("inf")), "lr must be a finite number"),
        (lambda: mixvae.fit(RECIPE, DATA, lr=None), "lr must be positive"),
        (lambda: mixvae.fit(RECIPE, DATA, max_epochs=1.5), "max_epochs must be a whole number"),
        (lambda: mixvae.fit(RECIPE, DATA, max_epochs=True), "max_epochs must be a whole number"),
        (lambda: mixvae.fit(RECIPE, DATA, batch_size="8"), "batch_size must be a whole number"),
        (lambda: mixvae.fit(RECIPE, DATA, warmup_epochs=-1), "warmup_epochs must be at least 0"),
        (lambda: mixvae.fit(RECIPE, DATA, clip=float("nan")), "clip must be positive"),
        (lambda: mixvae.fit(RECIPE, DATA, patience=2.5), "patience must be a whole number"),
        (lambda: mixvae.fit(RECIPE, DATA, seed=2**64), "seed must be at most"),
        (lambda: mixvae.fit(RECIPE, DATA, seed=-1), "seed must be at least 0"),
        (lambda: mixvae.fit(RECIPE, DATA, seed=None), "seed must be a whole number"),
        (lambda: mixvae.fit("vae", DATA, seed="x"), "seed must be a whole number"),
        (lambda: mixvae.fit(RECIPE, DATA, out=3), "out must be a str or a Path"),
        (lambda: mixvae.resume(None, DATA), "folder must be a str or a Path"),
        (lambda: mixvae.resume("runs", X), "data must be a Dataset"),
        (lambda: mixvae.select(None, DATA), "must be a str or a Path"),
        (lambda: mixvae.load(None), "path must be a str or a Path"),
        (lambda: mixvae.prune(MODEL), "recipe must be a BuiltRecipe"),
        (lambda: mixvae.prune(RECIPE, 3), "keep must be a list"),
        (lambda: mixvae.prune(RECIPE, [0.5]), "must be a whole number"),
        (lambda: mixvae.build("vae", X), "from_arrays"),
        (lambda: mixvae.build(None, (4,)), "recipe must be a recipe's name"),
        (lambda: mixvae.build("vae", (4,), hidden=[10**20]), "hidden must be at most"),
        (lambda: mixvae.build("vae", (4,), hidden=[10**12]), "of memory"),
        (lambda: mixvae.build("vae", (4,), likelihood=object()), "likelihood must be 'bernoulli'"),
        (lambda: mixvae.build("m-vae", (4,), beta_kl=float("inf")), "beta_kl must be a finite"),
        (lambda: mixvae.data.load(None), "name_or_path must be a str or a Path"),
        (lambda: mixvae.data.load("digits", seed=2**64), "seed must be at most"),
        (lambda: mixvae.data.load("digits", n_val="x"), "validation split"),
        (lambda: from_arrays(None), "expected an array of numbers"),
        (lambda: from_arrays(X, seed=-1), "seed must be at least 0"),
        (lambda: DATA.subset(2.5), "a subset has 1 to"),
        (lambda: evaluation.evaluate(RECIPE, X), "split must be a Split"),
        (lambda: evaluation.evaluate(RECIPE, X.numpy()), "split must be a Split"),
        (lambda: evaluation.evaluate(RECIPE, DATA), "split must be a Split"),
        (lambda: evaluation.evaluate(MODEL, DATA.test), "recipe must be a BuiltRecipe"),
        (lambda: evaluation.evaluate(RECIPE, DATA.test, seed=-1), "seed must be at least 0"),
        (lambda: evaluation.evaluate(RECIPE, DATA.test, n_test=0), "n_test must be at least 1"),
        (lambda: evaluation.evaluate(RECIPE, DATA.test, batch_size=0), "batch_size must be at"),
        (lambda: evaluation.log_likelihood(MODEL, X, 10**20), "n_samples must be at most"),
        (lambda: evaluation.log_likelihood(MODEL, X, 1.5), "n_samples must be a whole number"),
        (lambda: evaluation.bounds(RECIPE, X, n_samples=10**14), "GiB of memory"),
        (lambda: evaluation.bounds(MODEL, X), "recipe must be a BuiltRecipe"),
        (lambda: evaluation.representation(MODEL, X, X), "train must be a Split"),
        (lambda: evaluation.clustering([0], [0]), "component must be a Tensor"),
        (lambda: evaluation.clustering(torch.arange(3), torch.arange(2)), "one value for each"),
        (lambda: MODEL.sample(-1), "n must be at least 1; got -1"),
        (lambda: MODEL.sample(0), "n must be at least 1; got 0"),
        (lambda: MODEL.sample("3"), "n must be a whole number"),
        (lambda: MODEL.sample(3, component="a"), "component must be a whole number"),
        (lambda: MODEL.sample_each(0), "n must be at least 1"),
        (lambda: operations.traverse(MODEL, X, 0, 0, [float("inf")]), "must be a finite number"),
        (lambda: operations.traverse(MODEL, X, 0, "a", [0.0]), "latent must be a whole number"),
        (lambda: operations.interpolate(MODEL, X, X, "a"), "n_steps must be a whole number"),
        (lambda: operations.pairs(MODEL, X, n=0.5), "n must be a whole number"),
        (lambda: operations.codes(MODEL, X, [0]), "y must be a Tensor"),
        (lambda: operations.codes(MODEL, X, torch.zeros(3)), "y must have the class of each"),
        (lambda: plots.samples(MODEL, "a.png", n=0), "n must be at least 1"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MixvaeError, match=message):
        call()
    assert not list(tmp_path.iterdir())


def test_a_built_recipe_is_reproducible_by_its_seed(tmp_path):
    def weights(recipe, name):
        run = mixvae.fit(recipe, DATA, seed=3, out=tmp_path / name, **QUICK)
        return run.recipe.model.state_dict()

    first = weights(mixvae.build("vae", DATA, seed=3), "a")
    torch.rand(7)  # what else the program drew does not matter
    again = weights(mixvae.build("vae", DATA, seed=3), "b")
    by_name = weights("vae", "c")
    assert all(first[k].equal(again[k]) and first[k].equal(by_name[k]) for k in first)


def test_building_with_a_seed_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    mixvae.build("vae", (4,), seed=5)
    assert torch.rand(3).equal(expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": type("Nameless", (VAE,), {})()},
        {"recipe": replace(RECIPE.recipe, n_latent=5)},
        {"recipe": VAE(n_latent=2, hidden=[8])},
        {"x_shape": (4.0,)},
    ],
    ids=["name", "value", "another", "shape"],
)
def test_a_recipe_that_cannot_be_loaded_is_refused_before_it_is_trained(
    tmp_path, monkeypatch, changes
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MixvaeError):
        mixvae.fit(replace(RECIPE, **changes), DATA, **QUICK)
    assert not list(tmp_path.iterdir())


def test_a_split_can_be_taken_apart_with_its_rows():
    part = Split(X, torch.arange(len(X)), torch.arange(len(X))).take(torch.tensor([2, 0]))
    assert part.index.tolist() == part.y.tolist() == [2, 0]

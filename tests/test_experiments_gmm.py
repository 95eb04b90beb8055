"""The experiments of the DLGMM and GMMpVAE papers, and the fixed weights that they need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from mixvae import prune, recipes, reproduce
from mixvae.errors import MixvaeError
from mixvae.experiments import dlgmm, find, gmmpvae
from mixvae.experiments.gmmpvae.models import TABLE_1
from mixvae.experiments.item import Data, Item
from mixvae.reproduction.cache import Cache
from mixvae.reproduction.jobs import Job
from mixvae.reproduction.measures import MEASURES, Subject
from mixvae.reproduction.results import Results
from mixvae.reproduction.tables import text_table

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


# -- declarations

ITEMS = [*dlgmm.ITEMS, *gmmpvae.ITEMS]
SHAPES = {"frey-faces": (1, 28, 20)}


def test_the_bounds_of_table_1_are_the_sums_of_their_terms():
    """Within what the paper's rounding allows: what was copied, was copied rightly."""
    for rows in TABLE_1.values():
        for bound, re, kl in rows:
            assert float(bound.partition(" ")[0]) + re + kl == pytest.approx(0, abs=0.021)


def test_every_row_can_be_built_at_the_papers_scale():
    """For images of the data's shape, since some networks are not made for all of them."""
    built = set()
    for item in ITEMS:
        for row in item.rows:
            if row.recipe is None:
                continue
            job = Job(item, item.protocols["paper"], row, 0)
            options = {"n_pseudo_inputs": None, "weights": None} | job.options
            same = options | {"n_pseudo_inputs": None, "weights": options["weights"] is None}
            known = f"{row.recipe} {same} {job.data.name}"
            if known not in built:
                shape = SHAPES.get(job.data.name, (1, 28, 28))
                recipes.build(row.recipe, shape, **job.options)
            built.add(known)
    assert len(built) > 30


def names_in(value: Any) -> Iterator[str]:
    """All texts of nested arguments."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (name for v in value.values() for name in names_in(v))
    elif isinstance(value, Sequence):
        yield from (name for v in value for name in names_in(v))


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_pictures_show_rows_that_there_are(item: Item):
    known = {row.name for row in item.rows}
    assert len(known) == len(item.rows)
    for picture in item.pictures.values():
        for key in ("row", "rows", "groups", "level"):
            for name in names_in(picture.arguments.get(key, ())):
                assert name in known


# -- quick runs

CHEAP = ["dlgmm/fig2", "gmmpvae/fig7", "gmmpvae/fig10"]  # of which two share their runs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the results and the runs."""
    root = tmp_path_factory.mktemp("reproduced")
    reproduce(CHEAP, scale="quick", runs=root / "runs", out=root / "out", progress=False)
    return root / "out", root / "runs"


def results_of(name: str, runs: Path) -> Results:
    (item,) = find([name])
    return Results(item, item.protocols["quick"], 1, Cache(runs, progress=False))


@pytest.mark.parametrize("name", CHEAP)
def test_every_row_has_every_figure_and_every_picture_is_drawn(name: str, made: tuple[Path, Path]):
    out, runs = made
    results = results_of(name, runs)
    for row in results.item.rows:
        for column in results.item.columns:
            assert results.cell(row, column).numbers
    for ending in results.item.pictures:
        picture = imread(out / f"{name}{'-' if ending else ''}{ending}.png")
        assert picture[..., :3].std() > 0.01


def test_re_and_kl_add_up_to_the_objective_and_the_estimates_to_their_mean(
    made: tuple[Path, Path],
):
    figures = results_of("gmmpvae/fig10", made[1]).figures
    for first, *_ in figures.values():
        terms = first["terms"]
        assert min(terms.values()) > 0
        assert terms["re"] + terms["kl"] == pytest.approx(-first["bounds"]["objective"])
        each = first["log_likelihood"]["each"]
        assert len(each) == first["n"]
        assert np.mean(each) == pytest.approx(first["log_likelihood"]["mean"], abs=1e-3)


def test_neighbours_of_pixels_are_those_of_a_search_through_all_pairs(made: tuple[Path, Path]):
    results = results_of("dlgmm/fig2", made[1])
    job = results.job(results.item.rows[0])
    data = results.cache.dataset(Data(name="digits", subset=300))
    subject = Subject(job, results.cache.run(job), data, results.cache.dataset)
    found = MEASURES["pixel_neighbours"](subject, row="VAE", neighbours=(1,), n_test=50)
    rows = torch.arange(50) * len(data.test) // 50
    x, y = data.test.x[rows].flatten(1), data.test.y[rows]
    nearest = torch.cdist(x.double(), data.train.x.flatten(1).double()).argmin(1)
    error = 100 * (data.train.y[nearest] != y).double().mean()
    assert found == {"knn_1_error_percent": pytest.approx(float(error))}
    assert MEASURES["pixel_neighbours"](subject, row="DLGMM") == {}


def test_a_row_that_is_too_slow_for_a_scale_is_quoted(tmp_path: Path):
    (item,) = find(["gmmpvae/table1"])
    slow = item.rows[5].name
    protocol = replace(item.protocols["quick"], quoted=[slow])
    table = text_table(Results(item, protocol, 1, Cache(tmp_path, progress=False)))
    assert [line for line in table.splitlines() if "(quoted)" in line] == [
        f"| {slow} (quoted) |  | -83.82 ± 0.14 |  |  |  |  | 58.27 |  | 25.55 |"
    ]

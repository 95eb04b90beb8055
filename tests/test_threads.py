"""A trained model that several threads use at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import (
    Beta,
    Categorical,
    Dirichlet,
    Distribution,
    Gamma,
    Independent,
    Laplace,
    MixtureSameFamily,
    Normal,
)

from cases import FLAT, Case
from mixvae.data.dataset import Split
from mixvae.distributions import Delta, Kumaraswamy, NormalMixture, StickBreaking
from mixvae.evaluation import evaluate, log_likelihood
from mixvae.evaluation.batches import evaluating
from mixvae.recipes.building import BuiltRecipe
from mixvae.seeding import Noise

N_THREADS = 8
CASES = [
    Case("vae"),
    Case("m-vae", {"likelihood": "gaussian"}, FLAT),
    Case("mvae-gs"),
    Case("mixture-vae", {"shared_layers": True}),
    Case("dlgmm"),
    Case("hvae"),
    Case("flow-vae"),
    Case("vade", {"n_clusters": 3}),
]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What the calls give, all of them started together."""
    barrier = Barrier(len(calls))

    def together(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(together, calls))


def score(recipe: BuiltRecipe, case: Case, seed: int) -> dict[str, Any]:
    """Every figure, each example's log p(x), and new x."""
    x, y = case.data(4), torch.arange(4) % 2
    model = recipe.model
    with evaluating(model, seed):
        new = model.sample(3)
    each = log_likelihood(model, x[:2], 6, seed=seed).log_prob
    own = model.sample_each(2, generator=Generator().manual_seed(seed))
    figures = evaluate(recipe, Split(x, y), batch_size=4, seed=seed)
    return {"new": new, "each": each, "own": own, "figures": repr(figures)}


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(
        torch.equal(found[name], value) if isinstance(value, Tensor) else found[name] == value
        for name, value in expected.items()
    )


@pytest.mark.parametrize("case", [CASES[2], CASES[3], CASES[4], CASES[7]], ids=str)
def test_a_model_scored_in_eight_threads_gives_what_one_thread_gives(case: Case) -> None:
    recipe = case.build()
    recipe.model.eval()
    alone = [score(recipe, case, seed) for seed in range(N_THREADS)]
    found = at_once([lambda seed=seed: score(recipe, case, seed) for seed in range(N_THREADS)])
    assert all(same(*pair) for pair in zip(found, alone, strict=True))


def test_eight_models_scored_in_eight_threads_give_what_one_thread_gives() -> None:
    recipes = [case.build() for case in CASES]
    pairs = list(zip(recipes, CASES, strict=True))
    alone = [score(*pair, 0) for pair in pairs]
    found = at_once([lambda pair=pair: score(*pair, 0) for pair in pairs])
    assert all(same(*pair) for pair in zip(found, alone, strict=True))


def test_threads_leave_a_model_in_the_mode_that_it_came_in() -> None:
    recipe = CASES[2].build()
    recipe.model.train()
    recipe.model.trunk.eval()
    before = [module.training for module in recipe.model.modules()]
    alone = [score(recipe, CASES[2], seed) for seed in range(N_THREADS)]
    found = at_once([lambda seed=seed: score(recipe, CASES[2], seed) for seed in range(N_THREADS)])
    assert all(same(*pair) for pair in zip(found, alone, strict=True))
    assert [module.training for module in recipe.model.modules()] == before


def test_a_model_stays_in_evaluation_mode_until_its_last_user_leaves() -> None:
    model = CASES[0].build().model.train()
    entered, leave = Event(), Event()

    def second() -> None:
        with evaluating(model):
            entered.set()
            assert leave.wait(30)

    with ThreadPoolExecutor(1) as pool:
        with evaluating(model):
            left = pool.submit(second)
            assert entered.wait(30)
        assert not model.training
        leave.set()
        left.result()
    assert model.training


@pytest.mark.parametrize("case", CASES, ids=str)
def test_evaluation_neither_reads_nor_changes_the_global_generator(case: Case) -> None:
    recipe = case.build()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = score(recipe, case, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(score(recipe, case, 0), first)


ONE = torch.full((3, 4), 0.7)
DISTRIBUTIONS = [
    Normal(ONE, ONE),
    Laplace(ONE, ONE),
    Gamma(ONE, ONE),
    Beta(ONE, ONE),
    Dirichlet(ONE),
    Delta(ONE),
    Kumaraswamy(ONE, ONE),
    StickBreaking(Kumaraswamy(ONE, ONE)),
    StickBreaking(Beta(ONE, ONE)),
    MixtureSameFamily(Categorical(ONE[:, 0]), Independent(Normal(ONE, ONE), 1)),
    NormalMixture(Categorical(ONE[:, 0]), Independent(Normal(ONE, ONE), 1)),
]


@pytest.mark.parametrize("p", DISTRIBUTIONS, ids=lambda p: type(p).__name__)
def test_noise_from_a_seed_is_that_of_the_global_generator_after_it(p: Distribution) -> None:
    draws = [p.sample] + [p.rsample] * p.has_rsample
    for draw in draws:
        torch.manual_seed(3)
        expected = draw((5,))
        before = torch.get_rng_state()
        with Noise(3):
            found = draw((5,))
        assert torch.equal(found, expected)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(2, 3),
        lambda: torch.randn((2, 3)),
        lambda: torch.rand_like(ONE.T),
        lambda: torch.randn_like(ONE),
        lambda: torch.randperm(9),
        lambda: torch.randint(9, (4,)),
        lambda: torch.bernoulli(ONE),
        lambda: torch.empty(4).uniform_(),
        lambda: torch.normal(0.0, 1.0, (3,)),
    ],
)
def test_random_functions_draw_from_the_noise_that_they_are_called_in(
    draw: Callable[[], Tensor],
) -> None:
    torch.manual_seed(3)
    expected = draw()
    before = torch.get_rng_state()
    with Noise(3), Noise(3):
        found = draw()
    assert torch.equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_goes_on_from_draw_to_draw() -> None:
    model, x = CASES[0].build().model.eval(), CASES[0].data(2)
    generator = Generator().manual_seed(0)
    first, second = (model(x, generator=generator).z for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(model(x, generator=generator.manual_seed(0)).z, first)

"""Classifiers on codes: what each code tells of the classes, and what it must not be told."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import CASES, Case
from linear_models import LinearPosterior, Repeat, stacked
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation.representation import representation
from mixvae.families import ExactMixture, Joint, MixturePosterior
from mixvae.likelihoods import GaussianLikelihood
from mixvae.model import MixtureVAE
from mixvae.parts.component_dropout import ConcreteDropout
from mixvae.parts.decoders import Decoder
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights

ACCURACIES = ("mlp_accuracy_percent", "svm_accuracy_percent")


def linear(
    slope: Sequence[Any],
    *,
    offset: Any = 0.0,
    scale: float = 1e-3,
    made: Sequence[Any] | None = None,
    family: Any = None,
    weights: Sequence[float] | None = None,
    dropout: ConcreteDropout | None = None,
) -> MixtureVAE:
    """Codes N(slope_k x + offset_k, scale^2), slope (K, L, D); means of x ``made`` (K, D, L) z."""
    slopes = torch.tensor(slope)
    K, L, D = slopes.shape
    proportions = CategoricalWeights(K)
    if weights is not None:
        proportions.logits.copy_(torch.tensor(weights).log())
    back = torch.zeros(K, D, L) if made is None else torch.tensor(made)
    likelihood = GaussianLikelihood((D,), from_mean=True, scale=0.1)
    return MixtureVAE(
        trunk=Repeat(K),
        posterior=LinearPosterior(
            slopes, torch.as_tensor(offset).expand(K, L).clone(), torch.full((K, L), scale)
        ),
        weights=proportions,
        decoder=Decoder(stacked(back, torch.zeros(K, D)), likelihood),
        prior=NormalPrior(torch.zeros(L)),
        family=Joint() if family is None else family,
        dropout=dropout,
    )


def levels(n: int, seed: int) -> Tensor:
    """n pixels, dark (under 0.2) and bright (over 0.8) by turns."""
    u = torch.rand(n, generator=torch.Generator().manual_seed(seed))
    return 0.8 * (torch.arange(n) % 2) + 0.2 * u


def bright(x: Tensor) -> Tensor:
    return (x > 0.5).long()


def dark_or_bright(n: int, seed: int) -> Split:
    """Two classes told by the first of two pixels; the second one is noise."""
    x, noise = levels(n, seed), torch.rand(n, generator=torch.Generator().manual_seed(seed + 100))
    return Split(torch.stack([x, noise], 1), bright(x))


def four_classes(n: int, seed: int) -> Split:
    """All pairs of n first and n second pixels, and whether each of the two is bright."""
    pairs = list(product(levels(n, seed).tolist(), levels(n, seed + 1).tolist()))
    x = torch.tensor(pairs)
    return Split(x, 2 * bright(x[:, 0]) + bright(x[:, 1]))


EACH_SEES_ONE_PIXEL = [[[1.0, 0.0]], [[0.0, 1.0]]]


def test_components_that_see_half_of_the_class_each_tell_it_only_together():
    model = linear(EACH_SEES_ONE_PIXEL)
    found = representation(model, four_classes(16, 0), four_classes(10, 2))
    assert list(found) == ["all", "component_0", "component_1"]
    together = {
        **dict.fromkeys([*ACCURACIES, *(f"knn_{k}_accuracy_percent" for k in (3, 5, 10))], 100),
        **{f"knn_{k}_error_percent": 0 for k in (3, 5, 10)},
    }
    assert found["all"] == pytest.approx(together)
    for k in (0, 1):
        # whatever is said of a pixel is right for half of the other's
        assert list(found[f"component_{k}"].values()) == pytest.approx([50] * 8)


def test_a_component_that_dropout_took_out_is_left_out():
    masks = ConcreteDropout(2)
    masks.logits.data = torch.tensor([-5.0, 5.0])
    model = linear(EACH_SEES_ONE_PIXEL, dropout=masks)
    found = representation(model, four_classes(16, 0), four_classes(10, 2))
    assert list(found) == ["all", "component_0"]
    assert found["all"] == found["component_0"]


def plain_knn_error(codes: Tensor, y: Tensor, codes_test: Tensor, y_test: Tensor, k: int) -> float:
    """In %, one test code after another; among equals argmax takes the first."""
    wrong = 0
    for code, truth in zip(codes_test, y_test, strict=True):
        nearest = (codes - code).square().sum(-1).argsort()[:k]
        wrong += int(y[nearest].bincount().argmax() != truth)
    return 100 * wrong / len(y_test)


def random_split(n: int, seed: int, n_classes: int = 3) -> Split:
    """Classes that overlap: their pixels' means are a tenth apart."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(n_classes, (n,), generator=generator)
    return Split(0.7 * torch.rand(n, 2, generator=generator) + 0.1 * y.unsqueeze(1), y)


def test_knn_errors_are_those_of_a_plain_search():
    train, test = random_split(80, 0), random_split(60, 1)
    slope = torch.tensor([[[1.0, 0.5], [0.0, 3.0]], [[2.0, 0.0], [0.1, 0.1]]])
    found = representation(linear(slope.tolist()), train, test, neighbours=(1, 2, 3, 4, 7))
    codes = {
        "all": [(split.x @ slope.mT).transpose(0, 1).flatten(1) for split in (train, test)],
        "component_1": [split.x @ slope[1].T for split in (train, test)],
    }
    for name, (fitted, judged) in codes.items():
        for k in (1, 2, 3, 4, 7):
            expected = plain_knn_error(fitted, train.y, judged, test.y, k)
            assert 5 < expected < 95
            assert found[name][f"knn_{k}_error_percent"] == pytest.approx(expected)
            assert found[name][f"knn_{k}_accuracy_percent"] == pytest.approx(100 - expected)


def test_no_neighbours_leave_knn_out():
    model, train = linear(EACH_SEES_ONE_PIXEL), random_split(20, 0)
    assert set(representation(model, train, train, neighbours=())["all"]) == set(ACCURACIES)


def test_the_svm_can_be_left_out():
    model, train = linear(EACH_SEES_ONE_PIXEL), random_split(20, 0)
    assert set(representation(model, train, train, neighbours=(), svm=False)["all"]) == {
        "mlp_accuracy_percent"
    }


def test_the_mlp_and_the_svm_see_no_units_and_knn_does():
    model = linear([[[1e-4, 0.0], [0.0, 1.0]]])  # what tells the class is small, the rest is noise
    found = representation(model, dark_or_bright(400, 0), dark_or_bright(200, 1))["mean"]
    assert found["mlp_accuracy_percent"] > 99
    assert found["svm_accuracy_percent"] > 99
    assert found["knn_10_error_percent"] > 35


def test_the_mlp_bends_and_the_svm_does_not():
    x = torch.rand(600, 2, generator=torch.Generator().manual_seed(0))
    y = bright(x[:, 0]) ^ bright(x[:, 1])
    model = linear([[[1.0, 0.0], [0.0, 1.0]]])
    found = representation(model, Split(x[:400], y[:400]), Split(x[400:], y[400:]))["mean"]
    assert found["mlp_accuracy_percent"] > 90
    assert found["svm_accuracy_percent"] < 65


def test_the_figures_are_of_the_test_data():
    test = dark_or_bright(40, 1)
    test.y[:10] = 1 - test.y[:10]  # a quarter of the labels are wrong
    found = representation(linear([[[1.0, 0.0]]]), dark_or_bright(400, 0), test)["mean"]
    assert list(found.values()) == pytest.approx([75] * 5 + [25] * 3)


@pytest.mark.parametrize("family", [Joint(), MixturePosterior()], ids=["Joint", "MixturePosterior"])
def test_a_single_code_is_sampled_once_and_its_mean_taken(family):
    """Codes N(+-1, 1): a sample is on its mean's side with probability Phi(1) = 84.1 %."""
    model = linear([[[2.5, 0.0]]], offset=-1.25, scale=1.0, family=family)
    train, test = dark_or_bright(2000, 0), dark_or_bright(2000, 1)
    found = representation(model, train, test, neighbours=(3,))
    assert list(found) == ["sample", "mean"]
    assert found["mean"]["svm_accuracy_percent"] == 100
    assert found["mean"]["knn_3_error_percent"] == 0
    assert found["sample"]["svm_accuracy_percent"] == pytest.approx(84.1, abs=3)  # 4 errors: 3.3


def test_a_sample_is_of_the_mixture_and_the_mean_is_its_mean():
    """One component always says 0, the other +-10: three quarters of the samples tell the class."""
    model = linear(
        [[[0.0, 0.0]], [[25.0, 0.0]]],
        offset=[[0.0], [-12.5]],
        scale=0.1,
        family=MixturePosterior(),
        weights=[0.25, 0.75],
    )
    found = representation(model, dark_or_bright(2000, 0), dark_or_bright(2000, 1))
    error = 100 * 0.25 / 2
    assert found["sample"]["knn_10_error_percent"] == pytest.approx(error, abs=3)  # 4 errors: 2.96
    assert found["mean"]["knn_10_error_percent"] == 0


def test_an_exact_mixtures_code_is_of_the_component_that_answers_for_x():
    """The first one says nothing of x and makes nothing of it: half of the proportions are its."""
    slope, made = (
        [[[0.0, 0.0]] * 2, [[1.0, 0.0], [0.0, 1.0]]],
        [[[0.0] * 2] * 2, [[1.0, 0.0], [0.0, 1.0]]],
    )
    model = linear(slope, offset=[[9.0, 9.0], [0.0, 0.0]], made=made, family=ExactMixture())
    train, test = dark_or_bright(400, 0), dark_or_bright(200, 1)
    train, test = (Split(0.5 + s.x / 2, s.y) for s in (train, test))  # far from 0
    found = representation(model, train, test)
    assert found["sample"]["knn_3_error_percent"] == 0


def test_no_noise_of_training_codes_comes_again_in_test_codes():
    model = linear([[[0.0, 0.0]]], scale=1.0)  # nothing but noise
    split = dark_or_bright(400, 0)
    error = representation(model, split, split, neighbours=(1,))["sample"]["knn_1_error_percent"]
    assert error == pytest.approx(50, abs=10)  # 4 standard errors; 0 if the noise were the same


def seen_by(model: MixtureVAE) -> list[Tensor]:
    """What the encoder reads, a tensor a batch."""
    seen: list[Tensor] = []
    model.trunk.register_forward_hook(lambda _module, args, _out: seen.append(args[0].clone()))
    return seen


@pytest.mark.parametrize("binary", [True, False])
def test_grey_training_data_are_drawn_where_the_test_data_were(binary: bool):
    model, train, test = linear([[[1.0, 0.0]]]), dark_or_bright(2000, 0), dark_or_bright(50, 1)
    if binary:
        test = Split(test.x.round(), test.y)
    seen = seen_by(model)
    representation(model, train, test, batch_size=500, n_test=50)
    read = torch.cat(seen[:4])
    if binary:
        assert ((read == 0) | (read == 1)).all()
        # of 2,000 pixels; 4 standard errors of a mean of draws
        assert read.mean(0).tolist() == pytest.approx(train.x.mean(0).tolist(), abs=0.045)
    else:
        assert (read == train.x).all()


def test_fewer_rows_are_spread_over_all():
    model, train, test = linear([[[1.0, 0.0]]]), dark_or_bright(100, 0), dark_or_bright(40, 1)
    train, test = (Split(s.x[s.y.argsort()], s.y.sort().values) for s in (train, test))
    seen = seen_by(model)
    found = representation(model, train, test, n_train=20, n_test=8, neighbours=(3,))
    assert (torch.cat(seen[:-1]) == train.x[::5]).all()
    assert (seen[-1] == test.x[::5]).all()
    assert found["mean"]["knn_3_error_percent"] == 0
    seen.clear()
    representation(model, train, test, n_train=1000, n_test=1000, neighbours=(3,))
    assert [len(x) for x in seen] == [100, 40]


def test_a_seed_makes_the_figures_and_the_model_is_left_as_it_was():
    model, train, test = linear([[[1.0, 0.0]]], scale=0.5), random_split(80, 0), random_split(60, 1)
    model.train()
    torch.manual_seed(5)
    first = representation(model, train, test, seed=1)
    after = torch.rand(1)
    assert model.training
    torch.manual_seed(5)
    assert torch.rand(1) == after
    assert representation(model, train, test, seed=1) == first
    other = representation(model, train, test, seed=2)
    errors = ("knn_3_error_percent", "knn_5_error_percent", "knn_10_error_percent")
    assert [other["sample"][k] for k in errors] != [first["sample"][k] for k in errors]
    assert [other["mean"][k] for k in errors] == [first["mean"][k] for k in errors]


ONE_EACH = {case.recipe: case for case in reversed(CASES) if not case.options.get("conditional")}


TWO_LAYERS = Case("dlgmm", {"n_layers": 2, "n_components": 2})


@pytest.mark.parametrize("case", [*ONE_EACH.values(), TWO_LAYERS], ids=str)
def test_every_recipe_has_codes_to_classify(case: Case):
    recipe = case.build()
    split = Split(case.data(12), torch.arange(12) % 3)
    found = representation(recipe.model, split, split, neighbours=(2,))
    joint = isinstance(recipe.model.family, Joint) and recipe.n_components > 1
    components = [f"component_{k}" for k in range(recipe.n_components)]
    assert list(found) == (["all", *components] if joint else ["sample", "mean"])
    assert all(0 <= value <= 100 for figures in found.values() for value in figures.values())


GOOD = random_split(30, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": Split(GOOD.x)}, "the train split has no labels"),
        ({"test": Split(GOOD.x)}, "the test split has no labels"),
        ({"train": Split(GOOD.x, torch.ones_like(GOOD.y))}, "all 30 training x are of one"),
        (
            {"test": Split(torch.zeros(4, 3), torch.arange(4))},
            r"takes x of shape \(N, 2\), .* got \(\d+, 3\)",
        ),
        ({"neighbours": (3, 31)}, "neighbours must be 1 to 30.*got 31"),
        ({"neighbours": (0,)}, "neighbours must be 1 to 30.*got 0"),
        ({"n_train": 5}, "neighbours must be 1 to 5.*got 10"),
        ({"n_train": 0}, "n_train must be at least 1"),
        ({"n_test": 0}, "n_test must be at least 1"),
        ({"model": linear([[[float("nan"), 0.0]]])}, "30 of 30 x are not finite.*learning rate"),
    ],
)
def test_what_cannot_be_classified_is_refused(change: dict[str, Any], said: str):
    given = {"model": linear([[[1.0, 0.0]]]), "train": GOOD, "test": GOOD} | change
    with pytest.raises(MixvaeError, match=said):
        representation(**given)


def test_codes_made_with_the_class_are_refused():
    case = Case("mvae", {"conditional": True, "n_classes": 3})
    split = Split(case.data(12), torch.arange(12) % 3)
    with pytest.raises(MixvaeError, match="depend on the class"):
        representation(case.build().model, split, split)

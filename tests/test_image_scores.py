"""Inception Score and FID: closed forms, the networks they are of, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from cases import Case
from mixvae import report
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import (
    FeatureNetwork,
    evaluate,
    frechet_distance,
    image_scores,
    inception_score,
)
from mixvae.evaluation.metrics import columns

N = 60
CASE = Case("m-vae")


def two_features(x: Tensor) -> tuple[Tensor, Tensor]:
    flat = x.flatten(1)
    return flat[:, :2], 9 * flat[:, :3]


NETWORK = FeatureNetwork("two pixels", two_features, accuracy_percent=75.0)


def split(n: int = N) -> Split:
    return Split(CASE.data(n), torch.arange(n) % 3)


def test_the_score_is_the_number_of_classes_where_each_image_is_surely_of_one() -> None:
    logits = 1000 * torch.eye(4).repeat(5, 1)  # probabilities are 0 and 1 exactly
    assert inception_score(logits) == (pytest.approx(4.0), 0.0)


def test_the_score_is_one_where_all_images_look_alike() -> None:
    assert inception_score(torch.randn(1, 7).expand(9, 7))[0] == pytest.approx(1.0)


def test_the_score_of_two_kinds_of_images_is_what_a_hand_computes() -> None:
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    kl = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert inception_score(p.log().repeat(10, 1))[0] == pytest.approx(math.exp(kl))


def test_every_split_has_images_of_all_positions() -> None:
    """In order of their classes a split of neighbouring images would have one class, score 1."""
    logits = 1000 * torch.eye(2).repeat_interleave(10, 0)
    assert inception_score(logits, 5) == (pytest.approx(2.0), pytest.approx(0.0))
    mean, sd = inception_score(
        torch.tensor([[900.0, 0.0], [0.0, 0.0], [0.0, 900.0], [0.0, 0.0]]), 2
    )
    assert (mean, sd) == (pytest.approx(1.5), pytest.approx(0.5))  # scores 2 and 1


def test_the_distance_of_samples_of_two_normals_is_its_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    b = b * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([1.0, 0.0, 2.0])
    expected = 1 + 4 + (1 - 2) ** 2 + (1 - 0.5) ** 2  # of means, and of standard deviations
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.01)


def test_the_distance_is_that_with_a_matrix_square_root() -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(50, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    b = torch.randn(80, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 1
    cov_a, cov_b = np.cov(a.double().numpy().T), np.cov(b.double().numpy().T)
    root = sqrtm(cov_a @ cov_b).real
    means = ((a.double().mean(0) - b.double().mean(0)) ** 2).sum().item()
    expected = means + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_distance_of_what_is_not_finite_is_not_a_number() -> None:
    assert math.isnan(frechet_distance(torch.tensor([[1.0], [math.nan]]), torch.rand(5, 1)))


def test_scores_are_of_the_images_reconstructions_and_samples() -> None:
    recipe, data = CASE.build(), split()
    found = image_scores(recipe, data, NETWORK, batch_size=25, seed=3)
    with torch.no_grad():
        made = recipe.model.eval().reconstruct(data.x)
        torch.manual_seed(3)
        sampled = torch.cat([recipe.model.sample(20) for _ in range(3)])
    images = {"data": data.x, "reconstructions": made, "samples": sampled}
    for name, x in images.items():
        features, logits = two_features(x)
        score = inception_score(logits)[0]
        assert found[name]["inception_score"] == pytest.approx(score, rel=1e-5)
        if name != "data":
            distance = frechet_distance(features, data.x.flatten(1)[:, :2])
            assert found[name]["fid"] == pytest.approx(distance, rel=1e-4)
    assert found["n"] == N
    assert "fid" not in found["data"]
    assert image_scores(recipe.model, data, NETWORK, batch_size=25, seed=3) == found


def test_images_are_cut_off_at_zero_and_one() -> None:
    recipe = Case("m-vae", {"likelihood": "gaussian"}).build()
    with torch.no_grad():
        for parameter in recipe.model.decoder.parameters():
            parameter.mul_(30)
    seen: list[Tensor] = []

    def keep(x: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(x)
        return two_features(x)

    image_scores(recipe, split(), FeatureNetwork("kept", keep))
    assert (recipe.model.reconstruct(split().x).abs() > 1).any()
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in seen)


def test_the_network_and_the_numbers_stand_beside_the_figures() -> None:
    data = split()
    found = evaluate(CASE.build(), data, features=NETWORK)
    scores = found["image_scores"]
    here = 100 * float((two_features(data.x)[1].argmax(1) == data.y).double().mean())
    assert scores["network"] == "two pixels"
    assert scores["network_accuracy_percent"] == 75.0
    assert scores["accuracy_percent_here"] == pytest.approx(here)
    assert (scores["n"], scores["n_splits"], scores["n_features"]) == (N, 1, 2)
    text = report.table(found)
    assert "two pixels, accuracy 75.0% on its own test images" in text
    assert "60 images, 2 features" in text
    score = scores["reconstructions"]["inception_score"]
    assert f"IS of reconstructions {score:.3f}" in " ".join(text.split())
    assert columns(found)["fid_samples"] == f"{scores['samples']['fid']:.2f}"


def test_scores_are_computed_only_if_a_network_is_given() -> None:
    recipe, data = CASE.build(), split()
    assert "image_scores" not in evaluate(recipe, data)
    with pytest.raises(MixvaeError, match=r"no image_scores .* features=feature_network\(data\)"):
        evaluate(recipe, data, metrics=["image_scores"])
    found = evaluate(recipe, data, metrics=["reconstruction"], features=NETWORK)
    assert "image_scores" in found
    assert "bounds" not in found


def test_a_conditional_model_is_sampled_with_the_classes_of_the_images() -> None:
    recipe = Case("mvae", {"conditional": True, "n_classes": 3}).build()
    asked: list[Tensor] = []
    sample = recipe.model.sample
    recipe.model.sample = lambda n, y: (asked.append(y), sample(n, y=y))[1]
    data = split()
    image_scores(recipe, data, NETWORK)
    assert (torch.cat(asked) == data.y).all()


def test_a_distance_needs_more_images_than_features() -> None:
    recipe = CASE.build()
    found = image_scores(recipe, split(2), NETWORK)
    assert found["samples"]["fid"] is None
    assert found["samples"]["inception_score"] >= 1
    assert "more images than the 2 features; got 2" in found["note"]
    assert image_scores(recipe, split(3), NETWORK)["samples"]["fid"] >= 0


def test_a_single_image_has_no_scores() -> None:
    found = evaluate(CASE.build(), split(), n_test=1, features=NETWORK)
    assert found["image_scores"]["samples"] == {"inception_score": None, "fid": None}
    assert "two images at least" in report.table(found)


class Switch(nn.Module):
    """Module that answers differently in training mode."""

    def __init__(self, outputs: object = None) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> object:
        assert not self.training
        return self.outputs or two_features(x)


def test_a_module_is_evaluated_and_left_as_it_was() -> None:
    module = Switch()
    features, logits = FeatureNetwork("own", module)(split().x)
    assert features.dtype == logits.dtype == torch.float64
    assert module.training


@pytest.mark.parametrize(
    "outputs", [torch.rand(N, 2), (torch.rand(N, 2),), (torch.rand(3, 2),) * 2]
)
def test_a_network_that_returns_something_else_is_refused(outputs: object) -> None:
    network = FeatureNetwork("own", lambda x: outputs)
    with pytest.raises(MixvaeError, match=r"own must return features \(B, D\) and logits"):
        image_scores(CASE.build(), split(), network)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"n_splits": 0}, "n_splits must be at least 1"),
        ({"n_splits": 61}, "n_splits must be at most the 60 images"),
        ({"network": two_features}, "network must be a FeatureNetwork"),
        (
            {"network": FeatureNetwork("other", two_features, x_shape=(1, 8, 8))},
            r"other takes x of shape \(1, 8, 8\); got \(1, 3, 4\)",
        ),
        ({"split": Split(torch.rand(4, 1, 8, 8))}, r"takes x of shape \(N, 1, 3, 4\)"),
        ({"split": torch.rand(4, 1, 3, 4)}, "split must be a Split"),
        ({"model": "run"}, "model must be a model"),
    ],
)
def test_what_has_no_scores_is_refused(change: dict[str, object], said: str) -> None:
    given = {"model": CASE.build(), "split": split(), "network": NETWORK} | change
    with pytest.raises(MixvaeError, match=said):
        image_scores(**given)


@pytest.mark.usefixtures("unchecked")
def test_evaluating_with_a_network_of_other_data_is_refused() -> None:
    other = FeatureNetwork("other", two_features, x_shape=(1, 8, 8))
    with pytest.raises(MixvaeError, match="other takes x of shape"):
        evaluate(CASE.build(), split(), features=other)
    with pytest.raises(MixvaeError, match="features must be a FeatureNetwork"):
        evaluate(CASE.build(), split(), features=two_features)

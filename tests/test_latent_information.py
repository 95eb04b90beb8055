"""Mutual information and the aggregate posterior's KL, beside closed forms."""

from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from cases import CASES, Case
from linear_models import LinearPosterior, Repeat, stacked
from mixvae import report
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate, latent_information
from mixvae.families import ExactMixture, Joint, MixturePosterior
from mixvae.likelihoods import GaussianLikelihood
from mixvae.model import MixtureVAE
from mixvae.parts.decoders import Decoder
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights

NAMES = ("kl", "mutual_information", "aggregate_kl")


def linear(slopes: list[float], scales: list[float], family: object) -> MixtureVAE:
    """Codes N(slope_k x, scale_k^2) of one pixel."""
    n = len(slopes)
    slope, scale = (torch.tensor(v).view(n, 1, 1) for v in (slopes, scales))
    return MixtureVAE(
        trunk=Repeat(n),
        posterior=LinearPosterior(slope, torch.zeros(n, 1), scale.squeeze(-1)),
        weights=CategoricalWeights(n),
        decoder=Decoder(
            stacked(torch.zeros(n, 1, 1), torch.zeros(n, 1)), GaussianLikelihood((1,), scale=1.0)
        ),
        prior=NormalPrior(torch.zeros(1)),
        family=family,
    )


def normal_x(n: int) -> Tensor:
    """Evenly spaced quantiles of N(0, 1), so that little is random."""
    return Normal(0.0, 1.0).icdf((torch.arange(n) + 0.5) / n).unsqueeze(1)


def test_of_linear_gaussian_codes_it_is_the_closed_form() -> None:
    """x ~ N(0, 1) and z = a x + s e: q(z) = N(0, a^2 + s^2), I = log(1 + a^2 / s^2) / 2."""
    slopes, scales = [1.0, 2.0, 0.5], [0.5, 1.0, 0.8]
    found = latent_information(linear(slopes, scales, Joint()), normal_x(4000), seed=1)
    for k, (a, s) in enumerate(zip(slopes, scales, strict=True)):
        variance = a * a + s * s
        aggregate = (variance - 1 - log(variance)) / 2
        information = log(1 + a * a / (s * s)) / 2
        assert found["mutual_information"][k] == pytest.approx(information, abs=0.03)
        assert found["aggregate_kl"][k] == pytest.approx(aggregate, abs=0.04)
        assert found["kl"][k] == pytest.approx(information + aggregate, abs=0.06)
    assert found["near_limit"] == []


def test_it_is_the_plain_double_loop_over_the_same_codes() -> None:
    model, x = linear([1.0, 2.0], [0.3, 0.6], Joint()), torch.rand(30, 1)
    found = latent_information(model, x, batch_size=12, seed=4)
    torch.manual_seed(4)
    with torch.no_grad():
        q = model.infer(x)[0]
        z = torch.cat([model.infer(rows)[0].sample() for rows in x.tensor_split(3)])
    for k in range(2):
        loc, scale = (v[:, k, 0].detach().double() for v in (q.mean, q.stddev))
        kl = information = 0.0
        for i in range(30):
            code = z[i, k, 0].double()
            densities = [Normal(loc[j], scale[j]).log_prob(code) for j in range(30)]
            aggregate = torch.stack(densities).logsumexp(0) - log(30)
            kl += float(densities[i] - Normal(0.0, 1.0).log_prob(code)) / 30
            information += float(densities[i] - aggregate) / 30
        assert found["kl"][k] == pytest.approx(kl, rel=1e-4)
        assert found["mutual_information"][k] == pytest.approx(information, rel=1e-4)
        assert found["aggregate_kl"][k] == pytest.approx(kl - information, rel=1e-4)


def test_codes_that_name_their_example_are_at_the_limit_and_marked() -> None:
    model, data = linear([100.0, 0.0], [0.01, 1.0], Joint()), Split(normal_x(50))
    found = latent_information(model, data.x)
    assert found["limit"] == pytest.approx(log(50))
    assert found["mutual_information"] == pytest.approx([log(50), 0.0], abs=1e-4)
    assert found["near_limit"] == [0]
    assert "at most their logarithm, 3.91, and too low near it, for component 0" in found["how"]


@pytest.mark.parametrize("family", [MixturePosterior(), ExactMixture()], ids=["one", "exact"])
def test_a_family_of_one_code_has_the_information_of_the_mixture(family: object) -> None:
    """Components N(+-4 x, s^2), x = 1: the mixture says as little of x as if there were no x."""
    model = linear([4.0, -4.0], [1.0, 1.0], family)
    found = latent_information(model, torch.ones(200, 1), seed=2)
    assert found["mutual_information"] == pytest.approx([0.0], abs=1e-5)
    kl = found["kl"][0]  # KL of (N(4, 1) + N(-4, 1)) / 2 to N(0, 1) is 8 - log 2
    assert kl == pytest.approx(8 - log(2), abs=1.5)  # 4 errors of a mean of 200, sd 4
    assert found["aggregate_kl"] == [pytest.approx(kl, abs=1e-5)]


def test_it_is_computed_only_if_it_is_named_and_is_in_the_report() -> None:
    case = Case("m-vae")
    recipe, data = case.build(), Split(case.data(20))
    assert "latent_information" not in evaluate(recipe, data)
    found = evaluate(recipe, data, metrics=["latent_information"], batch_size=6, seed=3)
    values = latent_information(recipe.model, data.x, batch_size=6, seed=3)
    assert found["latent_information"] == values
    text = report.table(found)
    assert "mutual information of x and codes, nats, 20 examples: I_q is at most" in text
    row = next(line for line in text.splitlines() if "I_q(x; z)" in line)
    assert row.split()[-3:] == [f"{v:.3f}" for v in values["mutual_information"]]


class OwnSamplesOnly(Distribution):
    """Distribution that knows the density of its own samples alone."""

    def __init__(self, q: Distribution) -> None:
        self.q = q
        super().__init__(q.batch_shape, q.event_shape, validate_args=False)

    mean = property(lambda self: self.q.mean)

    def rsample_and_log_prob(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        z = self.q.rsample(shape)
        return z, self.q.log_prob(z)


def test_a_posterior_without_a_density_has_none_and_a_note() -> None:
    model = linear([1.0], [1.0], Joint())
    model.posterior.register_forward_hook(lambda module, args, q: OwnSamplesOnly(q))
    found = latent_information(model, torch.rand(5, 1))
    assert [found[name] for name in NAMES] == [None] * 3
    assert "density of its own samples only" in found["note"]


def test_one_example_says_nothing() -> None:
    found = latent_information(linear([1.0], [1.0], Joint()), torch.rand(1, 1))
    assert found["mutual_information"] == pytest.approx([0.0], abs=1e-6)
    assert found["limit"] == 0
    assert found["near_limit"] == []


ONE_EACH = {case.recipe: case for case in reversed(CASES)}


@pytest.mark.parametrize("case", ONE_EACH.values(), ids=str)
def test_every_recipe_has_it(case: Case) -> None:
    recipe, x = case.build(), case.data(9)
    y = torch.arange(9) % case.options.get("n_classes", 2)
    found = evaluate(recipe, Split(x, y), metrics=["latent_information"], batch_size=4)
    found = found["latent_information"]
    if "note" in found:
        assert recipe.model.is_deterministic == ("deterministic" in found["note"])
        assert all(found[name] is None for name in NAMES)
        return
    joint = isinstance(recipe.model.family, Joint)
    for name in NAMES:
        assert len(found[name]) == (recipe.n_components if joint else 1)
        assert all(value == value for value in found[name])
    assert all(v <= log(9) + 1e-5 for v in found["mutual_information"])


def test_samples_are_seeded_and_the_model_is_left_as_it_was() -> None:
    model, x = linear([1.0], [1.0], Joint()).train(), torch.rand(20, 1)
    torch.manual_seed(7)
    first = latent_information(model, x, seed=1)
    after = torch.rand(1)
    torch.manual_seed(7)
    assert torch.rand(1) == after
    assert model.training
    assert latent_information(model, x, seed=1) == first
    assert latent_information(model, x, seed=2) != first


def test_what_is_not_data_is_refused() -> None:
    with pytest.raises(MixvaeError, match="takes x of shape"):
        latent_information(linear([1.0], [1.0], Joint()), torch.rand(5, 2))

"""The systems beside the VAEs: their densities, and that each trains and gives its figures."""

import csv
from itertools import product
from math import erf, log
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from experiments.rivals import figures, gmm, guide, networks, pixelcnn_pp, rbf, rbm, run, wgan
from experiments.rivals.dbn import DBN
from experiments.rivals.rbm import RBM
from experiments.rivals.system import batches
from torch import Tensor, nn

from mixvae.data import Dataset, Split
from mixvae.evaluation import FeatureNetwork

N_TRAIN, N_TEST = 60, 40
ROWS = FeatureNetwork("first pixels", lambda x: (x.flatten(1)[:, :6], 9 * x.flatten(1)[:, 27:30]))


pytestmark = pytest.mark.usefixtures("own_recipes")


def all_binary(n: int) -> Tensor:
    """Every vector of n bits."""
    return torch.tensor(list(product((0.0, 1.0), repeat=n)))


def small_rbm(n_visible: int, n_hidden: int) -> RBM:
    """An RBM of weights that matter, whose starting biases are not its own."""
    made = RBM(torch.randn(n_visible), n_hidden)
    made.w, made.b = torch.randn(n_visible, n_hidden), torch.randn(n_visible)
    made.c = torch.randn(n_hidden)
    return made


def enumerated_log_z(one: RBM) -> float:
    """log Z as a sum over all v and h."""
    v, h = all_binary(len(one.b)), all_binary(len(one.c))
    energies = (v @ one.b)[:, None] + (h @ one.c)[None] + v @ one.w @ h.T
    return float(energies.double().logsumexp((0, 1)))


def images(binarize: str = "none", shape: tuple[int, ...] = (1, 8, 8)) -> Dataset:
    """Few images of three classes on grey levels, each with a bright band."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        x, y = torch.rand(n, *shape, generator=generator) / 4, torch.arange(n) % 3
        for k in range(3):
            x[y == k, :, 2 * k : 2 * k + 2] += 0.7
        return Split((255 * x).round() / 255, y)

    parts = split(N_TRAIN), split(N_TEST), split(N_TEST)
    if binarize == "dynamic":
        drawn = [Split(part.x.round(), part.y) for part in parts[1:]]
        parts = parts[0], *drawn
    return Dataset("bands", *parts, binarize=binarize)


def test_log_z_of_annealing_is_that_of_enumeration():
    torch.manual_seed(0)
    one = small_rbm(6, 4)
    found = rbm.annealed(one, 24_000, 60)
    assert 0 < found.error < 0.01
    assert found.value == pytest.approx(enumerated_log_z(one), abs=4 * found.error)


def test_states_of_annealing_are_samples_of_the_rbm():
    torch.manual_seed(0)
    one, v = small_rbm(4, 3), all_binary(4)
    p = (one.log_unnormalised(v) - enumerated_log_z(one)).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    states = rbm.annealed(one, 5000, 100).states
    shares = (states[:, None] == v).all(2).double().mean(0)
    assert float((shares - p).abs().max()) < 4 * 0.5 / 5000**0.5


def test_temperatures_rise_from_0_to_1():
    found = rbm.temperatures(290)
    assert len(found) == 291
    assert found[0] == 0
    assert found[-1] == 1
    assert (found.diff() > 0).all()


def test_an_rbm_learns_pixels_that_go_together():
    torch.manual_seed(0)
    same = torch.randint(2, (400, 1, 1, 1)).float().expand(-1, 1, 2, 2).contiguous()
    data = Dataset("same", *(Split(same),) * 3)
    one = rbm.fit(data, 8, 1000, lambda x: x.flatten(1))
    log_p = one.log_unnormalised(all_binary(4)) - enumerated_log_z(one)
    assert float(log_p[[0, -1]].mean()) > -1.2  # independent pixels: -2.8, the best model: -0.69


def test_the_bound_of_a_dbn_is_below_its_log_p():
    torch.manual_seed(0)
    dbn = DBN(small_rbm(5, 4), small_rbm(4, 3))
    v, h = all_binary(5), all_binary(4)
    log_z = enumerated_log_z(dbn.upper)
    joint = (
        torch.stack([dbn.log_visible(v, row.expand(len(v), -1)) for row in h], 1)
        + dbn.upper.log_unnormalised(h)
        - log_z
    )
    log_p = joint.logsumexp(1)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-4)
    logits = dbn.lower.hidden(v)[:, None].expand(-1, len(h), -1)
    log_q = -F.binary_cross_entropy_with_logits(
        logits, h.expand(len(v), -1, -1), reduction="none"
    ).sum(2)
    exact = (log_q.exp() * (joint - log_q)).sum(1)
    found = torch.stack([dbn.bound(v, log_z, 20) for _ in range(50)])
    error = found.std(0) / 50**0.5
    assert ((found.mean(0) - exact).abs() < 4.5 * error + 1e-4).all()
    assert (exact < log_p).all()
    assert (found.mean(0) < log_p + 4.5 * error).all()


@pytest.mark.parametrize("binary", [True, False])
def test_a_pixel_of_pixelcnn_depends_on_those_before_it_alone(binary):
    torch.manual_seed(0)
    model = pixelcnn_pp.PixelCNNpp((2, 4, 5), binary=binary, n_features=4)
    x = torch.rand(1, 2, 4, 5, requires_grad=True)
    means = model.one_step(x).sum(1).flatten()
    for i, mean in enumerate(means):
        slopes = torch.autograd.grad(mean, x, retain_graph=True)[0].abs().sum((0, 1)).flatten()
        assert not slopes[i + 1 :].any()
        assert binary is False or not slopes[i].any()
        assert i == 0 or slopes[i - 1] > 0


@torch.no_grad()
def test_pixelcnn_of_two_pixels_is_normalised():
    torch.manual_seed(0)
    levels = torch.arange(256) / 255
    x = torch.cartesian_prod(levels, levels).view(-1, 1, 1, 2)
    model = pixelcnn_pp.PixelCNNpp((1, 1, 2), binary=False, n_features=4)
    total = sum(float(model(len(p)).log_prob(p).double().exp().sum()) for p in x.split(8192))
    assert total == pytest.approx(1, abs=1e-4)
    x = all_binary(6).view(-1, 1, 2, 3)
    model = pixelcnn_pp.PixelCNNpp((1, 2, 3), binary=True, n_features=4)
    assert float(model(len(x)).log_prob(x).double().exp().sum()) == pytest.approx(1, abs=1e-5)


def test_a_mixtures_figure_is_below_the_probability_of_the_levels():
    torch.manual_seed(0)
    x = (torch.rand(400, 1, 1, 1) < 0.3).float()
    data = Dataset("coin", *(Split(x),) * 3, binarize="threshold")
    found = gmm.train(data, 20)
    k = found.details["n_components"]
    with pytest.MonkeyPatch.context() as patch:
        fitted = []
        own = gmm.GaussianMixture.fit
        patch.setattr(gmm.GaussianMixture, "fit", lambda s, x: fitted.append(s) or own(s, x))
        torch.manual_seed(0)
        torch.rand(400, 1, 1, 1)
        found = gmm.train(data, 20)
    one = next(m for m in fitted if m.covariance_type == found.details["covariance"])
    assert one.n_components == k

    def mass(low: float, high: float) -> float:
        at = lambda e, m, s: 0.5 * (1 + erf((e - m) / (2 * s) ** 0.5))
        parts = zip(one.weights_, one.means_[:, 0], one.covariances_.reshape(-1), strict=True)
        return sum(w * (at(high, m, s) - at(low, m, s)) for w, m, s in parts)

    p = [mass(0, 0.5), mass(0.5, 1)]
    assert sum(p) < 1
    exact = sum(log(p[int(value)]) for value in x.flatten()) / len(x)
    assert exact - 0.3 < found.log_px(x).mean < exact


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 28, 20), (3, 32, 32), (1, 8, 8)])
def test_networks_take_and_give_images_of_these_shapes(shape):
    x = networks.generator(shape)(networks.codes(3))
    assert x.shape == (3, *shape)
    assert networks.critic(shape, 2)(x).shape == (3, 2)


def test_the_payoff_of_mixtures_is_the_mean_over_pairs():
    torch.manual_seed(0)
    g = wgan.Mixture([networks.generator((1, 8, 8), norm=False) for _ in range(3)])
    d = wgan.Mixture([networks.critic((1, 8, 8), norm=False) for _ in range(2)])
    nn.init.normal_(g.logits), nn.init.normal_(d.logits)
    x, z = torch.rand(5, 1, 8, 8), networks.codes(7)
    real, fake = wgan.payoff(g, d, x, z)
    pairs = product(
        zip(d.weights, d.networks, strict=True), zip(g.weights, g.networks, strict=True)
    )
    slow = sum(v * w * critic(made(z)).mean() for (v, critic), (w, made) in pairs)
    torch.testing.assert_close(fake, slow)
    slow = sum(v * critic(x).mean() for v, critic in zip(d.weights, d.networks, strict=True))
    torch.testing.assert_close(real, slow)
    torch.testing.assert_close(g.unevenness, -g.weights.log().mean())


def test_one_network_has_wgans_loss():
    g, d = (wgan.Mixture([net((1, 8, 8))]) for net in (networks.generator, networks.critic))
    assert g.weights.tolist() == [1]
    assert d.unevenness.item() == 0


@torch.no_grad()
def test_the_guide_turns_and_scales_an_image():
    torch.manual_seed(0)
    pca = guide.DeformablePCA((1, 6, 6), 4)
    z = torch.randn(2, 4)
    plain = pca.components(z[:, 2:]).sigmoid().view(2, 1, 6, 6)
    torch.testing.assert_close(pca(z), plain, atol=1e-5, rtol=0)
    nn.init.constant_(pca.angle.bias, torch.pi / 2)  # clockwise
    torch.testing.assert_close(pca(z), plain.rot90(-1, (2, 3)), atol=1e-4, rtol=0)
    nn.init.constant_(pca.angle.bias, 0), nn.init.constant_(pca.scale.bias, -1)
    torch.testing.assert_close(pca(z), plain.flip(2, 3), atol=1e-5, rtol=0)
    pca.components.weight.data = torch.linalg.qr(torch.randn(36, 2))[0]
    assert float(pca.dependence()) == pytest.approx(0, abs=1e-5)


def test_rbf_classifies_bands():
    torch.manual_seed(0)
    assert rbf.train(images(), 50).accuracy() == 100


def test_samples_that_are_alike_are_said_to_have_collapsed():
    x = images().test.x
    own = lambda sample: figures.of_samples(x, sample, ROWS)["collapsed"]
    assert own(lambda n: x.flip(0)[:n]) == "no"
    assert own(lambda n: x[:1].expand(n, -1, -1, -1)) == "yes: variance, distances, classes"
    assert own(lambda n: x[torch.arange(n) % 3]) == "yes: distances"
    assert own(lambda n: torch.full_like(x, torch.nan)).startswith("yes: samples are not finite")


def test_the_score_of_samples_is_the_packages():
    x = images().test.x
    found = figures.of_samples(x, lambda n: x, ROWS)
    assert found["inception_score"] == found["inception_score_data"]
    assert float(found["fid"]) == pytest.approx(0, abs=0.1)
    assert float(found["spread"]) == float(found["nearest"]) == 1


def test_batches_are_all_images_once_and_drawn_anew():
    data = images("dynamic")
    assert sum(len(x) for x in batches(data, 25)) == N_TRAIN
    first, second = (torch.cat(list(batches(data, 25))) for _ in range(2))
    assert ((first == 0) | (first == 1)).all()
    assert not torch.equal(first, second)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands in place of the data sets, another classifier, and few steps of annealing."""
    monkeypatch.setattr(run, "load", lambda args, binarize: images(binarize))
    monkeypatch.setattr(run, "feature_network", lambda data: ROWS)
    monkeypatch.setattr(rbm, "STEPS", 50)
    monkeypatch.setattr(rbm, "SAMPLE_STEPS", 20)


def rows(out: Path, data: str) -> dict[str, dict[str, str]]:
    """The rows by system."""
    with (out / f"{data}.csv").open(newline="") as file:
        return {row["system"]: row for row in csv.DictReader(file)}


def start(tmp_path: Path, *more: str, data: str = "mnist") -> None:
    """Run the command."""
    run.main(["--data-dir", str(tmp_path), "--out", str(tmp_path), "--data", data, *more])


FIGURES = {  # besides those of samples
    **{name: ["log_px", "log_px_is"] for name in ("rbm", "dbn", "gmm", "variational-gmm")},
    "rbf": ["accuracy"],
    **{name: [] for name in ("dcgan", "wgan", "mix+wgan", "began")},
    "ali": ["rmse"],
    "pixelcnn++": ["log_px", "rmse", "log_px_is"],
    "guide": ["accuracy", "rmse"],
}


def test_every_system_trains_and_gives_its_figures_and_a_second_run_skips_them(
    small, tmp_path, monkeypatch
):
    start(tmp_path, "--epochs", "1")
    found = rows(tmp_path, "mnist")
    assert set(found) == set(FIGURES) == set(run.SYSTEMS)
    for name, row in found.items():
        own = FIGURES[name] + ([] if name == "rbf" else ["inception_score", "spread", "collapsed"])
        others = {"log_px", "rmse", "accuracy", "inception_score"} - set(own)
        assert all(row[figure] for figure in own), name
        assert not any(row[figure] for figure in others), name
        assert int(row["parameters"]) > 0
        assert row["commit"]
    assert found["dbn"]["quoted"] == "gmmpvae/table2: log p(x) -84.55"
    assert (tmp_path / "mnist.md").read_text().count("\n| ") == len(found) + 2
    before = (tmp_path / "mnist.csv").read_text()
    monkeypatch.setattr(run, "row", lambda *a: pytest.fail("trained again"))
    start(tmp_path, "--epochs", "1")
    assert (tmp_path / "mnist.csv").read_text() == before


def test_a_seed_determines_the_row(small, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        start(tmp_path / folder, "--systems", "dcgan", "pixelcnn++", "--epochs", "1")
    first, second = (rows(tmp_path / folder, "mnist") for folder in ("a", "b"))
    for name in ("dcgan", "pixelcnn++"):
        assert all(first[name][figure] == second[name][figure] for figure in figures.NAMES)


def test_every_quoted_row_is_in_the_papers_tables():
    texts = [run.quoted(system, data) for system in run.SYSTEMS.values() for data in system.quoted]
    assert len(texts) == 10
    assert "m-vae/table3: RMSE 14.53, Inception Score 4.97; mvae/table1: Inception Score 5.34" in (
        texts
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--systems", "dcgann"], "unknown system 'dcgann'. Did you mean 'dcgan'?"),
        (["--systems", "rbm", "--data", "cifar10"], "rbm takes --data mnist, omniglot; got"),
        (["--data", "mnst"], "unknown data 'mnst'. Did you mean 'mnist'?"),
        (["--epochs", "0"], "--epochs must be at least 1; got 0."),
        (["--n", "0"], "--n must be at least 1; got 0."),
        (["--seeds", "-1"], "--seeds must be at least 0; got -1."),
        (["--data-dir", "nowhere"], "--data-dir must be the folder of the data files; got nowhere"),
    ],
)
def test_bad_input_is_an_error_of_one_line(more, says, tmp_path):
    with pytest.raises(SystemExit) as error:
        start(tmp_path, *more)
    assert str(error.value.code).startswith(f"error: {says}")
    assert "\n" not in str(error.value.code)
    assert not list(tmp_path.iterdir())

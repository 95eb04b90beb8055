"""One VAE into K: the start of a mixture."""

import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

import mixvae
from cases import Case
from mixvae import data
from mixvae.errors import MixvaeError
from mixvae.initialization.split import LIGHT, clusters, merged, split
from mixvae.pruning import prune

K, L = 3, 2
in_float64 = pytest.mark.usefixtures("maths")
SHARED = Case("mixture-vae", {"n_components": K, "n_latent": L, "shared_layers": True})
QUICK = {"progress": False, "pictures": False, "accelerator": "cpu", "batch_size": 64}


def codes(n: int = 3000) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of three clusters, far apart and none of them round, and whose each is."""
    torch.manual_seed(0)
    k = torch.arange(n) % K
    turn = torch.tensor([[[2.0, 0.5], [0.0, 0.3]], [[0.4, 0.0], [0.3, 1.0]], [[1.0, 0], [0, 1.0]]])
    middle = torch.tensor([[6.0, 0.0], [-5.0, 3.0], [0.0, -7.0]])
    z = (turn.to(middle)[k] @ torch.randn(n, L, 1)).squeeze(-1) + middle[k]
    return z, k


def models(**options: object):
    """A VAE, and the mixture of three made of it."""
    one = SHARED.build(n_components=1, **options).model
    many = SHARED.build(seed=1, **options).model
    z, k = codes()
    split(one, many, z, k)
    return one.eval(), many.eval(), z, k


@in_float64
@pytest.mark.parametrize("network", ["mlp", "gated-mlp"])
@pytest.mark.parametrize("shared_layers", [True, False])
def test_every_component_decodes_its_own_coding_as_the_vae_decodes_the_code(network, shared_layers):
    """And the coding of a cluster's codes has the prior's mean and covariance."""
    one, many, z, k = models(network=network, shared_layers=shared_layers)
    x = SHARED.data(40)
    mean, as_coded = one.infer(x)[0].mean, many.infer(x)[0].mean  # (B, 1, L), (B, K, L)
    decoded = one.decode_each(mean.unsqueeze(0)).mean.expand(-1, -1, K, *x.shape[1:])
    torch.testing.assert_close(many.decode_each(as_coded.unsqueeze(0)).mean, decoded)
    for i in range(K):  # as_coded is affine in mean: found from three points, applied to all
        columns = torch.cat([mean[:, 0], torch.ones(len(x), 1)], 1)
        turn = torch.linalg.lstsq(columns, as_coded[:, i]).solution
        own = torch.cat([z[k == i], torch.ones(int((k == i).sum()), 1)], 1) @ turn
        torch.testing.assert_close(own.mean(0), torch.zeros(L), atol=1e-8, rtol=0)
        torch.testing.assert_close(own.T.cov(), torch.eye(L), atol=0.05, rtol=0)


@in_float64
@pytest.mark.parametrize(("scale", "off"), [(0.01, 0.02), (0.1, 0.15), (1.0, 0.45)])
def test_small_scales_are_multiplied_by_the_diagonal_of_the_root_approximately(scale, off):
    """What a softplus allows; the means of test above are exact."""
    one, many = SHARED.build(n_components=1).model, SHARED.build(seed=1).model
    head = one.posterior.net.body
    with torch.no_grad():
        head.weight[:, L:] = 0
        head.bias[:, L:] = torch.tensor(scale).expm1().log()
    z, k = codes()
    split(one, many, z, k)
    found = many.infer(SHARED.data(2))[0].stddev[0]  # (K, L)
    for i in range(K):
        variance, axes = torch.linalg.eigh(z[k == i].T.cov())
        root = (axes / variance.sqrt()) @ axes.T
        torch.testing.assert_close(found[i] / scale, root.diagonal(), rtol=off, atol=0.05)


@in_float64
def test_proportions_are_the_clusters_shares():
    one, many = SHARED.build(n_components=1).model, SHARED.build().model
    z, k = codes()
    few = torch.where(torch.arange(len(k)) < 30, k, 0)  # 10 codes each in clusters 1 and 2
    split(one, many, z, few)
    expected = torch.bincount(few, minlength=K) / len(few)
    torch.testing.assert_close(many.weights.logits.softmax(0), expected)


@in_float64
def test_a_cluster_of_no_codes_starts_as_the_whole_does():
    one, many = SHARED.build(n_components=1).model, SHARED.build().model
    z, _ = codes()
    split(one, many, z, torch.zeros(len(z), dtype=torch.long))
    assert all(p.isfinite().all() for p in many.parameters())


@in_float64
def test_clusters_that_are_apart_are_found():
    z, k = codes()
    found = clusters(z, K, seed=0)
    pairs = torch.stack([found, k], 1).unique(dim=0)
    assert len(pairs) == K


@in_float64
def test_clusters_may_have_any_shape():
    """Two crescents that reach into each other, which no two normals tell apart."""
    z, k = (torch.from_numpy(a) for a in make_moons(4000, noise=0.05, random_state=0))
    found = clusters(z, 2, seed=0)
    agree = (found == k).double().mean()
    assert max(agree, 1 - agree) > 0.99
    normals = GaussianMixture(2, n_init=4, random_state=0).fit_predict(z.numpy())
    agree = (torch.from_numpy(normals) == k).double().mean()
    assert max(agree, 1 - agree) < 0.95


@in_float64
def test_soft_clusters_merge_where_they_overlap_most_for_their_size():
    """Against the definition, computed afresh from the clusters' rows at every step."""
    torch.manual_seed(0)
    each = (4 * torch.randn(300, 9)).softmax(-1)
    columns = list(each.T)
    light = LIGHT * len(each) / 4
    while len(columns) > 4:
        heavy = [bool(c.sum() >= light) for c in columns]
        pairs = [
            (float((a * b).sum() / (a.sum() * b.sum())), i, j)
            for i, a in enumerate(columns)
            for j, b in enumerate(columns[:i])
            if sum(heavy) > 4 or not (heavy[i] and heavy[j])
        ]
        _, i, j = max(pairs)
        columns[j] = columns[j] + columns.pop(i)
    found = (each @ merged(each, 4).T).T
    order = lambda rows: sorted(tuple(row.tolist()) for row in rows)
    torch.testing.assert_close(torch.tensor(order(found)), torch.tensor(order(columns)))


@in_float64
def test_a_handful_of_outliers_is_no_cluster():
    z, k = codes()
    far = torch.tensor([[300.0, 300.0]]) + torch.randn(20, L)
    found = clusters(torch.cat([z, far]), K, seed=0)
    pairs = torch.stack([found[: len(k)], k], 1).unique(dim=0)
    assert len(pairs) == K


@in_float64
def test_clusters_leave_out_dimensions_that_say_nothing():
    z, k = codes()
    quiet = 1e-4 * torch.randn(len(z), 5)
    found = clusters(torch.cat([z, quiet], 1), K, seed=0)
    assert len(torch.stack([found, k], 1).unique(dim=0)) == K
    assert clusters(quiet, K, seed=0).shape == (len(z),)  # where none says anything


def test_codes_that_cannot_be_clustered_are_refused():
    with pytest.raises(MixvaeError, match="3 components cannot be started from 2 training data"):
        clusters(torch.zeros(2, L), K, seed=0)
    with pytest.raises(MixvaeError, match="not finite"):
        clusters(torch.full((9, L), torch.nan), K, seed=0)


def test_training_starts_a_mixture_once(tmp_path, monkeypatch):
    """Trained on, loaded, or pruned and trained on, it goes from where it is."""
    dataset = data.load("digits").subset(256)
    torch.manual_seed(0)
    options = {"n_latent": 2, "hidden": [8], "n_components": 3, "start_epochs": 1}
    recipe = mixvae.build("mixture-vae", dataset, **options)
    began = []
    monkeypatch.setattr("mixvae.initialization.split.split", lambda *args: began.append(args))
    for i in range(2):
        mixvae.fit(recipe, dataset, out=tmp_path / str(i), max_epochs=1, **QUICK)
        assert len(began) == 1
    again = mixvae.load(tmp_path / "1").recipe
    for name, made in {"again": again, "pruned": prune(recipe, [0, 2])}.items():
        run = mixvae.fit(made, dataset, out=tmp_path / name, max_epochs=1, **QUICK)
        assert len(began) == 1
        assert {row["phase"] for row in run.history} == {"main"}


def test_the_kl_of_the_one_vae_rises_until_its_last_step(tmp_path):
    dataset = data.load("digits").subset(256)
    options = {"n_latent": 2, "hidden": [8], "n_components": 3, "start_epochs": 5}
    recipe = mixvae.build("mixture-vae", dataset, **options)
    run = mixvae.fit(recipe, dataset, out=tmp_path / "run", max_epochs=1, **QUICK)
    rows = [row for row in run.history if row["phase"] == "vae"]
    assert [row["kl_scale"] for row in rows] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20]


def test_a_split_loses_nothing_that_the_vae_had_learned(tmp_path):
    """Its bound on held-out data, against the VAE's: the index is paid for by better priors."""
    dataset = data.load("digits", binarize="dynamic")
    torch.manual_seed(0)
    options = {"n_latent": 8, "hidden": [64]}
    one = mixvae.build("mixture-vae", dataset, n_components=1, **options)
    mixvae.fit(one, dataset, out=tmp_path / "one", max_epochs=80, precision="32", **QUICK)
    many = mixvae.build("mixture-vae", dataset, n_components=4, **options)
    with torch.no_grad():
        q = one.model.infer(dataset.train.x.round())[0]
    split(one.model, many.model, q.sample()[:, 0], clusters(q.mean[:, 0], 4, seed=0))
    x = dataset.test.x
    bounds = [mixvae.evaluation.evaluate(r, dataset.test)["bounds"]["elbo"] for r in (one, many)]
    assert x.shape[0] > 300
    assert bounds[1] > bounds[0] - 0.5
    assert mixvae.evaluation.responsibilities(many.model, x).mean(0).min() > 0.3 / 4


def test_the_gate_learns_which_component_each_x_begins_in(tmp_path, monkeypatch):
    """Its choice for the training data, before the first step of the mixture's own training."""
    dataset = data.load("digits", binarize="threshold")
    torch.manual_seed(0)
    options = {"n_latent": 2, "hidden": [32], "n_components": 3, "start_epochs": 10}
    recipe = mixvae.build("mixture-vae", dataset, **options)
    began, agree = [], []
    real = clusters
    monkeypatch.setattr(
        "mixvae.initialization.split.clusters", lambda *a: began.append(real(*a)) or began[-1]
    )

    class Look:
        def on_epoch_end(self, state):
            if (state.phase, state.epoch) == ("main", 0):
                model = state.model
                chosen = model.sampler(model.features(dataset.train.x)).argmax(-1)
                agree.append((chosen == began[0]).float().mean())

    how = QUICK | {"max_epochs": 1, "callbacks": [Look()]}
    mixvae.fit(recipe, dataset, out=tmp_path / "run", **how)
    assert agree[0] > 0.75

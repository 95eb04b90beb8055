"""HSIC and dHSIC against their definitions."""

from itertools import combinations
from math import exp, gamma, pi, prod, sqrt

import pytest
import torch
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.objectives.kernels import dhsic, hsic, pairwise_hsic, rbf

pytestmark = pytest.mark.usefixtures("maths")


def by_definition(codes: list[Tensor], rates: list[float]) -> float:
    """M-VAE (13), three sums over rows, one number at a time."""
    n, rows = len(codes[0]), range(len(codes[0]))

    def kernel(k: int, i: int, j: int) -> float:
        return exp(-rates[k] * float((codes[k][i] - codes[k][j]).square().sum()))

    every = range(len(codes))
    joint = sum(prod(kernel(k, i, j) for k in every) for i in rows for j in rows) / n**2
    product = prod(sum(kernel(k, i, j) for i in rows for j in rows) / n**2 for k in every)
    cross = sum(prod(sum(kernel(k, i, j) for j in rows) / n for k in every) for i in rows) / n
    return joint + product - 2 * cross


@pytest.mark.parametrize("bandwidth", [None, "gaussian", 0.7])
def test_pairwise_hsic_is_the_hsic_of_each_pair(bandwidth):
    z = torch.randn(20, 4, 3)
    z[:, 1] += z[:, 0]
    expected = [[hsic(z[:, i], z[:, j], bandwidth) for j in range(4)] for i in range(4)]
    torch.testing.assert_close(pairwise_hsic(z, bandwidth), torch.tensor(expected))
    with pytest.raises(MixvaeError, match="at least two rows"):
        pairwise_hsic(z[:1], bandwidth)


@pytest.mark.parametrize("n_components", [2, 3, 5])
def test_dhsic_equals_its_definition(n_components):
    z = torch.randn(6, n_components, 2)
    expected = by_definition(list(z.unbind(1)), [0.3] * n_components)
    assert dhsic(z, 0.3).item() == pytest.approx(expected, rel=1e-10)


def test_dhsic_of_codes_of_several_sizes_equals_its_definition():
    codes = [torch.randn(6, n) for n in (1, 2, 4)]
    assert dhsic(codes, 0.3).item() == pytest.approx(by_definition(codes, [0.3] * 3), rel=1e-10)


@pytest.mark.parametrize("bandwidth", [None, "gaussian", 0.3])
def test_a_tensor_of_codes_and_a_list_of_them_give_the_same(bandwidth):
    z = torch.randn(8, 3, 2) * torch.tensor([1.0, 3.0, 0.2])[:, None]
    torch.testing.assert_close(dhsic(z, bandwidth), dhsic(list(z.unbind(1)), bandwidth))


def test_dhsic_of_a_pair_is_the_trace_formula_of_hsic():
    """Gretton et al. 2005: tr(K H L H) / n², H the centring matrix."""
    x, y = torch.randn(7, 2), torch.randn(7, 3)
    h = torch.eye(7) - 1 / 7
    expected = torch.trace(rbf(x, 0.4) @ h @ rbf(y, 0.4) @ h) / 49
    torch.testing.assert_close(dhsic([x, y], 0.4), expected)
    torch.testing.assert_close(hsic(x, y, 0.4), expected)


def test_rbf_is_the_gaussian_kernel():
    x = torch.randn(5, 3)
    torch.testing.assert_close(rbf(x, 0.7), torch.exp(-0.7 * torch.cdist(x, x) ** 2))


def test_the_median_heuristic_by_hand():
    """Points 0, 1, 3: distances 1, 3, 2, and so gamma = 1 / (2 · 2²)."""
    points = torch.tensor([0.0, 1.0, 3.0])[:, None]
    codes = [points, 10 * points]
    assert dhsic(codes, None).item() == pytest.approx(by_definition(codes, [1 / 8, 1 / 800]))


def test_the_median_is_over_pairs_of_different_rows():
    z = torch.randn(9, 2, 3)
    medians = []
    for code in z.unbind(1):
        distances = sorted(float((code[i] - code[j]).norm()) for i, j in combinations(range(9), 2))
        medians.append(distances[(len(distances) - 1) // 2])
    expected = by_definition(list(z.unbind(1)), [1 / (2 * m**2) for m in medians])
    assert dhsic(z).item() == pytest.approx(expected, rel=1e-10)


def test_the_median_heuristic_is_held_fixed_in_the_gradient():
    points = torch.tensor([0.0, 1.0, 3.0, 7.0])[:, None]  # the lower median of 6 distances: 3
    codes = [points.clone().requires_grad_(), points[[1, 3, 0, 2]].clone().requires_grad_()]
    chosen = torch.autograd.grad(dhsic(codes, None), codes)
    fixed = torch.autograd.grad(dhsic(codes, 1 / 18), codes)
    torch.testing.assert_close(chosen, fixed)


@pytest.mark.parametrize("n_latent", [1, 2, 20, 50])
def test_the_gaussian_bandwidth_is_its_closed_form(n_latent):
    g = 2 * gamma((n_latent + 1) / 2) / gamma(n_latent / 2)
    z = torch.randn(6, 3, n_latent)
    torch.testing.assert_close(dhsic(z, "gaussian"), dhsic(z, 1 / (2 * g**2)))
    if n_latent == 1:
        assert g == pytest.approx(2 / sqrt(pi))


def test_the_gaussian_bandwidth_is_the_expected_distance_of_two_normal_codes():
    """100,000 pairs; the tolerance is four standard errors."""
    z = torch.randn(6, 2, 3)
    distances = (torch.randn(100_000, 3) - torch.randn(100_000, 3)).norm(dim=-1)
    error = float(distances.std()) / 100_000**0.5
    g = float(distances.mean())
    low, high = (float(dhsic(z, 1 / (2 * h**2))) for h in (g - 4 * error, g + 4 * error))
    assert min(low, high) <= float(dhsic(z, "gaussian")) <= max(low, high)


@pytest.mark.parametrize("n_latent", [70, 500])
def test_the_gaussian_bandwidth_of_a_large_code_stays_finite_in_float32(n_latent):
    """The ratio of Gammas overflows; for large L it tends to g² = 2L - 1."""
    z = torch.randn(8, 3, n_latent, dtype=torch.float32)
    value = dhsic(z, "gaussian")
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, dhsic(z, 1 / (4 * n_latent - 2)), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("bandwidth", [None, "gaussian", 0.3])
def test_autocast_does_not_change_dhsic(bandwidth):
    z = torch.randn(16, 3, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = dhsic(z, bandwidth)
        of_half = dhsic(z.bfloat16(), bandwidth)
    torch.testing.assert_close(inside.double(), dhsic(z.double(), bandwidth), rtol=1e-4, atol=1e-6)
    assert torch.equal(of_half, dhsic(z.bfloat16().float(), bandwidth))


def test_far_from_the_origin_float32_still_sees_the_same_distances():
    z = torch.randn(16, 3, 4, dtype=torch.float32)
    torch.testing.assert_close(dhsic(z + 100, 0.3), dhsic(z, 0.3), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("bandwidth", [None, "gaussian", 0.3])
def test_dhsic_is_never_negative_and_has_no_order(bandwidth):
    z = torch.randn(12, 3, 2)
    value = dhsic(z, bandwidth)
    assert value > 0
    torch.testing.assert_close(dhsic(z[:, [2, 0, 1]], bandwidth), value)
    torch.testing.assert_close(dhsic(z[torch.randperm(12)], bandwidth), value)


@pytest.mark.parametrize("bandwidth", [None, "gaussian", 0.3])
def test_a_constant_code_depends_on_nothing(bandwidth):
    value = dhsic([torch.randn(9, 2), torch.full((9, 3), 4.0)], bandwidth)
    assert value.item() == pytest.approx(0, abs=1e-12)


def test_one_code_depends_on_nothing():
    assert dhsic(torch.randn(9, 1, 2)).item() == pytest.approx(0, abs=1e-12)


def test_dhsic_tells_dependent_codes_from_independent_ones():
    z = torch.randn(300, 3, 2)
    independent = dhsic(z)
    identical = dhsic(z[:, :1].expand(-1, 3, -1))
    one_pair = dhsic(torch.stack([z[:, 0], z[:, 1], z[:, 0] + z[:, 1]], 1))
    assert 0 < independent < 0.01
    assert one_pair > 3 * independent
    assert identical > one_pair


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("bad", ["median", 0, -1.0, float("nan")])
def test_an_unknown_bandwidth_is_an_error(bad):
    with pytest.raises(MixvaeError, match=f"gamma must be None, 'gaussian' or .*got {bad!r}"):
        dhsic(torch.randn(4, 2, 3), bad)


def test_one_row_is_an_error():
    with pytest.raises(MixvaeError, match="at least two rows; got 1"):
        dhsic(torch.randn(1, 2, 3))


def test_a_gram_matrix_under_autocast_is_that_of_float32():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = rbf(x, 0.5)
    torch.testing.assert_close(found, rbf(x, 0.5))
    torch.testing.assert_close(found.diagonal(), torch.ones(20))

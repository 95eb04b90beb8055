"""The recipes of examples/: they train, are loaded in a new process, and maximise what they say."""

import importlib.util
import subprocess
import sys
from math import exp
from pathlib import Path

import pytest
import torch

import mixvae
from mixvae.cli import main
from mixvae.objectives import elbo

pytestmark = pytest.mark.usefixtures("own_recipes")

FILE = Path(__file__).parents[1] / "examples" / "infovae.py"
TINY = ["--data", "digits", "--subset", "200", "--hidden", "16", "--n-latent", "3"]
QUIET = ["--progress", "false", "--pictures", "false"]


@pytest.fixture
def infovae(own_recipes):
    """The module, as a user imports it."""
    spec = importlib.util.spec_from_file_location("infovae", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(infovae, **options):
    torch.manual_seed(0)
    return mixvae.build(infovae.InfoVAE(hidden=[16], n_latent=3, **options), (1, 8, 8))


def test_it_trains_from_the_command_line_and_a_new_process_loads_it_by_its_class(tmp_path, capsys):
    out = str(tmp_path / "run")
    argv = ["train", f"{FILE}:InfoVAE", *TINY, *QUIET, "--max-epochs", "1", "--out", out]
    assert main([*argv, "--alpha", "0.5", "--lambda-mmd", "20"]) == 0
    assert "not guaranteed to be a bound" in capsys.readouterr().out
    code = f"""
import sys
sys.path.insert(0, {str(FILE.parent)!r})
import mixvae
try:
    mixvae.load({out!r})
except mixvae.MixvaeError:
    pass
else:
    raise SystemExit("loaded what was not imported")
from infovae import InfoVAE
run = mixvae.load({out!r}, recipes=[InfoVAE])
assert (run.recipe.recipe.alpha, run.recipe.recipe.lambda_mmd) == (0.5, 20.0)
assert run.recipe.model.sample(2).shape == (2, 1, 8, 8)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_its_mmd_is_the_double_loop_over_a_batch_made_by_hand(infovae):
    z = [[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]
    other = [[1.0, 1.0], [-1.0, 0.0], [0.0, 3.0]]

    def mean(a, b):
        each = [
            exp(-sum((p - q) ** 2 for p, q in zip(x, y, strict=True)) / 4) for x in a for y in b
        ]
        return sum(each) / len(each)

    expected = mean(z, z) + mean(other, other) - 2 * mean(z, other)
    z, other = torch.tensor(z), torch.tensor(other)
    torch.testing.assert_close(infovae.mmd(z, other).item(), expected, rtol=1e-5, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(infovae.mmd(z, other), infovae.mmd(z, other).float())
        torch.testing.assert_close(infovae.mmd(z, other).item(), expected, rtol=1e-5, atol=0)
    assert infovae.mmd(z, z).abs() < 1e-6


def test_with_alpha_0_and_lambda_1_it_is_the_elbo_and_else_it_weighs_its_terms(infovae):
    x = torch.rand(5, 1, 8, 8)
    plain, weighed = built(infovae, lambda_mmd=1.0), built(infovae, alpha=0.25, lambda_mmd=3.0)
    trace = plain.model(x)
    own = {name: term.mean() for name, term in elbo(trace).items()}
    terms = plain.objective.terms(trace)
    assert plain.objective.is_bound
    assert terms == own
    torch.manual_seed(1)
    terms = weighed.objective.terms(trace)
    torch.manual_seed(1)
    mmd = infovae.mmd(trace.z[0, :, 0], torch.randn(5, 3))
    assert not weighed.objective.is_bound
    assert terms["log_lik"] == own["log_lik"]
    torch.testing.assert_close(terms["kl_z"], 0.75 * own["kl_z"])
    torch.testing.assert_close(terms["mmd"], -2.25 * mmd)


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"lambda_mmd": 0.5}])
def test_weights_below_zero_are_refused(infovae, options):
    with pytest.raises(mixvae.MixvaeError, match="alpha must be at most 1"):
        infovae.InfoVAE(**options)

"""What the tests share. Shapes in signatures are checked too, as pyproject.toml tells pytest."""

from collections.abc import Callable, Iterator

import jaxtyping
import pytest
import torch

from mixvae.recipes import registry


@pytest.fixture
def maths() -> Iterator[None]:
    """Float64 and a fixed seed: for facts about numbers rather than about training."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No type checking: wrong arguments meet our own messages, as they do for users."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


LONG = (  # files of long computations and of whole commands, where the checks would take most time
    *("test_aggregated", "test_annealed", "test_arviz", "test_auxiliary", "test_batch_labels"),
    *("test_class_names", "test_cli", "test_cli_output", "test_command_values", "test_comparison"),
    *("test_discrete_vae", "test_docs", "test_draw", "test_estimator", "test_estimator_continuing"),
    *("test_estimator_rows", "test_estimator_tables", "test_exact_dropout", "test_exemplars"),
    *("test_experiments_gmm", "test_experiments_mvae", "test_explore", "test_explore_page"),
    *("test_explore_server", "test_export_run", "test_feature_network", "test_flow_kinds"),
    *("test_gaussian_process", "test_hub", "test_hvae", "test_imputation", "test_ladder_vae"),
    *("test_log_likelihood", "test_loop", "test_missing_mixed", "test_mixed_tables"),
    *("test_multiple_importance", "test_own_recipes", "test_pictures", "test_plots"),
    *("test_processes", "test_proposals", "test_report_page", "test_reproduction"),
    *("test_resampled_prior", "test_rivals", "test_rows", "test_run_folder", "test_search"),
    *("test_select", "test_splitting", "test_tables_cli", "test_training", "test_vlae"),
)


@pytest.fixture(autouse=True)
def shapes(request: pytest.FixtureRequest) -> None:
    """Shapes in signatures are checked but in long computations, whose parts other tests check."""
    if request.path.stem in LONG or "tutorial" in request.node.name:
        request.getfixturevalue("unchecked")


@pytest.fixture
def own_recipes() -> Iterator[Callable[[], None]]:
    """Recipes that a test registers are forgotten after it, and when this is called."""
    before = dict(registry._registered)

    def forget() -> None:
        registry._registered.clear()
        registry._registered.update(before)

    yield forget
    forget()

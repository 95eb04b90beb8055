"""What the tests share. Shapes in signatures are checked too: pyproject.toml tells pytest."""

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


@pytest.fixture
def own_recipes() -> Iterator[Callable[[], None]]:
    """Recipes that a test registers are forgotten after it, and when this is called."""
    before = dict(registry._registered)

    def forget() -> None:
        registry._registered.clear()
        registry._registered.update(before)

    yield forget
    forget()

"""What training asks of the process: memory that is kept, and noise that is seeded."""

import os
import platform
from pathlib import Path

import pytest
import torch

from mixvae.seeding import seed_noise, seed_of
from mixvae.training.denormals import flushed_denormals
from mixvae.training.memory import kept_memory

MIB = 2**20
LARGE = 256 * MIB


def resident() -> int:
    """The process's memory, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc")
def test_freed_memory_is_kept_and_given_back_at_the_end() -> None:
    with kept_memory():
        pass  # whose end gives back what other tests have freed, and would be used again here
    before = resident()
    with kept_memory():
        torch.ones(LARGE // 4)  # made, and freed at once
        assert resident() - before > 0.9 * LARGE
    assert resident() - before < 0.1 * LARGE
    torch.ones(LARGE // 4)
    assert resident() - before < 0.1 * LARGE


def test_numbers_below_the_smallest_normal_one_are_zero_while_it_lasts() -> None:
    def small() -> float:
        return (torch.tensor([1e-30]) * 1e-10).item()

    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    assert small() > 0
    with flushed_denormals():
        assert small() == 0
        with flushed_denormals():
            pass
        assert small() == 0
    assert small() > 0
    with pytest.raises(KeyError), flushed_denormals():
        raise KeyError
    assert small() > 0


def test_noise_is_that_of_torchs_own_seed_on_a_cpu() -> None:
    seed = seed_of(3, 1, 4)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = torch.randn(5)
        torch.randn(2)
        seed_noise(seed, torch.device("cpu"))
        assert torch.equal(torch.randn(5), expected)


def test_seeding_leaves_nothing_behind_for_accelerators_that_are_not_used() -> None:
    waiting = len(torch.cuda._queued_calls)
    with torch.random.fork_rng():
        seed_noise(1, torch.device("cpu"))
    assert len(torch.cuda._queued_calls) == waiting

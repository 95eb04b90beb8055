"""Noise that depends on a few numbers and on nothing else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from threading import RLock
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from .errors import seeds

CPU = torch.device("cpu")
_GENERATORS = RLock()  # PyTorch's default generators are one for all threads


def seed_of(*numbers: int) -> int:
    """One 64-bit seed of several numbers: a step's noise depends on nothing but these.

    So a resumed run draws what the uninterrupted one would have, and no random state is stored.
    """
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=8).digest())


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed what draws on the CPU and on one device.

    As ``torch.manual_seed``, which also tells every kind of accelerator that has not been used yet,
    and writes down a stack trace for each: half a millisecond and more, at every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


@contextmanager
def noise(seed: int | None, device: torch.device = CPU) -> Iterator[None]:
    """Draw from the default generators, seeded, and leave them as they were.

    One thread at a time is let in, so that what it draws is decided by its seed alone, however many
    threads train. A thread may come in again while it is there. Without a seed, nothing is done.
    """
    if seed is None:
        yield
        return
    seeds(seed=seed)
    with _GENERATORS:
        before = torch.default_generator.get_state()
        other = None if device.type == "cpu" else torch.get_device_module(device)
        theirs = None if other is None else other.get_rng_state()
        try:
            seed_noise(seed, device)
            yield
        finally:
            torch.default_generator.set_state(before)
            if other is not None:
                other.set_rng_state(theirs)


class Noise(TorchFunctionMode):
    """A context in which all random numbers of this thread are drawn from its own generators.

    The distributions of ``torch.distributions`` take no generator. Within this context PyTorch's
    random functions, whoever calls them, are handed one, so that the global generator is neither
    read nor changed and several threads do not share one. The numbers are those that the global
    generator would give after ``torch.manual_seed(seed)``.

    Functions that take no generator are not covered, such as ``torch.nn.functional.dropout``, which
    a model in evaluation mode does not call.

    Args:
        source: a seed, from which every device gets a generator; or the generator of all.
    """

    def __init__(self, source: int | Generator) -> None:
        super().__init__()
        self.source = source
        self._generators: dict[torch.device, Generator] = {}

    def generator(self, device: torch.device) -> Generator:
        """A device's generator; the one that came, which PyTorch refuses on another device."""
        if isinstance(self.source, Generator):
            return self.source
        if device.type != "cpu" and device.index is None:
            device = torch.device(device.type, torch.get_device_module(device).current_device())
        if device not in self._generators:
            self._generators[device] = Generator(device).manual_seed(self.source)
        return self._generators[device]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in FILL:  # rand_like(x), which took no generator before PyTorch 2.9
            values = torch.empty_like(*args, **kwargs)
            return FILL[func](values, generator=self.generator(values.device))
        if func in TAKE_A_GENERATOR and kwargs.get("generator") is None:
            kwargs = kwargs | {"generator": self.generator(_device(args, kwargs))}
        return func(*args, **kwargs)


TAKE_A_GENERATOR = {
    *(torch.normal, torch.rand, torch.randn, torch.randint, torch.randperm),
    *(torch.bernoulli, torch.binomial, torch.multinomial, torch.poisson),
    *(torch._sample_dirichlet, torch._standard_gamma),
    *(Tensor.bernoulli, Tensor.bernoulli_, Tensor.multinomial, Tensor.random_),
    *(Tensor.normal_, Tensor.uniform_, Tensor.exponential_, Tensor.geometric_),
    *(Tensor.cauchy_, Tensor.log_normal_),
}
FILL = {torch.rand_like: Tensor.uniform_, torch.randn_like: Tensor.normal_}


def noise_from(generator: Generator | None) -> AbstractContextManager[object]:
    """The context of a :class:`Noise`; by None, of the global generator as ever."""
    return nullcontext() if generator is None else Noise(generator)


def _device(args: Sequence[Any], kwargs: dict[str, Any]) -> torch.device:
    """Where a random function draws: on a tensor's device, one that is named, or the default."""
    tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    if (tensor := next(tensors, None)) is not None and kwargs.get("device") is None:
        return tensor.device
    return torch.device(kwargs.get("device") or torch.get_default_device())

"""Seeds and random generators: noise that depends on the numbers named, and on nothing else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from threading import RLock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from .errors import seeds

CPU = torch.device("cpu")
_GENERATORS = RLock()  # PyTorch's default generators are one for all threads


def seed_of(*numbers: int) -> int:
    """64-bit seed that is a hash of several numbers, such as a run's seed, an epoch and a step.

    A resumed run then has the noise of the uninterrupted one, without a stored random state.

    Parameters
    ----------
    *numbers
        Integers; their order counts.

    Returns
    -------
    int
        BLAKE2b of the numbers, 0 to 2**64 - 1.
    """
    return _hash(repr(numbers).encode())


def seed_of_row(seed: int, x: Float[Tensor, " *X"], y: Int64[Tensor, " *N"] | None = None) -> int:
    """64-bit seed that is a hash of an example's content, so that its noise is its own everywhere.

    Equal examples have equal seeds, in any batch, at any place and on any device.

    Parameters
    ----------
    seed
        The seed of the whole computation.
    x
        The values of one example, in any shape; only their order counts.
    y
        Its class, shape () or (1,), where the noise depends on it too.

    Returns
    -------
    int
        BLAKE2b of ``seed``, ``y`` and ``x``, 0 to 2**64 - 1.
    """
    context = repr((seed, None if y is None else y.tolist())).encode()
    values = (x.cpu() + 0.0).contiguous().numpy()  # -0.0 is 0.0
    values[np.isnan(values)] = np.nan  # which has many representations
    return _hash(context + values.tobytes())


def _hash(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest())


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed the default generators of the CPU and of one device.

    ``torch.manual_seed`` also seeds every other kind of accelerator, and records a stack trace for
    those not in use yet: half a millisecond and more, at every step.

    Parameters
    ----------
    seed
        0 to 2**64 - 1.
    device
        The device in use.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


@contextmanager
def noise(seed: int | None, device: torch.device = CPU) -> Iterator[None]:
    """Context in which the default generators are seeded; they are restored after it.

    It is a reentrant lock: one thread at a time is inside, so that its noise depends on the seed
    alone, however many threads train.

    Parameters
    ----------
    seed
        0 to 2**64 - 1; with None the context does nothing.
    device
        The device in use, besides the CPU.

    Raises
    ------
    MixvaeError
        For a seed outside that range.
    """
    if seed is None:
        yield
        return
    seeds(seed=seed)
    with _GENERATORS:
        before = torch.default_generator.get_state()
        other = None if device.type == "cpu" else torch.get_device_module(device)
        other_state = None if other is None else other.get_rng_state()
        try:
            seed_noise(seed, device)
            yield
        finally:
            torch.default_generator.set_state(before)
            if other is not None:
                other.set_rng_state(other_state)


class Noise(TorchFunctionMode):
    """Context in which all random numbers of this thread come from generators of its own.

    The distributions of ``torch.distributions`` take no generator. Within this context PyTorch's
    random functions are given one, whoever calls them: the global generator is neither read nor
    changed, and threads do not share a generator. The numbers are those of the global generator
    after ``torch.manual_seed(seed)``.

    Functions without a generator argument are not covered, such as ``torch.nn.functional.dropout``,
    which a model in evaluation mode does not call.

    Parameters
    ----------
    source
        A seed, from which each device gets a generator; or one generator for everything.
    """

    def __init__(self, source: int | Generator) -> None:
        super().__init__()
        self.source = source
        self._generators: dict[torch.device, Generator] = {}

    def generator(self, device: torch.device) -> Generator:
        """The generator of a device: ``source`` if that is one, else one seeded with it."""
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
    """Context in which random functions use this generator.

    Parameters
    ----------
    generator
        The source of all noise; None leaves the global generators in use.

    Returns
    -------
    AbstractContextManager
        A :class:`Noise`, or a context that does nothing.
    """
    return nullcontext() if generator is None else Noise(generator)


def _device(args: Sequence[Any], kwargs: dict[str, Any]) -> torch.device:
    """The device of a random function's result: the one named, a tensor's, or the default."""
    tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    if (tensor := next(tensors, None)) is not None and kwargs.get("device") is None:
        return tensor.device
    return torch.device(kwargs.get("device") or torch.get_default_device())

"""Where training runs: one process by itself, or several that Lightning Fabric starts and joins."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mixvae.errors import MixvaeError, one_of, whole
from mixvae.objectives import Terms

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")  # with whole weights in each
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # set for processes that are started together
T = TypeVar("T")
Objective = Callable[..., Terms]  # (module, x, kl_weight, y) -> terms; weights last, if any
Bound = Callable[..., Terms]  # (x, kl_weight, y) -> terms, likewise


class Machine:
    """One process on one device, without a framework: the methods do what several need."""

    world = 1
    rank = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def launch(self) -> None:
        """Start the other processes, and join them."""

    def together(self) -> AbstractContextManager[Any]:
        """Within it, a process that ends early is an error of one line in the others."""
        return nullcontext()

    def bind(self, objective: Objective, module: nn.Module) -> Bound:
        """The objective of a module that is on the device."""
        return partial(objective, module)

    def accumulating(self, bound: Bound, more: bool) -> AbstractContextManager[Any]:
        """Within it gradients need not be exchanged, if ``more`` come before the next step."""
        return nullcontext()

    def share(self, module: nn.Module) -> None:
        """Give every process the first one's weights."""

    def agree(self, value: T) -> T:
        """The first process's value, in all of them."""
        return value

    def wait(self) -> None:
        """Wait until all processes are here."""


class Processes(Machine):
    """Several processes, each with a device of its own, that average their gradients (DDP).

    No signal is handled: a process that dies ends the others, by a broken connection or by
    Fabric's watch over the processes that it has started.
    """

    def __init__(self, accelerator: str, devices: int | str, num_nodes: int, strategy: str) -> None:
        from lightning.fabric import Fabric

        logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
        try:
            self.fabric = Fabric(
                accelerator=accelerator, devices=devices, num_nodes=num_nodes, strategy=strategy
            )
        except (ValueError, TypeError, RuntimeError, ImportError) as error:
            raise MixvaeError(
                f"Lightning Fabric cannot train on devices={devices!r} of accelerator="
                f"{accelerator!r}, num_nodes={num_nodes}, strategy={strategy!r}: {error}"
            ) from error
        if getattr(self.fabric.strategy.launcher, "is_interactive_compatible", False):
            raise MixvaeError(
                "several processes cannot be started from a notebook; use devices=1, or a script."
            )
        super().__init__(self.fabric.device)
        self.world, self.rank = self.fabric.world_size, process()

    def launch(self) -> None:
        self.fabric.launch()
        self.rank, self.device = self.fabric.global_rank, self.fabric.device

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if "gloo" in str(error) or isinstance(error, torch.distributed.DistError):
                raise ConnectionError(
                    f"process {self.rank} of {self.world} lost the connection to another one, "
                    "which has ended"
                ) from error
            raise

    def bind(self, objective: Objective, module: nn.Module) -> Bound:
        bound: Bound = self.fabric.setup_module(_Bound(objective, module))
        return bound

    def accumulating(self, bound: Any, more: bool) -> AbstractContextManager[Any]:
        return self.fabric.no_backward_sync(bound, enabled=more)

    def share(self, module: nn.Module) -> None:
        if self.world > 1:
            for part in module.state_dict().values():
                torch.distributed.broadcast(part, 0)

    def agree(self, value: T) -> T:
        return self.fabric.broadcast(value)

    def wait(self) -> None:
        self.fabric.barrier()


class _Bound(nn.Module):
    """An objective and its module as the one module that exchanges gradients; returns terms."""

    def __init__(self, objective: Objective, module: nn.Module) -> None:
        super().__init__()
        self.objective, self.module = objective, module

    def forward(self, x: Tensor, kl_weight: Any, y: Tensor | None, *weights: Tensor) -> Terms:
        return self.objective(self.module, x, kl_weight, y, *weights)


def machine_of(
    accelerator: str = "auto", devices: int | str = 1, num_nodes: int = 1, strategy: str = "auto"
) -> Machine:
    """The machine that options describe; only one of several processes needs Lightning.

    Raises
    ------
    MixvaeError
        For hardware that is not there, and strategies other than DDP.
    """
    one_of("accelerator", accelerator, ACCELERATORS)
    one_of("strategy", strategy, STRATEGIES)
    device = _device(accelerator)
    if isinstance(devices, str) and devices.replace("_", "").lstrip("-").isdigit():
        devices = int(devices)
    _check_counts(device, devices, num_nodes)
    n_here = torch.cuda.device_count() if device.type == "cuda" else 1
    alone = devices == 1 or (devices == "auto" and n_here == 1)
    if alone and num_nodes == 1 and strategy == "auto":
        return Machine(device)
    return Processes(accelerator, devices, num_nodes, strategy)


def _check_counts(device: torch.device, devices: int | str, num_nodes: int) -> None:
    """Refuse what Fabric takes and cannot start, or refuses in words of its own."""
    whole(1, num_nodes=num_nodes)
    if num_nodes > 1 and not {*RANKS, "MASTER_ADDR"} & os.environ.keys():
        raise MixvaeError(
            f"num_nodes is {num_nodes}, and nothing says where the other machines are: start every "
            "one by torchrun or a scheduler, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each."
        )
    if device.type != "cpu" or devices == "auto":
        return
    if not isinstance(devices, int) or devices < 1:
        raise MixvaeError(f"devices must be a number from 1 or 'auto'; got {devices!r}.")
    most = max(2, cores := os.cpu_count() or 1)  # two, wherever it may be, to try several
    if devices > most:
        raise MixvaeError(
            f"devices is {devices}, which on a CPU are processes, and there are {cores} cores "
            f"here; use at most {most}."
        )


def process() -> int:
    """The number of this process among those that train together, also before they are joined."""
    return next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)


def _device(accelerator: str) -> torch.device:
    """The first device of a kind; of the best kind for ``auto``."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    if accelerator in ("auto", "cpu"):
        return torch.device("cpu")
    raise MixvaeError(
        f"accelerator={accelerator!r} is not to be found here by PyTorch; use cpu or auto."
    )

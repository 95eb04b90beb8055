"""Objectives compiled by torch.compile."""

import torch
from torch import Tensor

from mixvae.errors import MixvaeError, one_of
from mixvae.evaluation.batches import evaluating
from mixvae.model import MixtureVAE
from mixvae.objectives import Objective, Terms
from mixvae.trace import Scale

from .settings import Compile


class Compiled:
    """An objective for training that is compiled at its first call.

    The weight of the KL terms comes in as a tensor: a number that changes would be compiled twice.
    """

    def __init__(self, objective: Objective, mode: str | None) -> None:
        self.plain = objective
        self.compiled = torch.compile(objective.__call__, mode=mode)
        self.started = False

    def __call__(
        self, model: MixtureVAE, x: Tensor, weight: Scale, y: Tensor | None, *weights: Tensor
    ) -> Terms:
        if not self.started:
            with evaluating(model):  # looks up which KLs there are, which compiled code cannot
                self.plain(model, x, 1.0, y)
            self.started = True
        scale = torch.full((), float(weight), device=x.device)  # no copy for a GPU to wait for
        terms: Terms = self.compiled(model, x, scale, y, *weights)
        return terms


def check_compiler(compile: Compile, device: torch.device) -> None:
    """Refuse to compile where torch.compile cannot: on a CPU it needs a C++ compiler.

    That takes some seconds, most of them for loading what the run needs anyway.
    """
    if not isinstance(compile, bool):
        one_of("compile", compile, ("reduce-overhead",))
    if not compile:
        return
    try:
        torch.compile(torch.sin)(torch.zeros(2, device=device))
    except Exception as error:  # it has dozens of kinds
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MixvaeError(
            f"torch.compile does not work here ({reason}). Install a C++ compiler, such as g++ or "
            "clang++ (another one is named by the environment variable CXX), or leave compile out."
        ) from error

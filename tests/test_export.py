"""Models as ``torch.export`` programs, for batches of any size."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from cases import FLAT, LARGER, Case
from mixvae.model import MixtureVAE

CONV = {"network": "conv", "channels": (4, 6)}
CASES = [
    Case("vae"),
    Case("m-vae", {"likelihood": "gaussian"}, FLAT),
    Case("mixture-vae", {"shared_layers": True}),
    Case("dlgmm"),
    Case("m-vae", CONV, LARGER),
]


class Whole(nn.Module):
    """The means of codes and weights, of p(x | z, w) of given ones, and of the reconstruction."""

    def __init__(self, model: MixtureVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, z: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        q_z, q_w = self.model.infer(x)
        p_x = self.model.decode(z.unsqueeze(0), w.unsqueeze(0))
        return q_z.mean, q_w.mean, p_x.mean.squeeze(0), self.model.reconstruct(x)


def arguments(case: Case, model: MixtureVAE, n: int) -> tuple[Tensor, Tensor, Tensor]:
    x = case.data(n)
    q_z, q_w = model.infer(x)
    return x, q_z.mean, q_w.mean


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_exported_model_takes_a_batch_of_any_size(case: Case) -> None:
    model = case.build().model.eval().requires_grad_(False)
    whole, rows = Whole(model), Dim("rows", min=1)
    program = export(whole, arguments(case, model, 4), dynamic_shapes=[{0: rows}] * 3).module()
    for n in (1, 50):
        given = arguments(case, model, n)
        for found, expected in zip(program(*given), whole(*given), strict=True):
            torch.testing.assert_close(found, expected)

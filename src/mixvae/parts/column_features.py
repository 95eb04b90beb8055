"""What networks read of a table whose columns are of several kinds."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.distributions import log_library_size
from mixvae.likelihoods.columns import COUNTS, ColumnKinds


class ColumnFeatures(nn.Module):
    """Rows of a table as numbers of similar size.

    Counts x become log(1 + x), or log(1 + x / s) for a row of library size s. C categories become C
    columns of 0 and 1, and the codes of C ordered categories values from -1 to 1. Other columns
    stay as they are.

    Parameters
    ----------
    kinds
        The likelihood of each of the D columns.
    library_size
        As of :class:`.ColumnLikelihood`.

    Examples
    --------
    >>> kinds = ColumnKinds((("categorical", 3), ("ordinal", 3), ("poisson", 1)))
    >>> ColumnFeatures(kinds)(torch.tensor([[1.0, 2.0, 0.0]]))
    tensor([[0., 1., 0., 1., 0.]])
    """

    def __init__(self, kinds: ColumnKinds, library_size: float | None = None) -> None:
        super().__init__()
        self.kinds, self.library_size = kinds, library_size
        repeats = [n if name == "categorical" else 1 for name, n in kinds.kinds]
        self.n_features = sum(repeats)  # F
        of = torch.arange(len(repeats)).repeat_interleave(torch.tensor(repeats))
        code = torch.cat([torch.arange(n) for n in repeats])
        is_of = {
            "categorical": [name == "categorical" for name, _ in kinds.kinds],
            "ordinal": [name == "ordinal" for name, _ in kinds.kinds],
            "counts": [name in COUNTS for name, _ in kinds.kinds],
        }
        tensors = {name: torch.tensor(flags)[of] for name, flags in is_of.items()}
        steps = torch.tensor([max(n - 1, 1) for _, n in kinds.kinds])[of]
        tensors["summed"] = torch.tensor(kinds.those(*COUNTS)).long()
        for name, tensor in {"of": of, "code": code, "steps": steps, **tensors}.items():
            self.register_buffer(f"_{name}", tensor, persistent=False)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B F"]:
        get = self.get_buffer
        values = x[..., get("_of")]
        one_hot = (values == get("_code")).to(x.dtype)
        counts = torch.where(get("_counts"), values, 0)
        if self.library_size is not None:
            counts = counts / log_library_size(x, get("_summed"), self.library_size).exp()
        found = torch.where(get("_categorical"), one_hot, values)
        found = torch.where(get("_ordinal"), 2 * values / get("_steps") - 1, found)
        return torch.where(get("_counts"), counts.log1p(), found)

"""Class or batch labels as inputs of a conditional model's encoders and decoders."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError

Classes = Int64[Tensor, " B"]


class Labels:
    """The labels of an unconditional model: x and z are unchanged, and y must be None."""

    n_classes: int | None = None

    def of(self, split: Split) -> Classes | None:
        """The labels of a split that the model reads; None where it reads none.

        Parameters
        ----------
        split
            A split of the data.
        """
        return None

    def condition_x(self, x: Float[Tensor, "B *X"], y: Classes | None) -> Tensor:
        """The encoders' input."""
        self._reject(y)
        return x

    def condition_z(self, z: Float[Tensor, "S B K L"], y: Classes | None) -> Tensor:
        """The decoders' input."""
        self._reject(y)
        return z

    def _reject(self, y: Classes | None) -> None:
        if y is not None:
            raise MixvaeError(
                "this model is not conditional and takes no labels; leave them out (y, --label)."
            )


NO_LABELS = Labels()


class OneHot(Labels):
    """Labels as a one-hot input of every encoder and (sub-)decoder, MVAE Section V-C.

    Parameters
    ----------
    n_classes
        Number of classes, 0 ... n_classes - 1.
    planes
        Whether to append the one-hot to x as constant channels, (B, C + n, H, W), for convolutions,
        instead of to a flat vector, (B, D + n).
    """

    n_classes: int

    def __init__(self, n_classes: int, *, planes: bool = False) -> None:
        self.n_classes, self.planes = n_classes, planes

    def of(self, split: Split) -> Classes | None:
        return split.y

    def condition_x(self, x: Float[Tensor, "B *X"], y: Classes | None) -> Tensor:
        one_hot = self._one_hot(y, x.dtype)
        if not self.planes:
            return torch.cat([x.flatten(1), one_hot], 1)
        return torch.cat([x, one_hot[..., None, None].expand(-1, -1, *x.shape[2:])], 1)

    def condition_z(self, z: Float[Tensor, "S B K L"], y: Classes | None) -> Tensor:
        one_hot = self._one_hot(y, z.dtype)[None, :, None]
        return torch.cat([z, one_hot.expand(*z.shape[:3], -1)], -1)

    def check(self, y: Classes | None) -> Classes:
        """The labels; raises a MixvaeError if they are missing or name an unknown class."""
        known = f"0 ... {self.n_classes - 1}"
        if y is None:
            raise MixvaeError(
                f"this model is conditional on class labels: give y, the class of each x ({known})."
            )
        unseen = y[(y < 0) | (y >= self.n_classes)].unique().tolist()
        if unseen:
            raise MixvaeError(
                f"the model knows the classes {known}, and was given "
                f"{', '.join(map(str, unseen[:5]))}, which it has never seen."
            )
        return y

    def _one_hot(self, y: Classes | None, dtype: torch.dtype) -> Float[Tensor, "B n"]:
        # Reading values makes an accelerator wait; there, the data are checked before training.
        # An exported program cannot raise errors that depend on values.
        if y is None or (y.device.type == "cpu" and not torch.compiler.is_exporting()):
            y = self.check(y)
        return F.one_hot(y, self.n_classes).to(dtype)


class BatchLabels(OneHot):
    """Numbers of technical batches as a one-hot after x and z, for decoders that read it there.

    Parameters
    ----------
    n_batches
        Number of batches, 0 ... n_batches - 1.
    """

    def __init__(self, n_batches: int) -> None:
        super().__init__(n_batches)

    def of(self, split: Split) -> Classes | None:
        return split.batch_label

    def check(self, y: Classes | None) -> Classes:
        """The batches; raises a MixvaeError if they are missing or one of them is unknown."""
        known = f"0 ... {self.n_classes - 1}"
        if y is None:
            raise MixvaeError(
                f"this model was trained with batch labels: give the batch of each x ({known})."
            )
        unseen = y[(y < 0) | (y >= self.n_classes)].unique().tolist()
        if unseen:
            raise MixvaeError(
                f"the model knows the batches {known}, and was given "
                f"{', '.join(map(str, unseen[:5]))}, which it has never seen."
            )
        return y

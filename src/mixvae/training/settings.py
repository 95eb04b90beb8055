"""The settings of a training: plain values, checked, and kept in the run folder to resume with."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mixvae.errors import MixvaeError, one_of, positive, seeds, whole
from mixvae.nn.linear import Float32Library
from mixvae.run import TRAINING, read_json, write_json

Precision = Literal["32", "bf16", "16"]
Average = Literal["none", "ema", "swa"]
ClipBy = Literal["norm", "value"]
Compile = bool | Literal["reduce-overhead"]
EvaluateOn = Literal["test", "val"]


@dataclass(frozen=True)
class Settings:
    """The arguments of :func:`mixvae.fit` that decide what the weights become."""

    max_epochs: int
    batch_size: int
    lr: float
    warmup_epochs: int
    patience: int | None
    clip: float | None
    precision: Precision
    seed: int
    lr_schedule: str = "constant"  # or a function's qualified name, as optimizer
    optimizer: str = "adam"
    clip_by: ClipBy = "norm"
    accumulate: int = 1
    average: Average = "none"
    phase: str = "main"  # what the log calls the model's own training
    float32_library: Float32Library | None = None  # None: measured by each process

    def __post_init__(self) -> None:
        one_of("precision", str(self.precision), get_args(Precision))
        one_of("clip_by", str(self.clip_by), get_args(ClipBy))
        one_of("average", str(self.average), get_args(Average))
        whole(1, max_epochs=self.max_epochs, batch_size=self.batch_size, accumulate=self.accumulate)
        whole(0, warmup_epochs=self.warmup_epochs)
        seeds(seed=self.seed)
        positive(lr=self.lr)
        if self.patience is not None:
            whole(1, patience=self.patience)
        if self.clip is not None:
            positive(clip=self.clip)
        if self.warmup_epochs > self.max_epochs:
            raise MixvaeError(
                f"warmup_epochs ({self.warmup_epochs}) must not exceed max_epochs "
                f"({self.max_epochs}): no epoch would be trained on the objective itself."
            )

    def save(self, folder: Path) -> None:
        """Write them to a run folder."""
        write_json(folder / TRAINING, asdict(self))

    @classmethod
    def load(cls, folder: Path, **changed: Any) -> "Settings":
        """Read them back from a run folder, with some of them changed."""
        content = read_json(folder, TRAINING)
        hints = get_type_hints(cls)
        for name, value in content.items():
            kinds = _kinds(hints.get(name, object))
            if not isinstance(value, kinds) or (isinstance(value, bool) and object not in kinds):
                raise MixvaeError(
                    f"{folder / TRAINING} is not a run's settings: {name} is {value!r:.60}."
                )
        try:
            return cls(**content | changed)
        except TypeError as error:
            raise MixvaeError(f"{folder / TRAINING} is not a run's settings: {error}.") from error


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types of values of an annotation, as JSON has them."""
    if get_origin(hint) is Literal:
        return (str,)
    if args := get_args(hint):
        return tuple(kind for arg in args for kind in _kinds(arg))
    return (int, float) if hint is float else (hint,)

"""An epoch of mixvae beside one of pythae 0.1.2, each by its own trainer.

    python benchmarks/against_pythae.py [--models vae iwae-5] [--rows 50000] [--repeats 3]

Networks of 784-300-300-40 and back with ReLUs, batches of 100 binary images, Adam at 1e-3. pythae
is given the same layers. Both log, draw their progress bars and save a checkpoint of weights and
optimizer at the epoch's end ("after the steps": ours and theirs, ms); validation is left out.
pythae trains this likelihood in float32 alone, and that is what our fast mode is compared with:
bf16, and either precision with --compile, whose kernels are made in the first epoch. Times are of
the second; ratios above 1 say that mixvae is faster, "steps" without what comes after them. It all
takes half an hour, most of it for iwae-50. Needs `pip install -e ".[bench]"`.
"""

import logging
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from epochs import Stamps, Watch, compared, epochs_in_turn, images, our_epoch, unseen
from harness import begin, ms, options, report
from pythae.data.datasets import BaseDataset
from pythae.models import IWAE, VAE, VAMP, IWAEConfig, VAEConfig, VAMPConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

from mixvae.nn import MLP

D, H, L, C = 784, 300, 40, 500
BATCH, LR = 100, 1e-3
PLAIN = {"network": "mlp", "hidden": [H, H], "n_latent": L}
SHAPE = {"input_dim": (1, 28, 28), "latent_dim": L, "reconstruction_loss": "bce"}
MODELS: dict[str, tuple[str, dict[str, Any], type[VAE], VAEConfig]] = {
    "vae": ("vae", {}, VAE, VAEConfig(**SHAPE)),
    "vamp-prior": (
        "vamp-prior",
        {"n_pseudo_inputs": C},
        VAMP,
        VAMPConfig(number_components=C, **SHAPE),
    ),
    "iwae-5": ("iwae", {"n_samples": 5}, IWAE, IWAEConfig(number_samples=5, **SHAPE)),
    "iwae-50": ("iwae", {"n_samples": 50}, IWAE, IWAEConfig(number_samples=50, **SHAPE)),
}
TARGETS = {  # in float32 and in bfloat16, compiled or not
    "vae": (">= 1.4", ">= 2"),
    "vamp-prior": (">= 2.5", ">= 4"),
    "iwae-5": (">= 1.3", ">= 2"),
    "iwae-50": (">= 1.2", ">= 2"),
}
WAYS: dict[str, dict[str, Any]] = {
    "32": {"precision": "32"},
    "bf16": {"precision": "bf16"},
    "32, compiled": {"precision": "32", "compile": True},
    "bf16, compiled": {"precision": "bf16", "compile": True},
}


def main() -> None:
    """Time, print and write."""
    parser = options(__doc__, repeats=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="of ours")
    parser.add_argument("--rows", type=int, default=50_000, help="images an epoch (50000: MNIST's)")
    args = begin(parser)
    rows: list[dict[str, str]] = []
    for model in args.models:
        name, chosen, *_ = MODELS[model]
        ours = partial(our_epoch, name, args.rows, PLAIN | chosen, batch_size=BATCH)
        sides = {way: partial(ours, **WAYS[way]) for way in args.ways}
        sides["pythae"] = partial(pythae_epoch, model, args.rows)
        took = epochs_in_turn(sides, args)
        for way in args.ways:
            mine, other = took[way], took["pythae"]
            target = TARGETS[model][way.startswith("bf16")]
            rows.append(
                {
                    "model": model,
                    "precision": way,
                    "mixvae ms": ms(mine.whole),
                    "pythae ms": ms(other.whole),
                    "after the steps": f"{ms(mine.rest)} and {ms(other.rest)}",
                }
                | compared(other, mine, target)
            )
    report(rows, args)


class Encoder(BaseEncoder):
    """As ours; mean and log variance are two layers, as pythae's are."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), MLP(D, H, [H]), nn.ReLU())
        self.mean, self.log_var = nn.Linear(H, L), nn.Linear(H, L)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.body(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """As ours, to means of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(MLP(L, D, [H, H]), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.body(z).unflatten(-1, (1, 28, 28)))


class Stopwatch(TrainingCallback):
    """Our watch, called by pythae's trainer."""

    def __init__(self) -> None:
        self.watch = Watch()

    def on_train_step_begin(self, *_: Any, **__: Any) -> None:
        self.watch.stamp("begun")

    def on_eval_step_begin(self, *_: Any, **__: Any) -> None:
        self.watch.stamp("trained")

    def on_eval_step_end(self, *_: Any, **__: Any) -> None:
        self.watch.stamp("validated")

    def on_log(self, *_: Any, **__: Any) -> None:
        self.watch.stamp("over")


def pythae_epoch(model: str, rows: int) -> Stamps:
    """The second of two epochs by pythae's training pipeline."""
    logging.disable(logging.INFO)  # its notes on the console
    _, _, make, config = MODELS[model]
    stopwatch, data = Stopwatch(), images(rows, BATCH)
    train, val = (BaseDataset(split.x, split.x[:, 0, 0, 0]) for split in (data.train, data.val))
    with TemporaryDirectory() as folder, unseen():
        how = BaseTrainerConfig(
            output_dir=str(Path(folder, "run")),
            num_epochs=2,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH,
            learning_rate=LR,
            steps_saving=1,
            no_cuda=True,
        )
        pipeline = TrainingPipeline(make(config, Encoder(), Decoder()), how)
        pipeline(train, val, [stopwatch])
    return stopwatch.watch.at


if __name__ == "__main__":
    main()

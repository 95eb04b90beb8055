"""``fit`` and ``resume``: from a recipe and data to a run folder. Lightning is loaded when used."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import run as folders
from ..data.dataset import Dataset
from ..errors import MixvaeError, is_a, one_of
from ..files import write_text
from ..recipes import build
from ..recipes.building import AnyRecipe, BuiltRecipe
from ..run import Run
from ..run_folder import ORIGIN, is_finished, last_checkpoint, new_folder, own_folder, unmark
from .checkpoints import history_of, why_over
from .precision import PrecisionChoice, chosen_precision
from .settings import Compile, Schedule, Settings, check, check_memory, check_saved

RUN_FOLDER = "MIXVAE_RUN_FOLDER"  # tells the processes that Lightning starts where to write


class Options(NamedTuple):
    """What a run is done with, and its weights do not depend on."""

    logger: Any = "csv"
    progress: bool = True
    pictures: bool = True
    compile: Compile = False
    trainer: dict[str, Any] = {}  # noqa: RUF012 - Lightning's, which nobody changes


def fit(
    recipe: BuiltRecipe | AnyRecipe,
    data: Dataset,
    *,
    out: str | Path | None = None,
    max_epochs: int = 50,
    batch_size: int = 128,
    lr: float = 1e-3,
    lr_schedule: Schedule = "constant",
    warmup_epochs: int = 0,
    patience: int | None = None,
    clip: float | None = None,
    precision: PrecisionChoice = "auto",
    compile: Compile = False,
    seed: int = 0,
    accelerator: str = "auto",
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    logger: Any = "csv",
    progress: bool = True,
    pictures: bool = True,
    settings: dict[str, Any] | None = None,
    **trainer_options: Any,
) -> Run:
    """Train a recipe and leave a run folder behind.

    The weights kept are those of the epoch with the best objective on validation data, at its
    final weights (whatever the warm-up), and none from before the warm-up's end.

    Args:
        recipe: from :func:`mixvae.build`, or what it takes: a name, a recipe's class, or an
            instance of it.
        data: from :func:`mixvae.data.load` or :func:`mixvae.data.from_arrays`.
        out: the run folder, which must be new or empty; by default runs/RECIPE-DATA-001 and on.
        max_epochs: passes over the training data.
        batch_size: rows a step, in each process.
        lr: Adam's learning rate.
        lr_schedule: constant, or cosine: from lr down to 0 along half a cosine. Resuming for more
            epochs takes the longer curve.
        warmup_epochs: epochs over which the KL terms' weight rises from 0 to 1.
        patience: stop after so many epochs without a better objective; by default never.
        clip: largest norm of the gradient; by default no limit.
        precision: 32, bf16 or 16; auto is bf16 where a short measurement finds that the hardware
            multiplies it faster, else 32. Weights, Adam and densities are in float32 either way.
        compile: let torch.compile make kernels of the objective, in half a minute or so, or a few
            seconds where it has made them before. On a CPU steps with MLPs are then mostly 1.1 to
            1.2 times as fast, with convolutions no faster; the noise may be other noise.
            reduce-overhead is for a GPU and small models, which wait for its kernels' launches: a
            step's are launched as one (CUDA graphs). That has not been run yet.
        seed: of the noise and the order of the data.
        accelerator: cpu, gpu or auto, as Lightning's.
        devices: processes or devices on each node.
        num_nodes: machines.
        strategy: how processes share the work, as Lightning's: auto, ddp and so on.
        logger: csv (the run folder's log.csv alone), tensorboard, or a Lightning logger beside it.
        progress: show a progress bar, or lines where there is no terminal.
        pictures: end with the run folder's pictures.
        settings: written to config.yaml in the run folder as they are.
        trainer_options: anything else that Lightning's Trainer takes. Steps are taken many at a
            time, unless something of Lightning's own is asked for (such an option, a logger, one of
            its callbacks, one with hooks for batches) or there are several devices: it then sees
            each. The weights become the same.

    Raises:
        MixvaeError: for input that cannot be used; nothing is overwritten. A NonFiniteError when a
            term of the objective becomes NaN or infinite. Nothing stays of a run that fails so in
            its first epoch.
        OSError: where the operating system refuses to write. Once there is a checkpoint, the run
            can be resumed.
        KeyboardInterrupt: on Ctrl-C; likewise.
    """
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    is_a((str, Path, type(None)), "the run folder's path", out=out)
    if not isinstance(recipe, BuiltRecipe):
        recipe = build(recipe, data, seed=seed)
    how = Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        lr=lr,
        lr_schedule=lr_schedule,
        warmup_epochs=warmup_epochs,
        patience=patience,
        clip=clip,
        precision=chosen_precision(precision, accelerator, process()),
        seed=seed,
    )
    trainer_options |= {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": num_nodes,
        "strategy": strategy,
    }
    options = Options(logger, progress, pictures, compile, trainer_options)
    return new_run(recipe, data, how, options, out=out, settings=settings)


def new_run(
    recipe: BuiltRecipe,
    data: Dataset,
    how: Settings,
    options: Options,
    *,
    out: str | Path | None,
    settings: dict[str, Any] | None,
    origin: dict[str, Any] | None = None,
) -> Run:
    """Train from the start into a new folder; ``origin`` says what the recipe came from."""
    from .finish import conclude

    check(recipe, data)
    check_saved(recipe)
    check_memory(recipe, how.batch_size)
    if how.batch_size > len(data.train):
        raise MixvaeError(
            f"batch_size {how.batch_size} is larger than the {len(data.train)} training examples; "
            f"use at most {len(data.train)}."
        )
    _check_rows(recipe, len(data.val), how.batch_size)
    _check_options(options)
    _check_processes(how, data, options.trainer)
    with claimed(out, f"{recipe.name}-{data.name}") as folder:
        if process() == 0:
            begin(recipe, data, folder, how, settings, origin)
        history = _train(recipe, data, folder, how, options)
        run = Run(folder, recipe, {}, history)
        return conclude(run, data, how, options.pictures, first=process() == 0)


def resume(
    folder: str | Path,
    data: Dataset,
    *,
    max_epochs: int | None = None,
    patience: int | None = None,
    logger: Any = "csv",
    progress: bool = True,
    pictures: bool = True,
    compile: Compile = False,
    **trainer_options: Any,
) -> Run:
    """Go on with a run from the last epoch that it finished, as if it had never stopped.

    On a CPU the weights it ends with are those of the uninterrupted run, bit for bit. A run that
    was stopped after its last epoch is finished: best weights, figures and pictures.

    Args:
        folder: the run folder.
        data: the data that the run was started with.
        max_epochs: passes over the data in all; by default as many as the run was started for.
        patience: as in :func:`fit`; by default as the run was started with. A run that its patience
            ended goes on with a larger one.
        logger: as in :func:`fit`.
        progress: as in :func:`fit`.
        pictures: as in :func:`fit`.
        compile: as in :func:`fit`.
        trainer_options: accelerator, devices and anything else that Lightning's Trainer takes.

    Raises:
        MixvaeError: if the folder is no run, its checkpoint is damaged, the data differ, another
            process trains the run, or there is nothing left to do.
        OSError, KeyboardInterrupt: as :func:`fit`.
    """
    from .finish import conclude

    is_a((str, Path), "the run folder's path", folder=folder)
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    folder = Path(folder)
    options = Options(logger, progress, pictures, compile, trainer_options)
    recipe = folders.load_recipe(folder)
    if changed := data.differences(folders.read_json(folder, folders.DATA)):
        raise MixvaeError(
            f"the run {folder} was started on other data than {data.name}: {changed}. Give the "
            "same data, or train anew."
        )
    check(recipe, data)
    _check_options(options)
    given = {"max_epochs": max_epochs, "patience": patience}
    with own_folder(folder) if process() == 0 else nullcontext():
        how = Settings.load(folder, **{k: v for k, v in given.items() if v is not None})
        _check_processes(how, data, trainer_options)
        history = history_of(recipe, folder)
        over = why_over(folder, history, how)
        if over and is_finished(folder):
            raise MixvaeError(f"the run {folder} {over}")
        how.save(folder)
        if not over:
            unmark(folder)
            history = _train(recipe, data, folder, how, options, len(history))
        run = Run(folder, recipe, {}, history)
        return conclude(run, data, how, pictures, first=process() == 0)


def _train(
    recipe: BuiltRecipe,
    data: Dataset,
    folder: Path,
    how: Settings,
    options: Options,
    done: int | None = None,
) -> list[dict[str, float]]:
    """Train from the start, or, if ``done`` epochs lie behind, from the last checkpoint.

    Returns the history.
    """
    from .batches import Batches, even_batches
    from .finish import announce
    from .memory import kept_memory
    from .starting import start
    from .stretches import Stretches, StretchModule
    from .trainer import make_module, make_trainer, quiet

    logger, progress, _, compile, trainer_options = options
    with quiet(), kept_memory(), torch.random.fork_rng():
        trainer = make_trainer(folder, how, logger, progress, trainer_options)
        module, sampler = make_module(
            recipe, data, folder, how, trainer, progress, compile, done or 0, trainer_options
        )
        if progress and process() == 0:
            announce(recipe, data, folder, how)
        if done is None:
            start(recipe, data, how, trainer.strategy.root_device, progress and process() == 0)
        conditional = recipe.model.labels.n_classes is not None
        y, y_val = (data.train.y, data.val.y) if conditional else (None, None)
        home = trainer.strategy.root_device if trainer.world_size == 1 else None
        in_order = even_batches(len(data.val), how.batch_size)
        loader = Stretches if isinstance(module, StretchModule) else Batches
        try:
            trainer.fit(
                module,
                loader(data.train.x, y, sampler, home),
                Batches(data.val.x, y_val, in_order, home),
                ckpt_path=None if done is None else last_checkpoint(folder),
                weights_only=True,
            )
        except SystemExit as stop:  # how Lightning ends on Ctrl-C, with the signal ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop
    return module.history


def begin(
    recipe: BuiltRecipe,
    data: Dataset,
    folder: Path,
    how: Settings,
    settings: dict[str, Any] | None,
    origin: dict[str, Any] | None = None,
) -> None:
    """Write what a run folder holds before there are weights."""
    folders.save_recipe(recipe, folder)
    folders.write_json(folder / folders.DATA, data.describe())
    how.save(folder)
    if settings is not None:
        _write_yaml(folder / folders.CONFIG, settings)
    if origin is not None:
        folders.write_json(folder / ORIGIN, origin)


def _check_rows(recipe: BuiltRecipe, n_val: int, batch_size: int) -> None:
    """Refuse batches of one row, in training or in validation, where penalties are of several."""
    if not recipe.objective.penalties:
        return
    least = n_val // -(-n_val // batch_size)  # of the batches of validation, which are even
    if batch_size < 2 or least < 2:
        raise MixvaeError(
            f"a penalty of {recipe.name} ({', '.join(recipe.objective.penalties)}) takes two rows "
            f"in every batch; got batch_size {batch_size} and {n_val} validation examples, of "
            "which a batch has one. Use a larger batch_size, more validation data, or beta_dhsic=0."
        )


def _check_options(options: Options) -> None:
    """Refuse what Lightning or torch.compile would, before anything is written."""
    from .trainer import check_compiler, check_hardware

    logger, _, _, compile, trainer_options = options
    if isinstance(logger, str):
        one_of("logger", logger, ("csv", "tensorboard"))
    if not isinstance(compile, bool):
        one_of("compile", compile, ("reduce-overhead",))
    check_hardware(trainer_options)
    if compile:
        check_compiler(trainer_options.get("accelerator", "auto"))


def _check_processes(how: Settings, data: Dataset, options: dict[str, Any]) -> None:
    """Refuse more processes than there are full batches for."""
    from .trainer import n_processes

    n = n_processes(options)
    if n > 1 and how.batch_size * n > len(data.train):
        raise MixvaeError(
            f"batch_size {how.batch_size} on {n} processes is larger than the {len(data.train)} "
            f"training examples; use a batch_size of at most {len(data.train) // n}, or fewer "
            "devices."
        )


def process() -> int:
    """The number of this process among those that train together, also before they have met."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return getattr(rank_zero_only, "rank", 0) or 0


@contextmanager
def claimed(out: str | Path | None, name: str) -> Iterator[Path]:
    """The first process makes the folder; the others, which Lightning starts, are told of it."""
    if process() == 0:
        with new_folder(out, name) as folder:
            os.environ[RUN_FOLDER] = str(folder)
            yield folder
        return
    told = out if out is not None else os.environ.get(RUN_FOLDER)
    if told is None:
        raise MixvaeError("with several processes started from outside, name the run folder (out).")
    yield Path(told)


def _write_yaml(path: Path, settings: dict[str, Any]) -> None:
    import yaml

    write_text(path, yaml.safe_dump(settings, sort_keys=False))

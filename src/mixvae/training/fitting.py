"""``fit`` and ``resume``: from a recipe and data to a run folder."""

from contextlib import nullcontext
from dataclasses import fields
from inspect import Signature, signature
from pathlib import Path
from typing import Any

from mixvae import run as folders
from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError, is_a
from mixvae.nn.linear import onednn_is_quicker
from mixvae.recipes import build
from mixvae.recipes.building import AnyRecipe, BuiltRecipe
from mixvae.run import Run
from mixvae.storage.files import write_text
from mixvae.storage.run_folder import ORIGIN, is_finished, new_folder, own_folder, unmark

from .arguments import Watched, functions_of, refuse
from .callbacks import check_callbacks
from .checkpoints import TrainingState, load_last, why_over
from .checks import check, check_all, check_batches
from .loop import Equipment, train
from .machine import Machine, machine_of
from .memory import kept_memory
from .optimizers import MakeOptimizer, Schedule, name_of
from .phases import left_at, phases_of
from .precision import PrecisionChoice, chosen_precision
from .settings import Average, ClipBy, Compile, Settings


def fit(
    recipe: BuiltRecipe | AnyRecipe,
    data: Dataset,
    *,
    out: str | Path | None = None,
    max_epochs: int = 50,
    batch_size: int = 128,
    lr: float = 1e-3,
    lr_schedule: str | Schedule = "constant",
    optimizer: str | MakeOptimizer = "adam",
    warmup_epochs: int = 0,
    patience: int | None = None,
    clip: float | None = None,
    clip_by: ClipBy = "norm",
    accumulate: int = 1,
    average: Average = "none",
    precision: PrecisionChoice = "auto",
    compile: Compile = False,
    seed: int = 0,
    accelerator: str = "auto",
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    logger: Any = "csv",
    callbacks: Any = None,
    progress: bool = True,
    pictures: bool = True,
    settings: dict[str, Any] | None = None,
    phase: str = "main",
    origin: dict[str, Any] | None = None,
    **others: Any,
) -> Run:
    """Train a recipe and leave a run folder behind.

    The weights kept are those of the epoch with the best objective on validation data, at its
    final weights (whatever the warm-up), and none from before the warm-up's end. Epoch 0, before
    the first step, takes part, so that a good start is kept if nothing better comes.

    Args:
        recipe: from :func:`mixvae.build`, or a recipe's name, class or instance.
        data: from :func:`mixvae.data.load` or :func:`mixvae.data.from_arrays`.
        out: the run folder, which must be new or empty; by default runs/RECIPE-DATA-001 and on.
        max_epochs: passes over the training data, those of phases before not counted.
        batch_size: rows a step, in each process.
        lr: the optimizer's learning rate.
        lr_schedule: constant; cosine or linear, from lr down to 0; or a function
            (steps taken, steps in all) -> factor of lr. Resuming for more epochs takes the longer
            curve.
        optimizer: adam, adamw, sgd (momentum 0.9); or a function (parameters, lr) -> optimizer, as
            the classes of torch.optim are.
        warmup_epochs: epochs over which the KL terms' weight rises from 0 to 1.
        patience: stop after so many epochs without a better objective; by default never.
        clip: largest norm of the gradient; by default no limit.
        clip_by: norm, or value, to limit each entry of the gradient instead.
        accumulate: batches whose gradients are averaged for one step of the optimizer.
        average: ema, an exponential average of the weights over the steps, or swa, the mean of the
            last quarter's epochs: these are then validated and kept.
        precision: 32, bf16 or 16; auto is bf16 where a short measurement finds that the hardware
            multiplies it faster, else 32. Weights, optimizer and densities are in float32 either
            way.
        compile: let torch.compile make kernels of the objective, in half a minute or so, or a few
            seconds where it has made them before. On a CPU steps with MLPs are then mostly 1.1 to
            1.2 times as fast, with convolutions no faster; the noise may be other noise.
            reduce-overhead is for a GPU and small models, which wait for its kernels' launches: a
            step's are launched as one (CUDA graphs). That has not been run yet.
        seed: of the noise and the order of the data.
        accelerator: auto, cpu, gpu, cuda or mps.
        devices: processes or devices on each node.
        num_nodes: machines.
        strategy: how processes share the work: auto, ddp, or ddp_find_unused_parameters_true.
        logger: csv (the run folder's log.csv alone), tensorboard, or a Lightning logger beside it,
            or several in a list.
        callbacks: objects with on_epoch_end(state) and the like, see
            :class:`mixvae.training.Callback`.
        progress: show a progress bar, or lines where there is no terminal.
        pictures: end with the run folder's pictures.
        settings: written to config.yaml in the run folder as they are.
        phase: what the history calls these epochs.
        origin: what the recipe's weights came from, for ``metrics.json``.
        others: nothing else; other names are refused, with the nearest that is known.

    Raises:
        MixvaeError: for input that cannot be used; nothing is overwritten. A NonFiniteError when a
            term of the objective becomes NaN or infinite. Nothing stays of a run that fails so in
            its first epoch.
        OSError: where the operating system refuses to write. Once there is a checkpoint, the run
            can be resumed.
        KeyboardInterrupt: on Ctrl-C; likewise.
    """
    given = dict(locals())
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    is_a((str, Path, type(None)), "the run folder's path", out=out)
    refuse("fit", others, signature(fit), Signature())
    functions = functions_of(name_of(optimizer), optimizer, name_of(lr_schedule), lr_schedule)
    watched = Watched(logger, check_callbacks(callbacks), progress, pictures, compile)
    machine = machine_of(accelerator, devices, num_nodes, strategy)
    watched.check(machine)
    given |= {"optimizer": name_of(optimizer), "lr_schedule": name_of(lr_schedule)}
    given |= {"precision": chosen_precision(precision, machine.device)}
    how = Settings(**{field.name: given[field.name] for field in fields(Settings)})
    if not isinstance(recipe, BuiltRecipe):
        recipe = build(recipe, data, seed=seed)
    check_all(recipe, data, how, machine.world)
    first, name = machine.rank == 0, f"{recipe.name}-{data.name}"
    with new_folder(out, name) if first else nullcontext(Path()) as folder:
        if first:
            begin(recipe, data, folder, how, settings, origin)
        machine.launch()
        folder, how = machine.agree((folder, how))
        return _train(TrainingState(recipe, folder, how), data, machine, functions, watched)


def resume(
    folder: str | Path,
    data: Dataset,
    *,
    max_epochs: int | None = None,
    lr: float | None = None,
    patience: int | None = None,
    clip: float | None = None,
    lr_schedule: Schedule | str | None = None,
    optimizer: MakeOptimizer | str | None = None,
    compile: Compile = False,
    accelerator: str = "auto",
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    logger: Any = "csv",
    callbacks: Any = None,
    progress: bool = True,
    pictures: bool = True,
    **others: Any,
) -> Run:
    """Go on with a run from the last epoch that it finished, as if it had never stopped.

    On a CPU the weights it ends with are those of the uninterrupted run, bit for bit, wherever the
    run folder is by then. A run that was stopped in a phase before the training goes on there; one
    that was stopped after its last epoch is finished: best weights, figures and pictures.

    Args:
        folder: the run folder.
        data: the data that the run was started with.
        max_epochs: passes over the data in all; by default as many as the run was started for.
        lr: another learning rate from now on; by default as before.
        patience: another patience; by default as before. A run that its patience ended goes on
            with a larger one.
        clip: another limit of the gradient; by default as before.
        lr_schedule: the function that the run was started with, if it was one: it is not stored.
        optimizer: likewise.
        compile: as in :func:`fit`.
        accelerator: as in :func:`fit`.
        devices: as in :func:`fit`.
        num_nodes: as in :func:`fit`.
        strategy: as in :func:`fit`.
        logger: as in :func:`fit`.
        callbacks: as in :func:`fit`.
        progress: as in :func:`fit`.
        pictures: as in :func:`fit`.
        others: nothing else; what cannot be changed is refused.

    Raises:
        MixvaeError: if the folder is no run, its checkpoint is damaged, the data differ, another
            process trains the run, or there is nothing left to do.
        OSError, KeyboardInterrupt: as :func:`fit`.
    """
    refuse("resume", others, signature(resume), signature(fit))
    is_a((str, Path), "the run folder's path", folder=folder)
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    folder = Path(folder)
    recipe = folders.load_recipe(folder)
    watched = Watched(logger, check_callbacks(callbacks), progress, pictures, compile)
    if wrong := data.differences(folders.read_json(folder, folders.DATA)):
        raise MixvaeError(
            f"the run {folder} was started on other data than {data.name}: {wrong}. Give the "
            "same data, or train anew."
        )
    check(recipe, data)
    machine = machine_of(accelerator, devices, num_nodes, strategy)
    watched.check(machine)
    changed = {"max_epochs": max_epochs, "lr": lr, "patience": patience, "clip": clip}
    with own_folder(folder) if machine.rank == 0 else nullcontext():
        how = Settings.load(folder, **{k: v for k, v in changed.items() if v is not None})
        functions = functions_of(how.optimizer, optimizer, how.lr_schedule, lr_schedule)
        check_batches(how, data, machine.world)
        checkpoint = load_last(recipe, folder)
        over = why_over(folder, checkpoint, how)
        if over and is_finished(folder):
            raise MixvaeError(f"the run {folder} {over}")
        if machine.rank == 0:
            how.save(folder)
            unmark(folder)
        machine.launch()
        state = TrainingState(recipe, folder, how)
        if checkpoint is not None:
            for name in ("phase", "epoch", "step", "history"):
                setattr(state, name, checkpoint[name])
        return _train(state, data, machine, functions, watched, checkpoint, over=bool(over))


def _train(
    state: TrainingState,
    data: Dataset,
    machine: Machine,
    functions: tuple[MakeOptimizer, Schedule],
    watched: Watched,
    checkpoint: dict[str, Any] | None = None,
    *,
    over: bool = False,
) -> Run:
    """Train from the start, or from a checkpoint; end with the best weights and their figures.

    ``over``: no epoch is left, only what comes after the last.
    """
    from .finish import announce, conclude

    recipe, folder, how = state.recipe, state.folder, state.settings
    first = machine.rank == 0
    onednn_is_quicker()  # measured before other threads could be training
    if checkpoint is not None or not over:  # with no epoch left, best.ckpt may still be missing
        phases = phases_of(recipe, data, how, machine.world, watched.compile)
        phases = phases if checkpoint is None else left_at(phases, checkpoint, folder)
        if first and watched.progress and not over:
            announce(state, data, phases[:-1], machine.device)
        listeners = watched.listeners(folder) if first else []
        with kept_memory():
            train(phases, state, Equipment(data, machine, *functions, listeners), checkpoint)
    return conclude(state, data, machine, pictures=watched.pictures)


def begin(
    recipe: BuiltRecipe,
    data: Dataset,
    folder: Path,
    how: Settings,
    settings: dict[str, Any] | None = None,
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


def _write_yaml(path: Path, settings: dict[str, Any]) -> None:
    import yaml

    write_text(path, yaml.safe_dump(settings, sort_keys=False))

"""``fit`` and ``resume``: from a recipe and data to a run folder."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from inspect import Signature, signature
from pathlib import Path
from typing import Any, get_args

from mixvae import run as folders
from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError, is_a, one_of
from mixvae.nn.linear import products_by, quicker_library
from mixvae.recipes import Recipe, build
from mixvae.recipes.building import AnyRecipe, BuiltRecipe
from mixvae.run import Run
from mixvae.storage.files import write_text
from mixvae.storage.run_folder import (
    FINISHED,
    ORIGIN,
    STOPPED,
    is_finished,
    new_folder,
    own_folder,
    unmark,
)

from .arguments import refuse
from .callbacks import listeners
from .checkpoints import TrainingState, load_last, why_over
from .checks import check, check_all, check_batches
from .compiling import check_compiler
from .denormals import flushed_denormals
from .loop import Equipment, train
from .machine import machine_of
from .memory import kept_memory
from .optimizers import MakeOptimizer, Schedule, functions_of, name_of
from .phases import phases_of
from .precision import PrecisionChoice, chosen_precision
from .settings import Average, ClipBy, Compile, EvaluateOn, Settings


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
    evaluate_on: EvaluateOn = "test",
    settings: dict[str, Any] | None = None,
    phase: str = "main",
    origin: dict[str, Any] | None = None,
    **others: Any,
) -> Run:
    """Train a recipe and write a run folder.

    The weights kept are those of the epoch with the best objective on validation data, at its
    final weights (whatever the warm-up), and none from before the warm-up's end. Epoch 0, before
    the first step, takes part, so that a good start is kept if nothing better comes.

    Parameters
    ----------
    recipe
        From :func:`mixvae.build`, or a recipe's name, class or instance.
    data
        From :func:`mixvae.data.load` or :func:`mixvae.data.from_arrays`.
    out
        The run folder, which must be new or empty; by default runs/RECIPE-DATA-001 and on.
    max_epochs
        Passes over the training data, those of phases before not counted.
    batch_size
        Rows of a batch, in each process.
    lr
        The optimizer's learning rate.
    lr_schedule
        constant; cosine or linear, from lr down to 0; or a function (steps taken, steps in all) ->
        factor of lr. Resuming for more epochs takes the longer curve.
    optimizer
        adam, adamw, sgd (momentum 0.9); or a function (parameters, lr) -> optimizer, such as a
        class of torch.optim.
    warmup_epochs
        Epochs over which the KL terms' weight rises from 0 to 1.
    patience
        Stop after so many epochs without a better objective; by default never.
    clip
        Largest norm of the gradient; by default no limit.
    clip_by
        norm, or value, to limit each entry of the gradient instead.
    accumulate
        Batches whose gradients are averaged for one step of the optimizer.
    average
        ema, an exponential average of the weights over the steps, or swa, the mean of the last
        quarter's epochs: these are then validated and kept.
    precision
        32, bf16 or 16; auto is 32 for tables, whose real values bfloat16 would round to two or
        three digits, and otherwise bf16 where a short measurement finds that the hardware
        multiplies it faster, else 32. Weights, optimizer and densities are in float32 either way.
    compile
        Compile the objective by torch.compile, in half a minute or so, or a few seconds where that
        was done before. On a CPU steps with MLPs are then mostly 1.1 to 1.2 times as fast, with
        convolutions no faster; the noise may be other noise. reduce-overhead is for a GPU and
        small models, whose kernels are launched as one (CUDA graphs); that has not been run yet.
    seed
        Seed of the noise and the order of the data, 0 to 2**64 - 1.
    accelerator
        auto, cpu, gpu, cuda or mps.
    devices
        Processes or devices on each node.
    num_nodes
        Machines.
    strategy
        How processes share the work: auto, ddp, or ddp_find_unused_parameters_true.
    logger
        csv (the run folder's log.csv alone), tensorboard, or a Lightning logger beside it, or
        several in a list.
    callbacks
        Objects with on_epoch_end(state) and the like, see :class:`mixvae.training.Callback`.
    progress
        Show a progress bar, or lines where there is no terminal.
    pictures
        End with the run folder's pictures.
    evaluate_on
        Split of the final figures and pictures: test, or val, which leaves test rows unused, as the
        trials of a search do.
    settings
        Written to config.yaml in the run folder as they are.
    phase
        Name of these epochs in the history.
    origin
        Where the recipe's weights came from, for ``metrics.json``.
    **others
        None; other names are refused, with the nearest that is known.

    Returns
    -------
    Run
        The folder, the recipe with the best weights, figures on test data, and the history.

    Raises
    ------
    MixvaeError
        For input that cannot be used; nothing is overwritten. A NonFiniteError when a term of the
        objective becomes NaN or infinite. A run that fails so in its first epoch is removed.
    OSError
        Where the operating system refuses to write, or another process of the training is lost.
        Once there is a checkpoint, the run can be resumed.
    KeyboardInterrupt
        On Ctrl-C; likewise.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import mixvae
    >>> data = mixvae.data.load("digits").subset(64)
    >>> options = {"max_epochs": 2, "batch_size": 32, "progress": False, "pictures": False}
    >>> with TemporaryDirectory() as folder:
    ...     run = mixvae.fit("vae", data, out=folder, seed=0, accelerator="cpu", **options)
    >>> [row["epoch"] for row in run.history]
    [0, 1, 2]
    """
    given = dict(locals())
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    is_a((str, Path, type(None)), "the run folder's path", out=out)
    refuse("fit", others, signature(fit), Signature())
    one_of("evaluate_on", evaluate_on, get_args(EvaluateOn))
    given |= {"optimizer": name_of(optimizer), "lr_schedule": name_of(lr_schedule)}
    functions = functions_of(given["optimizer"], optimizer, given["lr_schedule"], lr_schedule)
    hooks = listeners(logger, callbacks, progress=progress)
    machine = machine_of(accelerator, devices, num_nodes, strategy)
    check_compiler(compile, machine.device)
    given |= {"precision": chosen_precision(precision, machine.device, is_table=data.is_table)}
    given |= {"float32_library": quicker_library()}
    chosen = Settings(**{field.name: given[field.name] for field in fields(Settings)})
    if not isinstance(recipe, BuiltRecipe):
        recipe = build(recipe, data, seed=seed)
    check_all(recipe, data, chosen, machine.world)
    is_first, name = machine.rank == 0, f"{recipe.name}-{data.name}"
    with new_folder(out, name) if is_first else nullcontext(Path()) as folder:
        if is_first:
            begin(recipe, data, folder, chosen, settings, origin)
        machine.launch()
        folder, chosen = machine.agree((folder, chosen))
        equipment = Equipment(data, machine, *functions, hooks)
        state = TrainingState(recipe, folder, chosen)
        options: dict[str, Any] = {"progress": progress, "pictures": pictures}
        options["evaluate_on"] = evaluate_on
        return _train(state, equipment, compile, **options)


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
    recipes: Iterable[type[Recipe]] = (),
    compile: Compile = False,
    accelerator: str = "auto",
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    logger: Any = "csv",
    callbacks: Any = None,
    progress: bool = True,
    pictures: bool = True,
    evaluate_on: EvaluateOn = "test",
    **others: Any,
) -> Run:
    """Go on with a run from the last epoch that it finished, as if it had never stopped.

    On a CPU the weights it ends with are those of the uninterrupted run, bit for bit, wherever the
    run folder is by then. A run that was stopped in a phase before the training goes on there; one
    that was stopped after its last epoch is finished: best weights, figures and pictures.

    Parameters
    ----------
    folder
        The run folder.
    data
        The data that the run was started with.
    max_epochs
        Passes over the data in all; by default as many as the run was started for.
    lr
        Another learning rate from now on; by default as before.
    patience
        Another patience; by default as before. A run that its patience ended goes on with a larger
        one.
    clip
        Another limit of the gradient; by default as before.
    lr_schedule
        The function that the run was started with, if it was one: it is not stored.
    optimizer
        The function that the run was started with, likewise.
    recipes
        Classes of recipes that the run may be of, beside those that are registered.
    compile, accelerator, devices, num_nodes, strategy, logger, callbacks
        As in :func:`fit`.
    progress, pictures, evaluate_on
        As in :func:`fit`.
    **others
        None; what cannot be changed is refused.

    Returns
    -------
    Run
        As of :func:`fit`.

    Raises
    ------
    MixvaeError
        If the folder is no run, its recipe is not known, its checkpoint is damaged, the data
        differ, another process trains the run, or there is nothing left to do.
    OSError, KeyboardInterrupt
        As :func:`fit`.
    """
    refuse("resume", others, signature(resume), signature(fit))
    one_of("evaluate_on", evaluate_on, get_args(EvaluateOn))
    is_a((str, Path), "the run folder's path", folder=folder)
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    folder = Path(folder)
    recipe = folders.load_recipe(folder, recipes)
    hooks = listeners(logger, callbacks, progress=progress)
    if wrong := data.differences(folders.read_json(folder, folders.DATA)):
        raise MixvaeError(
            f"the run {folder} was started on other data than {data.name}: {wrong}. Give the "
            "same data, or train anew."
        )
    check(recipe, data)
    machine = machine_of(accelerator, devices, num_nodes, strategy)
    check_compiler(compile, machine.device)
    changed = {"max_epochs": max_epochs, "lr": lr, "patience": patience, "clip": clip}
    is_first = machine.rank == 0
    with own_folder(folder) if is_first else nullcontext():
        settings = Settings.load(folder, **{k: v for k, v in changed.items() if v is not None})
        functions = functions_of(settings.optimizer, optimizer, settings.lr_schedule, lr_schedule)
        check_batches(settings, data, machine.world)
        checkpoint = load_last(recipe, folder)
        over = why_over(checkpoint, settings)
        if over and is_finished(folder):
            raise MixvaeError(f"the run {folder} {over}")
        state = TrainingState(recipe, folder, settings, checkpoint=checkpoint)
        if checkpoint is not None:
            for name in ("phase", "epoch", "step", "history"):
                setattr(state, name, checkpoint[name])
        with _going_on(state, undo=not over) if is_first else nullcontext():
            machine.launch()
            equipment = Equipment(data, machine, *functions, hooks)
            options: dict[str, Any] = {"progress": progress, "pictures": pictures}
            options["over"] = bool(over)
            options["evaluate_on"] = evaluate_on
            return _train(state, equipment, compile, **options)


@contextmanager
def _going_on(state: TrainingState, *, undo: bool) -> Iterator[None]:
    """Write a resumed run's settings, and undo it if training fails before an epoch is over."""
    folder, n_rows = state.folder, len(state.history)
    paths = [folder / name for name in (folders.TRAINING, FINISHED)]
    before = {path: path.read_text(encoding="utf-8") for path in paths if path.exists()}
    state.settings.save(folder)
    unmark(folder)
    try:
        yield
    except Exception as error:
        if undo and len(state.history) == n_rows and not isinstance(error, STOPPED):
            for path, text in before.items():
                write_text(path, text)
        raise


def _train(
    state: TrainingState,
    equipment: Equipment,
    compile: Compile,
    *,
    over: bool = False,
    progress: bool,
    pictures: bool,
    evaluate_on: EvaluateOn = "test",
) -> Run:
    """Train from where a state is; end with the best weights and their figures.

    ``over``: no epoch is left, only what comes after the last.
    """
    from .finish import announce, conclude

    data, machine, settings = equipment.data, equipment.machine, state.settings
    with machine.together(), products_by(settings.float32_library):
        if state.checkpoint or not over:  # with no epoch left, best.ckpt may still be missing
            phases = phases_of(state.recipe, data, settings, machine.world, compile)
            if state.checkpoint:
                names = [phase.name for phase in phases]
                one_of(f"phase of the checkpoint of {state.folder}", state.phase, names)
                phases = phases[names.index(state.phase) :]
            if machine.rank == 0 and progress and not over:
                announce(state, data, phases[:-1], machine.device)
            with kept_memory(), flushed_denormals():
                train(phases, state, equipment)
        return conclude(state, data, machine, pictures=pictures, evaluate_on=evaluate_on)


def begin(
    recipe: BuiltRecipe,
    data: Dataset,
    folder: Path,
    chosen: Settings,
    settings: dict[str, Any] | None = None,
    origin: dict[str, Any] | None = None,
) -> None:
    """Write what a run folder holds before there are weights."""
    import yaml

    folders.save_recipe(recipe, folder)
    folders.write_json(folder / folders.DATA, data.describe())
    chosen.save(folder)
    if settings is not None:
        write_text(folder / folders.CONFIG, yaml.safe_dump(settings, sort_keys=False))
    if origin is not None:
        folders.write_json(folder / ORIGIN, origin)

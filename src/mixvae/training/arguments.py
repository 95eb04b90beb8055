"""Names of arguments that ``fit`` and ``resume`` refuse, with what to use instead."""

from collections.abc import Mapping
from inspect import Signature

from mixvae.errors import MixvaeError, unknown

HIDDEN = {"others", "settings"}  # arguments that are no settings
INSTEAD = {  # of options of Lightning's Trainer
    "accumulate_grad_batches": "accumulate",
    "gradient_clip_val": "clip",
    "gradient_clip_algorithm": "clip_by",
    "max_steps": "max_epochs",
    "max_time": "a callback that sets state.stop",
    "limit_train_batches": "data.subset(n)",
    "overfit_batches": "data.subset(n)",
    "fast_dev_run": "max_epochs=1 with data.subset(n)",
    "enable_progress_bar": "progress",
    "default_root_dir": "out",
}


def refuse(name: str, given: Mapping[str, object], known: Signature, fixed: Signature) -> None:
    """Refuse arguments of other names, those of Lightning's Trainer with what is in their place."""
    for option in given:
        if option in INSTEAD:
            raise MixvaeError(
                f"{option} is an option of Lightning's Trainer, which mixvae does not use; use "
                f"{INSTEAD[option]}."
            )
        if option in fixed.parameters:
            raise MixvaeError(
                f"{option} cannot be changed when a run is resumed, as the rest would be another "
                "run; start a new one."
            )
        raise unknown(f"argument of {name}", option, known.parameters.keys() - HIDDEN)

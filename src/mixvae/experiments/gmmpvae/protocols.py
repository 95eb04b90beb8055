"""Data, training and evaluation of the GMMpVAE paper's experiments."""

from collections.abc import Sequence
from dataclasses import replace

from ..common import FEW_IMAGES, quick
from ..item import Data, Protocol, Scale

MNIST = Data(name="mnist", binarize="dynamic", subset=10_000)
OMNIGLOT = Data(name="omniglot", binarize="dynamic", subset=10_000)
FREY = Data(name="frey-faces", n_val=200)
TRAINING = {"max_epochs": 10, "batch_size": 100, "precision": "bf16", "warmup_epochs": 2}
FREY_TRAINING = TRAINING | {"max_epochs": 150, "precision": "32", "warmup_epochs": 20}
FULL = {"max_epochs": 5000, "patience": 100, "warmup_epochs": 200, "lr": 5e-4}
LOG_PX = {
    "quick": {"log_likelihood": 130, "n_test": 20},
    "cpu": {"log_likelihood": 500, "n_test": 200},
    "paper": {"log_likelihood": 5000, "n_test": 1000},
}
OF = "; figures of {n_test:,} test images, log p(x) with {log_likelihood:,} samples"
UNTIL = (
    "at most 5,000 epochs, early stopping with 100 epochs' look-ahead, KL warm-up over 200, three "
    "seeds"
)
FRAMES = (
    "1,565 training, 200 validation and 200 test frames of our own shuffling; the likelihood is a "
    "discretised logistic that sums to one"
)
OTHER_FRAMES = "no: another split, and the literature's logistic likelihoods do not all sum to one"


def protocols(
    seeds: int = 1, *, quoted: Sequence[str] = (), log_px: bool = False
) -> dict[Scale, Protocol]:
    """Dynamically binarised MNIST and Omniglot; with ``log_px``, log p(x) is estimated."""
    few = quick("mnist", "omniglot", binarize="dynamic")
    cpu = Protocol(
        data={"mnist": MNIST, "omniglot": OMNIGLOT},
        training=TRAINING,
        seeds=seeds,
        note="10,000 training images, binarised dynamically, 10 epochs with a KL warm-up of 2 "
        "(the paper: up to 5,000, with 200)",
        comparable=FEW_IMAGES,
        quoted=quoted,
    )
    paper = Protocol(
        data={
            "mnist": replace(MNIST, n_val=10_000, subset=None),
            "omniglot": replace(OMNIGLOT, n_val=1345, subset=None),
        },
        training=TRAINING | FULL,
        seeds=3,
        note=f"50,000 training images of MNIST, 23,000 of Omniglot, binarised dynamically, {UNTIL}",
    )
    return _evaluated({"quick": few, "cpu": cpu, "paper": paper}, log_px)


def frey_protocols(
    seeds: int = 1, *, quoted: Sequence[str] = (), log_px: bool = False
) -> dict[Scale, Protocol]:
    """Frey Faces. Float32, as bfloat16 has no more digits than the grey levels."""
    few = quick("frey-faces")
    few = replace(few, options=dict(few.options) | {"likelihood": "binomial"})  # of 17 levels
    cpu = Protocol(
        data={"frey-faces": FREY},
        training=FREY_TRAINING,
        options={"n_pseudo_inputs": 100},
        seeds=seeds,
        note=f"{FRAMES}; 100 pseudo-inputs, 150 epochs with a KL warm-up of 20",
        comparable=f"{OTHER_FRAMES}, and fewer epochs than in the paper",
        quoted=quoted,
    )
    paper = Protocol(
        data={"frey-faces": FREY},
        training=FREY_TRAINING | FULL,
        seeds=3,
        note=f"{FRAMES}; {UNTIL}",
        comparable=OTHER_FRAMES,
    )
    return _evaluated({"quick": few, "cpu": cpu, "paper": paper}, log_px, n_test=200)


def with_all_pseudo_inputs(found: dict[Scale, Protocol]) -> dict[Scale, Protocol]:
    """The same, but that their numbers stay at the quick scale, on more images."""
    few = found["quick"]
    data = {name: replace(one, subset=1000) for name, one in few.data.items()}
    options = {name: value for name, value in few.options.items() if name != "n_pseudo_inputs"}
    return found | {"quick": replace(few, data=data, options=options)}


def _evaluated(
    found: dict[Scale, Protocol], log_px: bool, n_test: int = 10_000
) -> dict[Scale, Protocol]:
    """With log p(x), or the figures of all test images, n_test, that a run has of its own."""
    if not log_px:
        return {scale: replace(p, note=_sentence(p.note)) for scale, p in found.items()}
    for scale, protocol in found.items():
        how = LOG_PX[scale] | {"n_test": min(LOG_PX[scale]["n_test"], n_test)}
        note = _sentence(protocol.note.rstrip(".") + OF.format(**how))
        found[scale] = replace(protocol, evaluation=how, note=note)
    return found


def _sentence(text: str) -> str:
    return text.rstrip(".") + "."

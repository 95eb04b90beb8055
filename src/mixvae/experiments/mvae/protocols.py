"""Data, protocols and models that the items of the MVAE paper share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..common import FEW_EPOCHS, FEW_IMAGES, SMALL, control, quick
from ..item import Data, Protocol, Row, Scale

TRAINING = {"batch_size": 128, "precision": "bf16"}
FACES = Data(name="CelebA", folder="celeba", image_size=(64, 64))
IMAGENET = Data(name="ImageNet", folder="imagenet", image_size=(64, 64))
PAPER_DATA = {
    "mnist": Data(name="mnist"),
    "fashion-mnist": Data(name="fashion-mnist"),
    "cifar10": Data(name="cifar10"),
    "cifar100": Data(name="cifar100"),
    "celeba": FACES,
    "imagenet": IMAGENET,
}
PAPER_EPOCHS = dict.fromkeys(PAPER_DATA, 100) | {"celeba": 10, "imagenet": 10}
CPU_DATA = PAPER_DATA | {
    "cifar10": Data(name="cifar10", subset=10_000),
    "cifar100": Data(name="cifar100", subset=4_500),
    "celeba": replace(FACES, subset=5_000),
    "imagenet": replace(IMAGENET, subset=5_000),
}
CPU_EPOCHS = dict.fromkeys(PAPER_DATA, 5) | {"mnist": 10, "fashion-mnist": 10}
NAMES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "celeba": "CelebA",
    "imagenet": "ImageNet",
}


def protocols(*names: str, seeds: int = 1, paper_seeds: int | None = None) -> dict[Scale, Protocol]:
    """How models are trained on these data sets, the first of which is that of rows by default."""
    small = {name: value for name, value in SMALL.items() if name != "hidden"}
    few = FEW_IMAGES if any(CPU_DATA[name].subset for name in names) else FEW_EPOCHS
    return {
        "quick": replace(quick(*names), options=small),
        "cpu": replace(_protocol(names, CPU_DATA, CPU_EPOCHS, seeds), comparable=few),
        "paper": _protocol(names, PAPER_DATA, PAPER_EPOCHS, paper_seeds or seeds),
    }


def _protocol(
    names: Sequence[str], data: Mapping[str, Data], epochs: Mapping[str, int], seeds: int
) -> Protocol:
    """The protocol on these data sets."""
    said = [_said(name, data[name], epochs[name]) for name in names]
    said += [f"{seeds} seeds" if seeds > 1 else "one seed"]
    return Protocol(
        data={name: data[name] for name in names},
        training=TRAINING,
        training_by_data={name: {"max_epochs": epochs[name]} for name in names},
        seeds=seeds,
        note="; ".join(said) + ".",
    )


def _said(name: str, data: Data, epochs: int) -> str:
    """What is done with a data set, for the tables."""
    images = f"{data.subset:,}" if data.subset else "all but 5,000"
    of_paper = PAPER_EPOCHS[name]
    more = "" if epochs == of_paper else f" (the paper: {of_paper})"
    return f"{NAMES[name]}: {images} training images, {epochs} epochs{more}"


PLAIN = {"likelihood": "cross-entropy", "n_latent": 50}
AUTHORS = PLAIN | {"concentration": "normalised", "dhsic_root": True}
GREY = (
    "As in the authors' code, mixtures and VAEs of MNIST are trained on the cross-entropy of grey "
    "levels, the codes' KL is averaged over components, concentrations are divided by their sum, "
    "and the penalty is the root of dHSIC."
)
IN_USE = (
    "With these options all components but one tend to collapse: beside them are models with a "
    "larger weight of the mixing weights' KL (beta_w=20), which keeps the components in use."
)
CONV = {"network": "conv", "n_latent": 256, "likelihood": "squared-error"}
CONV_6 = CONV | {"n_components": 6, "beta_kl": 0.01}
KL_WEIGHT = (
    "Mixtures of colour images are trained on the squared error. The authors' code scales the "
    "codes' KL by 1e-5 to 1, and the paper does not say by what: 0.01 here, divided by K = 6, as "
    "the components' KL is averaged. The concentrations are free, and the penalty is dHSIC itself."
)
ROOT = (
    "RMSE is the root of the squared error summed over all values of an image in [0, 1], over all "
    "test images (the authors' code: the first 4,992)."
)
COLOUR = f"{ROOT} {KL_WEIGHT}"
DROPOUT: dict[str, dict[str, Any]] = {  # the paper's: one rate for all components
    "mvae-gau": {"rate": "shared", "rate_kl": "polynomial"},
    "mvae-gs": {"rate": "shared"},
    "mvae": {},
}
TITLES = {"mvae-gau": "MVAE-Gau", "mvae-gs": "MVAE-GS", "mvae": "MVAE fixed"}


def mixture(recipe: str, k: int, reported: Mapping[str, Any] | None = None, **options: Any) -> Row:
    """The paper's model of MNIST, with K components; a control, if the paper lacks its options."""
    said = [f"{name}={value}" for name, value in options.items() if name != "rate_kl"]
    return Row(
        name=" ".join([f"{TITLES[recipe]} K={k}", *said]),
        recipe=recipe,
        options=AUTHORS | DROPOUT[recipe] | {"n_components": k} | options,
        reported=reported or {},
        control="beta_w" in options or "rate" in options,
    )


def colour(recipe: str, name: str, **others: Any) -> Row:
    """The paper's model of colour images, K = 6."""
    return Row(name=name, recipe=recipe, options=CONV_6 | DROPOUT[recipe], **others)


def colour_controls() -> list[Row]:
    """Single VAEs with the mixtures' advantages.

    The weight of the KL, 1/K of it, K x L latents, and these with as many parameters.
    """
    single = CONV | {"beta_kl": 0.01}
    many = single | {"n_latent": 6 * 256}
    wide = many | {"channels": [64, 128, 256, 512, 512]}
    return [
        control("VAE, KL x 0.01", "beta-vae", single),
        control("VAE, KL x 0.01/6", "beta-vae", CONV | {"beta_kl": 0.01 / 6}),
        control("VAE, KL x 0.01, 6 x 256 latents", "beta-vae", many),
        control("VAE, KL x 0.01, parameters of K=6", "beta-vae", wide),
    ]

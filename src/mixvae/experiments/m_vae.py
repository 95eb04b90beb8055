"""M-VAE: Ye & Bors, Mixtures of Variational Autoencoders, IPTA 2020."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .common import (
    CLASSIFIER,
    ERROR,
    FEW_EPOCHS,
    PARAMETERS,
    RMSE,
    SCORES,
    SSE,
    SSE_MEANS,
    control,
    kl_controls,
    quick,
)
from .item import Column, Data, Item, Picture, Protocol, Row, Scale

MNIST = Data(name="mnist")
CIFAR10 = Data(name="cifar10", subset=10_000)
TRAINING = {"max_epochs": 6, "batch_size": 128, "precision": "bf16"}
PROTOCOLS: dict[Scale, Protocol] = {
    "quick": quick("mnist"),
    "cpu": Protocol(
        data={"mnist": MNIST},
        training=TRAINING,
        seeds=2,
        note="MNIST in grey levels, 55,000 training images and 5,000 for validation, "
        "6 epochs (the paper: 60,000 images, 100 epochs), two seeds.",
        comparable=FEW_EPOCHS,
    ),
    "paper": Protocol(
        data={"mnist": MNIST},
        training=TRAINING | {"max_epochs": 100},
        seeds=3,
        note="MNIST in grey levels, 55,000 training images (the paper: 60,000) and 5,000 for "
        "validation, 100 epochs, three seeds.",
    ),
}
ONE_SEED: dict[Scale, Protocol] = {
    scale: replace(p, seeds=1, note=re.sub("(two|three) seeds", "one seed", p.note))
    for scale, p in PROTOCOLS.items()
}
ABOUT = (
    "As in the authors' code, the models are trained on the cross-entropy of grey levels, the "
    "codes' KL is averaged over components, concentrations are divided by their sum, and the "
    "penalty is the root of dHSIC. "
)
IN_USE = (
    "With these options all components but one tend to collapse: beside them are models with a "
    "larger weight of the mixing weights' KL (beta_w=20), which keeps the components in use. "
)

PLAIN = {"likelihood": "cross-entropy", "n_latent": 20}
AUTHORS = PLAIN | {"concentration": "normalised", "dhsic_root": True}
TABLE_1 = {7: 11.54, 8: 10.20, 10: 9.17}


def mixture(k: int, reported: dict[str, Any] | None = None, **options: Any) -> Row:
    """M-VAE with K components; a control, if the paper does not have its options."""
    name = " ".join([f"M-VAE K={k}", *(f"{key}={value}" for key, value in options.items())])
    ours = "beta_w" in options
    options = AUTHORS | {"n_components": k} | options
    return Row(name=name, recipe="m-vae", options=options, reported=reported or {}, control=ours)


def vae(reported: dict[str, Any] | None = None) -> Row:
    """The VAE."""
    return Row(name="VAE", recipe="vae", options=PLAIN, reported=reported or {})


CLASSIFIERS = {"MLP": "mlp", "linear SVM": "svm", "kNN": "knn_5"}
TABLE_2 = {  # mixture, four components, VAE
    "MLP": (96.59, 95.15, 94.67, 94.68, 94.30, 95.35),
    "linear SVM": (93.37, 90.78, 90.11, 89.83, 89.72, 90.23),
    "kNN": (97.17, 96.56, 96.39, 96.63, 96.45, 96.34),
}
CODES = {
    "mixture": "all",
    **{f"C{k + 1}": f"component_{k}" for k in range(4)},
    "VAE": "mean",
}


def accuracies(codes: dict[str, str]) -> list[Column]:
    """Accuracy of each classifier on codes."""
    return [
        Column(
            label=f"{classifier}, {name}",
            path=f"representation.{code}.{key}_accuracy_percent",
        )
        for classifier, key in CLASSIFIERS.items()
        for name, code in codes.items()
    ]


def reported_accuracies(table: Mapping[str, Sequence[float]], *, of_vae: bool) -> dict[str, float]:
    """The paper's accuracies of the mixture and its components, or of the VAE."""
    return {
        f"{classifier}, {name}": value
        for classifier, values in table.items()
        for name, value in zip(CODES, values, strict=True)
        if (name == "VAE") == of_vae
    }


VAE_AS_K_4 = control("VAE, parameters of K=4", "vae", PLAIN | {"hidden": [1266, 1266]})

CONV = {"network": "conv", "n_latent": 256, "likelihood": "squared-error"}
KL = {"beta_kl": 0.01}
MANY = {"n_latent": 4 * 256}
WIDE = MANY | {"channels": [44, 88, 176, 352, 352]}  # as many parameters as K = 4
COLOUR: dict[Scale, Protocol] = {
    "quick": quick("cifar10"),
    "cpu": Protocol(
        data={"cifar10": CIFAR10},
        training=TRAINING | {"max_epochs": 5},
        note="10,000 training images of CIFAR-10, as in the paper, 5 epochs (the paper: 100).",
        comparable=FEW_EPOCHS,
    ),
    "paper": Protocol(
        data={"cifar10": CIFAR10},
        training=TRAINING | {"max_epochs": 100},
        seeds=3,
        note="10,000 training images of CIFAR-10, 100 epochs, three seeds.",
    ),
}
QUOTED = {
    "MIX+Wasserstein GAN": {"Inception Score": 4.04},
    "DCGAN": {"Inception Score": 4.89},
    "ALI": {"RMSE": 14.53, "Inception Score": 4.97},
    "PixelCNN++": {"RMSE": 3.289, "Inception Score": 5.51},
    "WGAN": {"Inception Score": 3.82},
}

ITEMS = [
    Item(
        name="m-vae/fig1",
        title="test images of MNIST and their reconstructions",
        about=ABOUT + ERROR,
        rows=[mixture(4)],
        columns=[SSE, SSE_MEANS],
        pictures={"": Picture(draw="compared", arguments={"n": 16})},
        protocols=ONE_SEED,
        components=True,
    ),
    Item(
        name="m-vae/fig2",
        title="reconstructions by each component and by the mixture",
        about=ABOUT + IN_USE + ERROR,
        rows=[mixture(4), mixture(4, beta_w=20.0)],
        columns=[SSE, SSE_MEANS],
        pictures={
            "": Picture(draw="reconstructions", arguments={"row": "M-VAE K=4"}),
            "beta-w-20": Picture(
                draw="reconstructions", arguments={"row": "M-VAE K=4 beta_w=20.0"}
            ),
        },
        protocols=ONE_SEED,
        components=True,
    ),
    Item(
        name="m-vae/table1",
        title="squared error on MNIST by the number of components",
        about=ABOUT + IN_USE + ERROR + ' The paper calls it "MSE".',
        rows=[
            *(mixture(k, {"SSE": TABLE_1[k]} if k in TABLE_1 else None) for k in (10, 8, 7, 4)),
            mixture(4, beta_w=20.0),
            mixture(1),
            vae({"SSE": 13.44}),
            *kl_controls(4, PLAIN),
            *kl_controls(10, PLAIN),
            VAE_AS_K_4,
        ],
        columns=[SSE, SSE_MEANS, PARAMETERS],
        protocols=PROTOCOLS,
        components=True,
    ),
    Item(
        name="m-vae/fig3",
        title="two-dimensional codes of each component, and of a VAE",
        about=ABOUT + IN_USE + "The codes have two dimensions. " + ERROR,
        rows=[
            Row(
                name="M-VAE K=4, L=2",
                recipe="m-vae",
                options=AUTHORS | {"n_components": 4, "n_latent": 2},
            ),
            Row(
                name="M-VAE K=4, L=2, beta_w=20",
                recipe="m-vae",
                options=AUTHORS | {"n_components": 4, "n_latent": 2, "beta_w": 20.0},
                control=True,
            ),
            Row(name="VAE, L=2", recipe="vae", options=PLAIN | {"n_latent": 2}),
        ],
        columns=[SSE, SSE_MEANS],
        pictures={
            "mixture": Picture(draw="codes", arguments={"row": "M-VAE K=4, L=2"}),
            "mixture-beta-w-20": Picture(
                draw="codes", arguments={"row": "M-VAE K=4, L=2, beta_w=20"}
            ),
            "vae": Picture(draw="codes", arguments={"row": "VAE, L=2"}),
        },
        protocols=ONE_SEED,
        components=True,
    ),
    Item(
        name="m-vae/table2",
        title="accuracy of simple classifiers on the codes, MNIST, %",
        about=ABOUT + IN_USE + "MLP, linear SVM and 5 nearest neighbours are trained on posterior "
        "means of 20,000 training images: of all components, concatenated (mixture), and of each "
        "(C1 to C4).",
        rows=[
            mixture(4, reported_accuracies(TABLE_2, of_vae=False)),
            mixture(4, beta_w=20.0),
            vae(reported_accuracies(TABLE_2, of_vae=True)),
            *kl_controls(4, PLAIN),
            VAE_AS_K_4,
        ],
        columns=accuracies(CODES),
        measures={"representation": {"n_train": 20_000, "neighbours": [5]}},
        protocols=PROTOCOLS,
        components=True,
    ),
    Item(
        name="m-vae/fig4",
        title="accuracy on MNIST by the number of components",
        about=ABOUT
        + "The paper shows the accuracy of nearest neighbours; here are those of all classifiers "
        "of m-vae/table2, on the concatenated codes of 20,000 training images.",
        rows=[mixture(k) for k in range(4, 11)],
        columns=accuracies({"mixture": "all"}),
        measures={"representation": {"n_train": 20_000, "neighbours": [5]}},
        pictures={
            "": Picture(
                draw="against",
                arguments={
                    "x": "n_components",
                    "y": [c.path for c in accuracies({"mixture": "all"})],
                    "names": list(CLASSIFIERS),
                    "label": "accuracy, %",
                },
            )
        },
        protocols=ONE_SEED,
        components=True,
    ),
    Item(
        name="m-vae/table3",
        title="RMSE and Inception Score on CIFAR-10",
        about="Models are trained on the squared error. RMSE is the root of the squared error "
        "summed over the 3,072 values of an image in [0, 1], over all 10,000 test images (the "
        "authors' code: the first 4,992). The authors' code scales the codes' KL by 1e-5 to 1 and "
        "the paper does not say by what: 0.01 here, divided by K = 4 as the components' KL is "
        "averaged; beside it are single VAEs with these weights and with the whole KL. Networks "
        "have group normalisation, the paper's batch normalisation. " + CLASSIFIER,
        rows=[
            Row(
                name="M-VAE K=4, KL x 0.01",
                recipe="m-vae",
                options=CONV | {"n_components": 4, "beta_kl": 0.01},
                reported={"RMSE": 3.17, "Inception Score": 5.96},
            ),
            control("VAE, KL x 0.01/4", "beta-vae", CONV | {"beta_kl": 0.01 / 4}),
            control("VAE", "vae", CONV),
            control("VAE, KL x 0.01, 4 x 256 latents", "beta-vae", CONV | KL | MANY),
            control("VAE, KL x 0.01, parameters of K=4", "beta-vae", CONV | KL | WIDE),
            *(Row(name=name, reported=figures) for name, figures in QUOTED.items()),
        ],
        columns=[RMSE, *SCORES, PARAMETERS],
        measures={"image_scores": {}},
        protocols=COLOUR,
        components=True,
    ),
    Item(
        name="m-vae/fig5",
        title="test images of CIFAR-10 and their reconstructions",
        about="M-VAE of m-vae/table3, and a single VAE whose KL has the weight of each component's "
        "there, 0.01/4. RMSE is the root of the squared error summed over the 3,072 values of an "
        "image in [0, 1], over all test images.",
        rows=[
            Row(
                name="M-VAE K=4, KL x 0.01",
                recipe="m-vae",
                options=CONV | {"n_components": 4, "beta_kl": 0.01},
            ),
            control("VAE, KL x 0.01/4", "beta-vae", CONV | {"beta_kl": 0.01 / 4}),
        ],
        columns=[RMSE],
        pictures={"": Picture(draw="compared", arguments={"n": 16})},
        protocols=COLOUR,
        components=True,
    ),
]

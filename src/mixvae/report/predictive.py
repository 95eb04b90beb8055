"""The section of posterior predictive checks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mixvae import plots

from .checks import N_PERMUTATIONS, Check, entry_checks, overall_checks
from .examined import Examined
from .html import as_images, drawn, encoded, image, number, section, table, tag, text
from .shown import Shown

MOST_CHECKS = 24


def predictive(found: Examined, anchor: str) -> str:
    """Posterior predictive checks."""
    title, likelihood = "Posterior predictive checks", found.model.decoder.likelihood
    if not likelihood.is_density or likelihood.autoregressive:
        why = (
            "the likelihood is not a normalised density"
            if not likelihood.is_density
            else "samples take a step for each pixel"
        )
        return section(f"{anchor}-checks", title, text("p", f"Not computed: {why}."))
    x, samples = found.x.flatten(1), found.samples.flatten(1)
    about = (
        f"Statistics of the {len(x):,} rows beside those of {len(samples):,} samples of the model, "
        "noise included; its parameters are those that training found. p is that of a "
        f"permutation test ({N_PERMUTATIONS} random exchanges of data and samples): a small one "
        "says that the model does not reproduce the statistic."
    )
    content = [text("p", about)]
    if found.is_image:
        checks = overall_checks(x, samples, pixels=True, seed=found.seed)
        content.append(_checks(checks, "All pixels together"))
        content += _moment_images(found, samples)
    else:
        content.append(_columns(found, x, samples))
        options = {"y": found.read, "transform": found.data.transform, "seed": found.seed}
        alt = "Histograms of columns: the data, and samples of the model"
        content.append(drawn(plots.marginals, found.model, found.x, alt=alt, **options))
    return section(f"{anchor}-checks", title, *content)


def _columns(found: Examined, x: Tensor, samples: Tensor) -> str:
    """Checks of each column; of categories, of the share of the most common one."""
    shown, categories = Shown(found), _categories(found)
    values = [one.clone() for one in (x, samples)]
    names = list(shown.names)
    for j in categories:
        own = x[:, j][~x[:, j].isnan()]
        common = own.mode().values
        for one in values:
            one[:, j] = torch.where(one[:, j].isnan(), torch.nan, (one[:, j] == common).float())
        names[j] = f"{names[j]}, share of the most common category"
    checks = entry_checks(values[0], values[1], names, seed=found.seed)
    checks.sort(key=lambda check: check.p_value)
    caption = "Each column, as the model sees it; p adjusted for the number of checks"
    more = len(checks) - MOST_CHECKS
    said = text("p", f"{more} checks with larger p are left out.") if more > 0 else ""
    return _checks(checks[:MOST_CHECKS], caption) + said


def _categories(found: Examined) -> list[int]:
    kinds = getattr(found.data.transform, "kept_kinds", ())
    return [j for j, (name, _) in enumerate(kinds) if name in ("categorical", "ordinal")]


def _checks(checks: list[Check], caption: str) -> str:
    rows = [
        [
            c.name,
            number(c.data, 3),
            number(c.samples, 3),
            number(c.p_value, 3),
            "differs" if c.p_value < 0.05 else "no difference seen",
        ]
        for c in checks
    ]
    return table(["statistic", "data", "samples", "p", "at the 5% level"], rows, caption)


def _moment_images(found: Examined, samples: Tensor) -> Iterator[str]:
    """Mean and standard deviation of every pixel, and the largest difference."""
    x = found.x.flatten(1)
    checks = entry_checks(x, samples, [f"pixel {i}" for i in range(x.shape[1])], seed=found.seed)
    shape, figures = found.x.shape[1:], []
    for i, what in enumerate(("mean", "standard deviation")):
        p = torch.tensor([c.p_value for c in checks[i::2]])
        differing = int((p < 0.05).sum())
        yield text(
            "p",
            f"The {what} of {differing} of {len(p)} pixels differs at the 5% level, adjusted for "
            "the number of pixels.",
        )
        for name, values in (("data", x), ("samples", samples)):
            moment = values.mean(0) if what == "mean" else values.std(0) * 2
            one = as_images(moment.reshape(1, *shape))[0]
            content, kind = encoded(one)
            size = 112 // max(one.size) * max(one.size) or max(one.size)
            tile = image(content, kind, f"{what} of each pixel, {name}", width=size)
            note = f"{what}, {name}" + (" (twice as bright)" if i else "")
            figures.append(tag("figure", tile + text("figcaption", note)))
    yield tag("div", "".join(figures), class_="strip")

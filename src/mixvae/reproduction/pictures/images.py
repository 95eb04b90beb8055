"""Pictures of images and their reconstructions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae import plots
from mixvae.data import Split
from mixvae.evaluation.batches import batches, evaluating
from mixvae.plots.tiles import blank, grid
from mixvae.recipes import BuiltRecipe

from ..results import Results


def reconstructions(results: Results, path: Path, *, row: str | None = None, n: int = 12) -> bool:
    """Test images, their reconstructions by each component of one row's model, and by the mixture.

    M-VAE, Fig. 2; MVAE, Fig. 2.
    """
    shown = [r for r in results.trained if row in (None, r.name)]
    if not shown:
        return False
    test = results.data(shown[0]).test
    model = results.run(shown[0]).recipe.model
    plots.reconstructions(model, test.x, path, y=test.y, n=n)
    return True


def compared(
    results: Results, path: Path, *, n: int = 12, only: Sequence[str] | None = None
) -> bool:
    """Test images and their reconstructions by every row's model, or by those named in ``only``.

    M-VAE, Figs. 1 and 5; MVAE, Figs. 4 and 5; GMMpVAE, Figs. 5 to 9.
    """
    rows, labels = [], []
    for row in results.trained:
        if only is not None and row.name not in only:
            continue
        test = results.data(row).test
        rows.append(_reconstructed(results.run(row).recipe, test.take(torch.arange(n))))
        labels.append(row.name)
        original = test.x[:n]
    if not rows or len({r.shape for r in rows}) > 1:
        return False
    grid(torch.stack([original, *rows]), ["original", *labels], results.item.title, path)
    return True


def component_samples(
    results: Results, path: Path, *, row: str, components: Mapping[int, str], side: int = 8
) -> bool:
    """Samples of some components' priors, decoded, in squares side by side.

    ``components`` has their names by their numbers, from 0. DLGMM, Figs. 2a and 2b.
    """
    for shown in results.trained:
        if shown.name == row:
            model = results.run(shown).recipe.model
            with evaluating(model, 0):
                drawn = model.sample_each(side**2)[:, list(components)].cpu()  # (n, k, *X)
            squares = drawn.transpose(0, 1).unflatten(1, (side, side))
            gap = blank(drawn, len(components), side, 1, *drawn.shape[2:])
            tiles = torch.cat([squares, gap], 2).transpose(0, 1).flatten(1, 2)[:, :-1]
            columns = [""] * tiles.shape[1]
            columns[side // 2 :: side + 1] = components.values()
            grid(tiles, [""] * side, f"samples of {row}", path, columns=columns)
            return True
    return False


def _reconstructed(recipe: BuiltRecipe, split: Split) -> Float[Tensor, "n *X"]:
    """Reconstructions from posterior means: of the mean code, where that was trained."""
    model = recipe.model
    with evaluating(model):
        x, y = next(batches(model, split.x, split.y, len(split)))
        t = model.mean_trace(x, y)
        if recipe.options.get("decode") != "average":
            return model.family.mean(t)[0].cpu()
        z = (t.w.unsqueeze(-1) * t.z).sum(2, keepdim=True)
        mean: Tensor = model.decode(z, torch.ones_like(t.w[..., :1]), y).mean
        return mean[0, :, 0].cpu()

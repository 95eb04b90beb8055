"""Pictures of codes."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mixvae import plots
from mixvae.evaluation.latent_operations import codes as mean_codes
from mixvae.plots.figures import dots, palette, panels, save, scatter

from ..results import Results
from .rows import of_class, shown


def codes(results: Results, path: Path, *, row: str, n: int = 2000) -> bool:
    """Codes of test images by each component, in colours of the classes.

    M-VAE, Fig. 3; MVAE, Fig. 11.
    """
    if (found := shown(results, row)) is None:
        return False
    test = of_class(found.test, None, n)
    plots.codes(found.model, test.x, test.y, path)
    return True


def codes_of_class(
    results: Results, path: Path, *, rows: Sequence[str], label: int, n: int = 300
) -> bool:
    """Codes of test images of one class, in colours of the components; a panel for each row.

    All have one scale. The first two latents are shown; dropped components are left out. MVAE,
    Fig. 13.
    """
    found = {row: what for row in rows if (what := shown(results, row)) is not None}
    if not found:
        return False
    fig, axes = panels(len(found), 4.2, 3.8, margin=0.8)
    for ax, (row, (model, test)) in zip(axes, found.items(), strict=True):
        test = of_class(test, label, n)
        mu = mean_codes(model, test.x, test.y)
        component = torch.arange(mu.shape[1]).expand(len(mu), -1)
        colours = palette(component)
        kept = model.kept.expand(len(mu), -1)
        scatter(ax, mu[kept][:, :2], component[kept], colours)
        ax.set(xlabel="latent 1", ylabel="latent 2")
        ax.set_title(row, fontsize="small")
        ax.sharex(axes[0])
        ax.sharey(axes[0])
    fig.legend(handles=dots(colours), title="component", loc="outside right center")
    save(fig, path, f"Codes (posterior means) of test images of class {label}")
    return True

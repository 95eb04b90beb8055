"""Codes in two dimensions by t-SNE."""

from pathlib import Path

import numpy as np

from mixvae.evaluation.batches import batches, evaluating, spaced
from mixvae.plots.figures import dots, palette, panels, save, scatter

from ..results import Results

MAX_POINTS = 2000  # t-SNE of so many takes about 10 s on one core
PERPLEXITY = 30.0


def embedding(
    results: Results,
    path: Path,
    *,
    rows: tuple[str, ...],
    data: str | None = None,
    n: int = MAX_POINTS,
) -> bool:
    """Samples of the code of test images by t-SNE, in colours of the classes, a panel for each row.

    ``data`` names another of the protocol's data sets, with labels. DLGMM, Figs. 2c and 2d.
    """
    from sklearn.manifold import TSNE

    shown = [row for row in results.trained if row.name in rows]
    if not shown:
        return False
    fig, axes = panels(len(shown), 4.0, 4.0, margin=0.8)
    colours: dict[int, str] = {}
    for ax, row in zip(axes, shown, strict=True):
        source = results.data(row)
        if data is not None:
            source = results.cache.dataset(results.protocol.data[data])
        some = spaced(source.test, min(n, len(source.test)))
        x, y = some.x, some.y
        model = results.run(row).recipe.model
        with evaluating(model, 0):
            posterior = model.family.posterior(model.mean_trace(*next(batches(model, x, None, n))))
            z = posterior.sample().cpu().numpy()
        place = TSNE(perplexity=min(PERPLEXITY, len(z) / 4), init="pca", random_state=0)
        at = place.fit_transform(z)
        colours = {} if y is None else palette(y)
        scatter(ax, at, np.zeros(len(at), int) if y is None else y.numpy(), colours, size=6)
        ax.set(title=row.name, xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    if colours:
        fig.legend(handles=dots(colours), title="label", loc="outside right center", fontsize=8)
    save(fig, path, "samples of the codes of test images, by t-SNE")
    return True

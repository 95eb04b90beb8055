"""Pictures of codes."""

from pathlib import Path

from mixvae import plots

from ..results import Results


def codes(results: Results, path: Path, *, row: str, n: int = 2000) -> bool:
    """Codes of test images by each component, in colours of the classes.

    M-VAE, Fig. 3; MVAE, Fig. 11.
    """
    for shown in results.trained:
        if shown.name == row:
            test = results.data(shown).test
            y = None if test.y is None else test.y[:n]
            plots.codes(results.run(shown).recipe.model, test.x[:n], y, path)
            return True
    return False

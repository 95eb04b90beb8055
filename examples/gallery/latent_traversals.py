"""
What a latent variable means
============================

A code is decoded with one of its latents set to a row of values, and the others left as they are.
"""

# %%
from pathlib import Path
from tempfile import mkdtemp

import mixvae

folder = Path(mkdtemp())
data = mixvae.data.load("digits")
recipe = mixvae.build("mixture-vae", data, n_components=4, n_latent=4, hidden=[128], start_epochs=5)
run = mixvae.fit(recipe, data, max_epochs=5, progress=False, pictures=False, out=folder / "run")

# %%
# Each row is a component, which decodes its own code of the same image.
traversal = mixvae.plots.traversals(
    run.recipe.model, data.test.x, folder / "traversal.png", latent=0
)

# %%
# New images of each component, and of the mixture.
samples = mixvae.plots.samples(run.recipe.model, folder / "samples.png")

# %%
# Codes of pairs of images, joined by straight lines.
x = data.test.x
lines = mixvae.plots.interpolations(run.recipe.model, x[:4], x[4:8], folder / "lines.png")

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
recipe = mixvae.build("vae", data, n_latent=4, hidden=[128])
run = mixvae.fit(
    recipe,
    data,
    batch_size=32,
    lr=3e-3,
    max_epochs=20,
    progress=False,
    pictures=False,
    out=folder / "run",
)

# %%
# One image's code, with each of two latents from -3 to 3.
model, x = run.recipe.model, data.test.x
first = mixvae.plots.traversals(model, x, folder / "first.png", latent=0)

# %%
second = mixvae.plots.traversals(model, x, folder / "second.png", latent=1)

# %%
# Codes of pairs of images, joined by straight lines.
lines = mixvae.plots.interpolations(model, x[:4], x[4:8], folder / "lines.png")

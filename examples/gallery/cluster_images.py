"""
Cluster images
==============

Handwritten digits of 8 x 8 pixels, clustered without their labels. Each cluster is a VAE of its
own, which can be sampled.
"""

# %%
# The digits come with scikit-learn. Values in [0, 1] and of a few equally spaced levels get a
# binomial likelihood.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import mixvae

digits = load_digits()
images = digits.images / 16

mixture = mixvae.DeepMixture(n_components=10, max_epochs=4, random_state=0).fit(images)
cluster = mixture.predict(images)

# %%
# New images of each component: one row for each.
fig, axes = plt.subplots(10, 8, figsize=(4, 5), layout="constrained")
samples, of = mixture.sample(300)
for k, row in enumerate(axes):
    for ax, image in zip(row, samples[of == k], strict=False):  # (1, 8, 8)
        ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
    for ax in row:
        ax.axis("off")
fig.suptitle("Samples of each component")

# %%
# Which digits did each component take? The labels are used here only.
table = np.zeros((10, 10), int)
np.add.at(table, (cluster, digits.target), 1)
fig, ax = plt.subplots(layout="constrained")
ax.imshow(table, cmap="Greys")
for (k, digit), n in np.ndenumerate(table):
    if n:
        ax.text(digit, k, n, ha="center", va="center", color="white" if n > 90 else "black")
ax.set(xlabel="digit", ylabel="component", xticks=range(10), yticks=range(10))
ax.set_title("Images of each digit in each component")

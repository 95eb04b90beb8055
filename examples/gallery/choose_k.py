"""
Choose the number of components
===============================

The number of components that makes rows which the model has not seen most probable. For a table the estimator tries Gaussian mixtures of several
numbers and covariances, and starts from the best.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

import mixvae

x, _ = make_blobs(1500, n_features=4, centers=5, cluster_std=1.5, random_state=2)
mixture = mixvae.DeepMixture(max_epochs=10, random_state=0).fit(x)

# %%
print("chosen:", mixture.n_components_)
print(mixture.selection_[0])

# %%

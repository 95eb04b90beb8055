"""
Cluster a table
===============

Wines of three growers, 13 measurements each. The model is not shown the growers.
"""

# %%
# The estimator standardises the columns and trains. Without ``n_components`` it would choose the
# number too, as in
# :doc:`choose_k`.
from pathlib import Path
from tempfile import mkdtemp

from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

import mixvae

wine = load_wine(as_frame=True)
mixture = mixvae.DeepMixture(n_components=3, max_epochs=10, random_state=0).fit(wine.data)
print(mixture.summary())

# %%
# How well do the components agree with the growers? 1 is perfectly, 0 by chance.
print(f"{adjusted_rand_score(wine.target, mixture.predict(wine.data)):.2f}")

# %%
# The run behind it, in standard deviations: the columns in which the components differ most, and
# pairs of them.
x = mixture.data_transform_.apply(wine.data.to_numpy())
folder = Path(mkdtemp())
what_differs = mixvae.plots.profiles(
    mixture.model_, x, folder / "profiles.png", transform=mixture.data_transform_
)

# %%
pairs = mixvae.plots.pairs(
    mixture.model_, x, folder / "pairs.png", transform=mixture.data_transform_
)

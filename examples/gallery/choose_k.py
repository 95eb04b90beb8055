"""
Choose the number of components
===============================

The number of components that makes rows which the model has not seen most probable. For a table
the estimator tries Gaussian mixtures of several
numbers and covariances, and starts from the best.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import make_blobs

import mixvae

x, _ = make_blobs(1500, n_features=4, centers=5, cluster_std=1.5, random_state=2)
mixture = mixvae.DeepMixture(max_epochs=0, random_state=0).fit(x)

# %%
print("chosen:", mixture.n_components_)

# %%
# Every mixture that was tried: a line for each covariance, at its best regularisation. The circle
# is the choice.
fig, ax = plt.subplots(layout="constrained")
for kind, line in {"full": "-", "tied": "--", "diag": ":"}.items():
    best = {}
    for tried in mixture.selection_:
        if tried["covariance_type"] == kind:
            k = tried["n_components"]
            best[k] = max(best.get(k, tried["log_p"]), tried["log_p"])
    if best:
        ks = sorted(best)
        ax.plot(ks, [best[k] for k in ks], line, marker=".", color="black", label=kind)
chosen = next(tried for tried in mixture.selection_ if tried["chosen"])
ax.plot(chosen["n_components"], chosen["log_p"], "o", color="black", ms=14, mfc="none")
ax.set(xlabel="number of components", ylabel="mean log p(x) of held-out rows, nats")
ax.legend(title="covariance")

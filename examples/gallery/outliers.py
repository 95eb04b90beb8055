"""
Find outliers
=============

Rows that a mixture finds improbable. We add forty made-up rows to real measurements: each value
is one that occurs in its column, but
they do not fit together. A look at one column at a time cannot find them.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

import mixvae

real = load_breast_cancer().data[:, :10]
rng = np.random.default_rng(0)
made_up = np.column_stack([rng.choice(column, 40) for column in real.T])
x = np.concatenate([real, made_up])
is_made_up = np.arange(len(x)) >= len(real)

# %%
# ``contamination`` is the fraction of rows that are to count as outliers.
mixture = mixvae.DeepMixture(contamination=0.07, max_epochs=2, random_state=0).fit(x)
log_p = mixture.score_samples(x)  # in the units of the data
outlier = mixture.decision_function(x) < 0

print(f"of {is_made_up.sum()} made-up rows {(outlier & is_made_up).sum()} are found")
print(f"of {(~is_made_up).sum()} real rows {(outlier & ~is_made_up).sum()} are called outliers")
print(f"area under the ROC curve: {roc_auc_score(is_made_up, -log_p):.3f}")

# %%
fig, ax = plt.subplots(layout="constrained")
bins = np.linspace(max(log_p.min(), -60), log_p.max(), 60)
shown = np.clip(log_p, bins[0], None)
ax.hist(shown[~is_made_up], bins, color="0.7", label="real rows")
ax.hist(shown[is_made_up], bins, histtype="step", color="black", hatch="////", label="made-up rows")
ax.axvline(mixture.offset_, color="black", linestyle="dashed", label="threshold")
ax.set(xlabel="log p(x), nats; all below the left edge in its bin", ylabel="rows")
ax.legend()

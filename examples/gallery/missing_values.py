"""
Fill in missing values
======================

A fifth of a table's values is removed, and filled in by a mixture that was trained on the others.
Several draws of each say how uncertain it is.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

import mixvae

truth = load_wine().data
missing = np.random.default_rng(0).random(truth.shape) < 0.2
x = np.where(missing, np.nan, truth)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", mixvae.MixvaeWarning)  # says how many values are missing
    mixture = mixvae.DeepMixture(max_epochs=2, random_state=0).fit(x)

mean = mixture.impute(x)
draws = mixture.impute(x, draws=20)  # (20, 178, 13)

# %%
# How far off are they, in standard deviations of the columns?
scale = truth.std(0)
for name, filled in {"mixture": mean, "column means": np.nanmean(x, 0) + 0 * truth}.items():
    error = ((filled - truth) / scale)[missing]
    print(f"{name}: RMSE {np.sqrt(np.mean(error**2)):.2f}")

# %%
# One column, with intervals that should hold nine of ten true values.
column = 6
rows = missing[:, column]
low, high = np.quantile(draws[:, rows, column], (0.05, 0.95), axis=0)
true, guess = truth[rows, column], mean[rows, column]
inside = np.mean((low <= true) & (true <= high))

fig, ax = plt.subplots(layout="constrained")
ax.errorbar(true, guess, (guess - low, high - guess), fmt="o", color="black", ecolor="0.7")
ax.axline((2, 2), slope=1, color="black", linestyle="dotted")
ax.set(xlabel="true value", ylabel="filled in, with 90% interval")
ax.set_title(f"{load_wine().feature_names[column]}: {inside:.0%} of the intervals hold the truth")

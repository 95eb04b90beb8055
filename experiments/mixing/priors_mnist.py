"""Learned priors in the exact mixture and in VAEs, on dynamically binarised MNIST.

Each row has about ten minutes of one core, its start and validation included, with the settings of
mixing/mnist.md. "20 normals": the prior of each component is a learned mixture of 20 normals,
started from the normals of its cluster. "flow": one learned flow for all components, or that of
the VAE. "VAE, 50 normals": one VAE whose prior is a learned mixture
of 50 normals (recipe vade, from random means and not from an autoencoder's codes). "log_px" is
importance sampling with 2,000 codes over 2,000 test images at even distances, "elbo" each model's
own bound, and "acc" the accuracy of the most probable components, or of the prior's normals, as
clusters.
"""

from mixing.controls import COLUMNS, EVALUATION, TRAINING
from mixing.priors import ROWS

__all__ = ["COLUMNS", "DATA", "EVALUATION", "ROWS", "TRAINING"]

DATA = {"name_or_path": "mnist", "binarize": "dynamic"}

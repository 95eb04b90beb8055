"""The exact mixture, split from one VAE, on dynamically binarised Fashion-MNIST, and controls.

Each row has the same time on the processor, about ten minutes of one core, or twice as much
("processor_seconds": training, its start and validation included), a KL that rises over four epochs
(the mixture's in its start, over all of it), a learning rate that falls along a cosine, and MLPs of
two hidden layers. The mixture has ten components, two active; the VAE as many parameters as
the mixture; the IWAE as many samples as it says. Batches are of 256 at a rate of 0.0015, or of 128
at 0.001. "tuned" is a rate of 0.003 and a KL that rises over a quarter of the epochs, the best of
six trials.
"log_px" is importance sampling with 2,000 codes over 2,000 test images at even distances, "elbo"
each model's own bound, over all components for the mixture, and "acc" the accuracy of its most
probable components as clusters.
"""

from mixing.controls import COLUMNS, EVALUATION, TRAINING, TWICE
from mixing.controls import ROWS as EVERY_SEED

__all__ = ["COLUMNS", "DATA", "EVALUATION", "ROWS", "TRAINING"]

DATA = {"name_or_path": "fashion-mnist", "binarize": "dynamic"}

ROWS = EVERY_SEED + TWICE

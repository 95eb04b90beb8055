"""What comes before training: an autoencoder, to whose codes a prior is fitted."""

import sys

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset
from ..evaluation.passes import batches, device_of, evaluating
from ..model import MixtureVAE
from ..priors import GaussianMixturePrior
from ..recipes.recipe import Recipe
from ..seeding import seed_of
from .batches import ShuffledBatches
from .settings import Settings

START = 3  # a stream of noise, beside those of training and validation


def start(recipe: Recipe, data: Dataset, how: Settings, device: torch.device, say: bool) -> None:
    """Fit a prior that asks for it to the codes of an autoencoder (Jiang et al. 2017).

    The autoencoder is the recipe trained without the KL terms, in full precision, with training's
    batches and learning rate. Nothing of it is in the history. Other priors, and one that has been
    started, are left as they are.

    Raises:
        MixvaeError: for fewer training data than the prior has components, or codes that are not
            finite.
    """
    model, prior = recipe.model, recipe.model.prior
    if not isinstance(prior, GaussianMixturePrior) or not prior.start_epochs or prior.started:
        return
    if say:
        about = f"{prior.start_epochs} epochs as an autoencoder, to whose codes the prior is fitted"
        print(about, file=sys.stderr)
    seed = seed_of(how.seed, START)
    torch.manual_seed(seed)
    model.to(device).train()
    _autoencode(recipe, data, prior.start_epochs, how)
    prior.start_from(*_posteriors(model, _shown(data, data.train.x)), seed % 2**32)
    model.cpu()


def _autoencode(recipe: Recipe, data: Dataset, n_epochs: int, how: Settings) -> None:
    """Adam on the objective without its KL terms."""
    model, x = recipe.model, data.train.x
    optimizer = torch.optim.Adam(model.parameters(), how.lr)
    order = ShuffledBatches(len(x), how.batch_size, how.seed)
    for epoch in range(n_epochs):
        order.set_epoch(epoch)
        for rows in order:
            optimizer.zero_grad()
            shown = _shown(data, x[rows]).to(device_of(model))
            terms = recipe.objective(model, shown, kl_scale=0.0)
            (-torch.stack(list(terms.values())).sum()).backward()
            optimizer.step()


def _posteriors(model: MixtureVAE, x: Float[Tensor, "N *X"]) -> tuple[Tensor, Tensor]:
    """Means and scales (N, L) of the model's one component."""
    with evaluating(model):
        each = [model.infer(rows)[0] for rows, _ in batches(model, x, None, 500)]
    return torch.cat([q.mean[:, 0] for q in each]), torch.cat([q.stddev[:, 0] for q in each])


def _shown(data: Dataset, x: Float[Tensor, "N *X"]) -> Float[Tensor, "N *X"]:
    """Training data as a model sees them: drawn anew where they are binarised so."""
    return torch.bernoulli(x) if data.binarize == "dynamic" else x

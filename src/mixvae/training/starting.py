"""What comes before training: a VAE that is split, or an autoencoder that a prior is fitted to."""

import sys
from collections.abc import Callable, Iterator
from itertools import count

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset
from ..evaluation.passes import batches, device_of, evaluating
from ..model import MixtureVAE
from ..objectives import Terms
from ..priors import GaussianMixturePrior
from ..recipes import build
from ..recipes.building import BuiltRecipe
from ..seeding import seed_of
from ..splitting import clusters, split
from .batches import ShuffledBatches
from .settings import Settings

START = 3  # a stream of noise, beside those of training and validation
GATE_STEPS = 300  # that a gate takes at least to learn the components that x starts in

Say = Callable[[str], None]


def start(
    recipe: BuiltRecipe, data: Dataset, how: Settings, device: torch.device, say: bool
) -> None:
    """Start a model that asks for it; others, and one that has been started, are left as they are.

    A mixture that is split: one VAE of the same networks is trained, and split by clusters of its
    codes. A prior of clusters (Jiang et al. 2017): the recipe is trained without its KL terms, and
    the prior fitted to the codes. Either has training's batches, learning rate and precision, and
    nothing of it is in the history.

    Raises:
        MixvaeError: for fewer training data than components, or codes that are not finite.
    """
    model = recipe.model
    tell = (lambda text: print(text, file=sys.stderr)) if say else lambda text: None
    seed = seed_of(how.seed, START)
    if model.start is not None and not model.start.started:
        torch.manual_seed(seed)
        _split(recipe, data, how, device, seed, tell)
        model.start.started.fill_(True)
    prior = model.prior
    if isinstance(prior, GaussianMixturePrior) and prior.start_epochs and not prior.started:
        tell(f"{prior.start_epochs} epochs as an autoencoder, to whose codes the prior is fitted")
        torch.manual_seed(seed)
        model.to(device)
        _train(recipe, data, prior.start_epochs, how, tell, lambda step: 0.0)
        prior.start_from(*_posteriors(model, _shown(data, data.train.x)), seed % 2**32)
        model.cpu()


def _split(
    recipe: BuiltRecipe, data: Dataset, how: Settings, device: torch.device, seed: int, tell: Say
) -> None:
    """One VAE, trained, to the recipe's components; the gate, if any, learns who is whose."""
    model = recipe.model
    assert model.start is not None
    tell(f"{model.start.n_epochs} epochs as one VAE, which is then split into {model.n_components}")
    one = build(recipe.recipe.single(), recipe.x_shape)
    one.model.to(device)
    n_epochs = model.start.n_epochs
    n_steps = n_epochs * (len(data.train) // how.batch_size)
    _train(one, data, n_epochs, how, tell, rising(n_steps))
    x = _shown(data, data.train.x)
    mean, scale = (m.cpu() for m in _posteriors(one.model, x))
    k = clusters(mean, model.n_components, seed)
    split(one.model.cpu(), model, mean + scale * torch.randn_like(scale), k)
    if model.routing is not None:
        _learn_gate(model.to(device), x, k, how)
    model.cpu()


def rising(n_steps: int) -> Callable[[int], float]:
    """The KL's weight at a step, counted from 1: it rises to 1 over all of ``n_steps``."""
    return lambda step: step / n_steps


def _train(
    recipe: BuiltRecipe,
    data: Dataset,
    n_epochs: int,
    how: Settings,
    tell: Say,
    kl_scale: Callable[[int], float],
) -> None:
    """Adam on the recipe's objective, the KL terms weighed as ``kl_scale`` says of each step."""
    model, x = recipe.model.train(), data.train.x
    optimizer = torch.optim.Adam(model.parameters(), how.lr)
    device, step = device_of(model), 0
    for epoch, order in zip(range(n_epochs), _epochs(len(x), how), strict=False):
        total = torch.zeros((), device=device)
        for rows in order:
            step += 1
            shown = _shown(data, x[rows]).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=how.precision == "bf16"):
                terms: Terms = recipe.objective(model, shown, kl_scale(step))
            objective = torch.stack(list(terms.values())).sum()
            optimizer.zero_grad()
            (-objective).backward()
            optimizer.step()
            total += objective.detach()
        tell(f"start, epoch {epoch + 1}  objective {total.item() / len(order):.2f}")


def _learn_gate(model: MixtureVAE, x: Float[Tensor, "N *X"], k: Tensor, how: Settings) -> None:
    """Adam on the gate's cross-entropy to components k (N,), and on nothing else."""
    assert model.routing is not None
    optimizer = torch.optim.Adam(model.routing.parameters(), how.lr)
    device, n_steps = device_of(model), 0
    for order in _epochs(len(x), how):
        for rows in order:
            with torch.no_grad():
                h = model.trunk(x[rows].to(device))
            optimizer.zero_grad()
            F.nll_loss(model.routing(h), k[rows].to(device)).backward()
            optimizer.step()
            n_steps += 1
        if n_steps >= GATE_STEPS:
            return


def _epochs(n: int, how: Settings) -> Iterator[ShuffledBatches]:
    """The order of every epoch, without end."""
    order = ShuffledBatches(n, how.batch_size, how.seed)
    for epoch in count():
        order.set_epoch(epoch)
        yield order


def _posteriors(model: MixtureVAE, x: Float[Tensor, "N *X"]) -> tuple[Tensor, Tensor]:
    """Means and scales (N, L) of the model's one component."""
    with evaluating(model):
        each = [model.infer(rows)[0] for rows, _ in batches(model, x, None, 500)]
    return torch.cat([q.mean[:, 0] for q in each]), torch.cat([q.stddev[:, 0] for q in each])


def _shown(data: Dataset, x: Float[Tensor, "N *X"]) -> Float[Tensor, "N *X"]:
    """Training data as a model sees them: drawn anew where they are binarised so."""
    return torch.bernoulli(x) if data.binarize == "dynamic" else x

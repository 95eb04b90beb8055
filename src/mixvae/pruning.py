"""Pruning: a smaller model that keeps some of the components of a trained one."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from .errors import MixvaeError, is_a
from .parts.weights import SharedStickWeights
from .recipes.building import BuiltRecipe, build
from .seeding import noise


def prune(recipe: BuiltRecipe, keep: Sequence[int] | None = None) -> BuiltRecipe:
    """A smaller model with only some of the components of a trained mixture.

    If the components are those that component dropout kept, the smaller model computes the same as
    the original in evaluation mode, where dropped components have no effect.

    Parameters
    ----------
    recipe : BuiltRecipe
        Trained mixture, which is left unchanged. Pruning removes component dropout: mvae-gs and
        mvae-gau become mvae.
    keep : sequence of int, optional
        Components to keep, counted from 0; by default those that component dropout kept.

    Returns
    -------
    BuiltRecipe
        Recipe and model with ``len(keep)`` components, in evaluation mode.

    Raises
    ------
    MixvaeError
        If a component does not exist or is named twice, if none is kept, or if ``keep`` is missing
        and the model has no component dropout.

    Examples
    --------
    >>> import mixvae
    >>> mixture = mixvae.build("mixture-vae", (64,), n_components=4, hidden=(8,), n_latent=2)
    >>> mixvae.prune(mixture, keep=[0, 2]).n_components
    2
    """
    is_a(BuiltRecipe, "such as run.recipe", recipe=recipe)
    keep = kept_by(recipe, keep)
    fewer = recipe.recipe.with_components(keep).without_dropout()
    with noise(0):  # the first weights are drawn, and replaced
        small = build(fewer, recipe.x_shape)
    whole, learned = recipe.model.state_dict(), dict(small.model.named_parameters())

    def kept(key: str, part: Tensor) -> Tensor:
        """The rows of a tensor that stay; every tensor of K or K - 1 rows has them first."""
        values = whole[key].cpu()
        if values.shape == part.shape:
            return values
        if len(part) == len(keep):
            return values[keep]
        # Stick-breaking fractions: the last component has none, and a prior is of its own K.
        return values[keep[:-1]] if key in learned else part

    state = small.model.state_dict()
    small.model.load_state_dict({key: kept(key, part) for key, part in state.items()})
    if isinstance(weights := small.model.weights, SharedStickWeights):
        weights.set_mean(recipe.model.weights.generate(1)[0, keep].cpu())
    small.model.eval()
    return replace(small, initialization=None)


def kept_by(recipe: BuiltRecipe, keep: Sequence[int] | None) -> list[int]:
    """The components that :func:`prune` keeps, sorted; raises as it does."""
    model = recipe.model
    if "n_components" not in recipe.options:
        raise MixvaeError(f"the recipe {recipe.name} has one component; there is none to remove.")
    if keep is None:
        if model.dropout is None:
            raise MixvaeError(
                f"the recipe {recipe.name} has no component dropout that says which components to "
                "keep; name them by their numbers (keep), such as 0 and 2."
            )
        keep = model.kept.nonzero().flatten().tolist()
    is_a((list, tuple, range), "a list of numbers, such as [0, 2]", keep=keep)
    if not keep or len(set(keep)) < len(keep):
        raise MixvaeError(f"keep must name at least one component, each once; got {list(keep)}.")
    return sorted(model.check_component(k, "a component to keep") for k in keep)

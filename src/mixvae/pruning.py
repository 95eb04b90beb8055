"""From a model that has chosen its components to a smaller one that has no others."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from .errors import MixvaeError
from .recipes import build, options_of
from .recipes.recipe import Recipe

FIXED = {"mvae-gs": "mvae", "mvae-gau": "mvae", "mixture-vae": "mixture-vae"}  # with K chosen


def prune(recipe: Recipe, keep: Sequence[int] | None = None) -> Recipe:
    """The same model without the other components' weights: smaller, and of fixed K.

    In evaluation mode its reconstructions are those of the model that it comes from, if ``keep``
    are the components that dropout kept; its bounds no longer pay for the codes of the others, for
    which an exact mixture's never did.

    Args:
        recipe: left as it is. Of any mixture; mvae-gs and mvae-gau become mvae, and a mixture-vae
            is without masks.
        keep: the components to keep, counted from 0; None are those that dropout kept.

    Raises:
        MixvaeError: for components that do not exist or are named twice, for none, and where
            nothing says which to keep.
    """
    keep = kept_by(recipe, keep)
    name = FIXED.get(recipe.name, recipe.name)
    options = {key: recipe.options[key] for key in options_of(name)} | {"n_components": len(keep)}
    if options.get("keep_prior") is not None:  # an exact mixture's, with which it has no gate
        options |= {"keep_prior": None, "n_active": len(keep)}
    with torch.random.fork_rng():  # the first weights are drawn, and replaced
        small = build(name, recipe.x_shape, **options)
    whole = recipe.model.state_dict()
    rows = torch.tensor(keep)
    # Every per-component tensor, and no other, has the component axis first.
    small.model.load_state_dict(
        {
            key: whole[key].cpu() if whole[key].shape == part.shape else whole[key].cpu()[rows]
            for key, part in small.model.state_dict().items()
        }
    )
    small.model.eval()
    return replace(small, initialization=None)


def kept_by(recipe: Recipe, keep: Sequence[int] | None) -> list[int]:
    """The components that :func:`prune` keeps, in their order; raises as it does."""
    model = recipe.model
    if "n_components" not in recipe.options:
        raise MixvaeError(f"the recipe {recipe.name} has one component; there is none to remove.")
    if keep is None:
        if model.dropout is None:
            raise MixvaeError(
                f"the recipe {recipe.name} has no component dropout that says which components to "
                "keep; name them, such as keep=[0, 2]."
            )
        keep = model.kept.nonzero().flatten().tolist()
    if not keep or len(set(keep)) < len(keep):
        raise MixvaeError(f"keep must name at least one component, each once; got {list(keep)}.")
    return sorted(model.check_component(k, "a component to keep") for k in keep)

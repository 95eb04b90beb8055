"""``mixvae train --dry-run``: what would be trained."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mixvae.data import Dataset
from mixvae.recipes.building import BuiltRecipe
from mixvae.training.checks import check_all
from mixvae.training.settings import Settings

from .result import Result


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Training, or not."""

    dry_run: bool = False
    """Check all options and data, say what would be trained, and train nothing."""


def plan(recipe: BuiltRecipe, data: Dataset, values: Mapping[str, Any]) -> Result:
    """The model, its parts' parameters, its options and the data of a training that is checked.

    Raises a MixvaeError for what `mixvae.fit` refuses before it makes a folder.
    """
    settings = {
        field.name: values[field.name] for field in fields(Settings) if field.name in values
    }
    check_all(recipe, data, Settings(**settings | {"precision": "32"}), 1)  # any precision
    parts = {
        name: n
        for name, part in recipe.model.named_children()
        if (n := sum(parameter.numel() for parameter in part.parameters()))
    }
    text = [
        "nothing was trained, as of --dry-run; without it this would be:",
        f"{recipe.name} on {data.name} ({len(data.train):,} training, {len(data.val):,} "
        f"validation, {len(data.test):,} test examples; {data.transform})",
        f"x of shape {recipe.x_shape}; {recipe.n_parameters:,} parameters",
        *_lines("parameters by part", {name: f"{n:,}" for name, n in parts.items()}),
        *_lines("options", recipe.options),
        *_lines("training", settings),
    ]
    record = {"recipe": recipe.name, "n_parameters": recipe.n_parameters, "parameters": parts}
    record |= {"options": recipe.options, "training": settings, "data": data.describe()}
    return Result(text="\n".join(text), values={"dry_run": True} | record, brief=recipe.name)


def _lines(title: str, values: Mapping[str, Any]) -> list[str]:
    width = max(map(len, values), default=0) + 2
    return ["", title, *(f"  {name:{width}s}{value}" for name, value in values.items())]

"""Public functions and classes describe their parameters, in numpydoc's sections."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from types import FunctionType
from typing import Any

import docstring_parser
import pytest

PACKAGES = [
    *("mixvae", "mixvae.app", "mixvae.data", "mixvae.distributions", "mixvae.evaluation"),
    *("mixvae.export", "mixvae.families", "mixvae.initialization", "mixvae.likelihoods"),
    *("mixvae.model", "mixvae.model_search", "mixvae.nn", "mixvae.objectives", "mixvae.parts"),
    *("mixvae.plots", "mixvae.recipes", "mixvae.report", "mixvae.training"),
]


def public() -> Iterator[tuple[str, Any]]:
    """The functions and classes of the public packages, each once, by module and name."""
    seen = set()
    for package in map(import_module, PACKAGES):
        for name in getattr(package, "__all__", vars(package)):
            thing = getattr(package, name)
            ours = getattr(thing, "__module__", "").startswith("mixvae")
            is_one = inspect.isclass(thing) or isinstance(thing, FunctionType)
            if ours and is_one and not name.startswith("_") and thing not in seen:
                seen.add(thing)
                yield f"{thing.__module__}.{thing.__qualname__}", thing


PUBLIC = dict(sorted(public()))


def parameters(f: Callable[..., Any]) -> list[str]:
    return [
        name
        for name, p in inspect.signature(f).parameters.items()
        if name not in ("self", "cls") and p.kind is not p.VAR_POSITIONAL
    ]


def described(thing: Any) -> list[str]:
    """The parameters that a docstring describes, without stars."""
    text = inspect.cleandoc(thing.__doc__ or "")
    parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.NUMPYDOC)
    listed = [p for p in parsed.params if p.args[0] == "param"]
    return [name.strip().lstrip("*") for p in listed for name in p.arg_name.split(",")]


def constructor(thing: Any) -> Callable[..., Any] | None:
    """What a docstring's parameters are those of: a function, or a class's own ``__init__``."""
    if not inspect.isclass(thing):
        return thing
    if dataclasses.is_dataclass(thing):
        return None  # its fields are described one by one, under each
    if getattr(thing, "_is_protocol", False):
        return None  # it is never constructed
    return vars(thing).get("__init__")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_described(name: str) -> None:
    f = constructor(PUBLIC[name])
    if f is None:
        return
    wanted = parameters(f)
    assert described(PUBLIC[name]) == wanted


@pytest.mark.parametrize("name", [n for n, thing in PUBLIC.items() if inspect.isclass(thing)])
def test_a_methods_parameters_are_all_described_or_none_of_them(name: str) -> None:
    for method in vars(PUBLIC[name]).values():
        if isinstance(method, FunctionType) and (found := described(method)):
            assert found == parameters(method), method.__qualname__

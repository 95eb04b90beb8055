"""Evaluation mode of a model that several threads may use."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_lock = Lock()
_users: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # contexts that are open
_modes: WeakKeyDictionary[nn.Module, list[tuple[nn.Module, bool]]] = WeakKeyDictionary()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Context in which a model is in evaluation mode; the last to leave restores its modes."""
    with _lock:
        if not _users.get(model):
            _modes[model] = [(module, module.training) for module in model.modules()]
            model.eval()
        _users[model] = _users.get(model, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _users[model] -= 1
            if not _users[model]:
                for module, training in _modes.pop(model):
                    module.training = training

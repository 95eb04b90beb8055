"""Evaluation mode for as long as any thread needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_lock = Lock()
_users: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # threads in evaluation mode
_modes: WeakKeyDictionary[nn.Module, list[tuple[nn.Module, bool]]] = WeakKeyDictionary()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; when the last of its users leaves, in the mode it came in."""
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

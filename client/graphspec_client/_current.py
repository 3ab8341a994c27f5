"""Where the client is found that evaluates tensors to which none was given; below all that uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_client: Any = None
_make: Callable[[], Any] | None = None


def set_current(client: Any) -> None:
    """Choose the client; ``None`` goes back to one that is made on first use."""
    global _client
    _client = client


def set_maker(make: Callable[[], Any]) -> None:
    """Say how a client is made; for the module that knows clients, which stands above this one."""
    global _make
    _make = make


def current() -> Any:
    """The client, made on first use."""
    global _client
    if _client is None:
        assert _make is not None, "the package's __init__ imports the module that makes clients"
        _client = _make()
    return _client

"""Tuples, lists and dicts of tensors taken apart and put together again, as arguments and results of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def leaves(container: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What a nest of tuples, lists and dicts holds, each with its path (``"params.0.w"``)."""
    for key, item in _items(container):
        yield from leaves(item, f"{path}.{key}" if path else str(key))
    if not is_container(container):
        yield path, container


def rebuild(container: Any, replace: Callable[[str, Any], Any], path: str = "") -> Any:
    """The same nest with every leaf replaced by what ``replace(path, leaf)`` gives."""
    if not is_container(container):
        return replace(path, container)
    parts = [(key, rebuild(item, replace, f"{path}.{key}" if path else str(key))) for key, item in _items(container)]
    if isinstance(container, dict):
        return dict(parts)
    values: Iterable[Any] = (value for _, value in parts)
    if hasattr(container, "_fields"):  # a named tuple
        return type(container)(*values)
    return tuple(values) if isinstance(container, tuple) else list(values)


def is_container(thing: Any) -> bool:
    """Whether it is a nest and no leaf."""
    return isinstance(thing, tuple | list | dict)


def skeleton(container: Any) -> Any:
    """A hashable form of the nest without its leaves: equal for nests of equal form."""
    if not is_container(container):
        return None
    return (type(container), tuple((key, skeleton(item)) for key, item in _items(container)))


def _items(container: Any) -> list[tuple[Any, Any]]:
    if isinstance(container, dict):
        return list(container.items())
    return list(enumerate(container)) if is_container(container) else []


def at(container: Any, path: str) -> Any:
    """What stands at a path in a nest.

    Raises:
        KeyError: Nothing does.
    """
    if not path:
        return container
    for key, item in _items(container):
        if path == str(key):
            return item
        if path.startswith(f"{key}."):
            return at(item, path[len(str(key)) + 1 :])
    raise KeyError(path)

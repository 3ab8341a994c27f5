"""Parts of nested arguments and results: what is differentiated, and what with respect to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphspec_client import _containers
from graphspec_client._tensor import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A part of the arguments or of the result.

    Attributes:
        path: Where it stands.
        nest: What stands there: an array, or a nest of them.
        paths: Where in it there are floats.
    """

    path: str
    nest: Any
    paths: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """What is differentiated, or what with respect to.

    Attributes:
        parts: The parts by the names of ``of`` or ``wrt``.
        single: Whether one was asked for and not a list, so that the answer has its form.
    """

    parts: dict[str, Part]
    single: bool

    @property
    def paths(self) -> list[str]:
        """All of the floats."""
        return list(dict.fromkeys(path for part in self.parts.values() for path in part.paths))

    def form(self, get: Callable[[str], Any]) -> Any:
        """The same form with what ``get(path)`` gives for each float, and ``None`` for what is none."""
        floats = set(self.paths)
        found = {
            name: _containers.rebuild(part.nest, lambda path, leaf: get(path) if path in floats else None, part.path)
            for name, part in self.parts.items()
        }  # fmt: skip
        return next(iter(found.values())) if self.single else found

    def match(self, given: Any, what: str) -> dict[str, Any]:
        """The vectors of a product by the paths that they belong to.

        Raises:
            TypeError: They are not of the form of this.
        """
        named = {next(iter(self.parts)): given} if self.single else given
        if not isinstance(named, Mapping) or set(named) != set(self.parts):
            raise TypeError(f"{what} must be a dict with one entry for each of {', '.join(self.parts)}.")
        found: dict[str, Any] = {}
        for name, part in self.parts.items():
            leaves = dict(_containers.leaves(_listed(named[name], part.nest), part.path))
            given_floats = {path: leaf for path, leaf in leaves.items() if leaf is not None}
            if set(given_floats) != set(part.paths):
                raise TypeError(f"{what} must have the form of {name or 'the result'}: {', '.join(part.paths)}.")
            found |= given_floats
        return found


def _listed(given: Any, nest: Any) -> Any:
    """A list of numbers in place of an array is one array."""
    return given if _containers.is_container(nest) or isinstance(given, Tensor) else _as_one(given)


def _as_one(given: Any) -> Any:
    return np.asarray(given) if isinstance(given, list | tuple) else given

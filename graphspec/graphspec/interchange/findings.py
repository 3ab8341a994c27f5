"""Collect every problem of one stage of reading, then refuse once."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from graphspec.errors import GraphSpecError, LoadError, Problem

# A hostile source must not turn into a report larger than itself.
_MOST = 100
_LONGEST = 1000


def escape(part: object) -> str:
    """One part of a JSON pointer, as RFC 6901 writes it."""
    return str(part).replace("~", "~0").replace("/", "~1")


def pointer(*parts: object) -> str:
    """The JSON pointer through the given keys and indices."""
    return "".join(f"/{escape(part)}" for part in parts)


def shorten(text: str, length: int = 60) -> str:
    """The text, cut where it would fill the screen."""
    return text if len(text) <= length else text[: length - 1] + "…"


def describe(value: Any) -> str:
    """A JSON value in words, for the ``found`` of a problem."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return "a number of too many digits" if value.bit_length() > 256 else f"the integer {value}"
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the string {shorten(value)!r}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        keys = ", ".join(repr(shorten(str(key), 20)) for key in list(value)[:4])
        return f"an object with {keys}{', …' if len(value) > 4 else ''}" if value else "an empty object"
    return f"a Python {type(value).__name__}"


def is_text(value: Any) -> bool:
    """Whether a value is a string that UTF-8 can hold: no half of a surrogate pair."""
    if type(value) is not str:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be."""
    if len(name) > 100:
        return None
    lowered = {option.lower(): option for option in itertools.islice(known, 1000) if len(option) <= 100}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint that goes with ``nearest``, or ``None``."""
    found = nearest(name, known)
    return f'Did you mean "{found}"?' if found is not None else None


def _writable(text: str) -> str:
    """The text fit to be sent: what UTF-8 cannot hold is escaped, and no name makes it long."""
    return shorten(text, _LONGEST).encode("utf-8", "backslashreplace").decode("utf-8")


class Findings:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(
        self,
        code: str,
        message: str,
        path: str,
        *,
        expected: str,
        found: str,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        """Note one problem; see ``Problem`` for the fields."""
        if len(self.problems) < _MOST:
            self.problems.append(
                Problem(
                    code,
                    _writable(message),
                    path=_writable(path),
                    node=None if node is None else _writable(node),
                    expected=_writable(expected),
                    found=_writable(found),
                    hint=None if hint is None else _writable(hint),
                )
            )
        elif len(self.problems) == _MOST:
            self.problems.append(Problem("too-many-problems", f"There are more than {_MOST} problems."))

    def kind(self, path: str, expected: str, found: Any, hint: str | None = None, node: str | None = None) -> None:
        """Note that a value is not of the kind that belongs here."""
        message = "The value is of the wrong kind."
        self.add("wrong-kind", message, path, expected=expected, found=describe(found), hint=hint, node=node)

    def raise_if_any(self, error: type[GraphSpecError] = LoadError) -> None:
        """Refuse with everything found, if anything was.

        Raises:
            GraphSpecError: Of the class ``error``, with all problems.
        """
        if self.problems:
            raise error(problems=self.problems)


@contextlib.contextmanager
def prefixed(prefix: str) -> Iterator[None]:
    """Put a JSON pointer before the paths of all problems raised inside."""
    try:
        yield
    except GraphSpecError as error:
        moved = [dataclasses.replace(problem, path=prefix + problem.path) for problem in error.problems]
        raise type(error)(problems=moved) from error

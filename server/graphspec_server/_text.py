"""Small helpers for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_KINDS = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint that names what was probably meant, or what there is to choose from; ``None`` when there is nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:100], names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(map(repr, names[:20]))}{' ...' if len(names) > 20 else ''}." if names else None


def kind_of(value: Any) -> str:
    """What JSON calls a value's type."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901) from its parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)

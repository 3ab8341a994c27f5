"""JSON as RFC 8259 means it: no duplicate keys, no NaN tokens, UTF-8 only; every refusal says where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from graphspec.errors import LimitError, LoadError
from graphspec.interchange.findings import Findings, pointer, shorten


class _NonFinite:
    """Stands where the text said NaN, Infinity or -Infinity without quotes."""

    def __init__(self, token: str) -> None:
        self.token = token


class _Repeated(dict[str, Any]):
    """An object that had the same key more than once."""

    keys_repeated: tuple[str, ...] = ()


def parse_json(data: str | bytes) -> Any:
    """Parse JSON strictly.

    Args:
        data: The text, or its UTF-8 bytes (a byte order mark is allowed).

    Raises:
        LoadError: The text is not JSON (the problem names line and column), an object repeats a key, or a number is
            written as a bare NaN or Infinity (the problems carry JSON pointers).
        LimitError: The nesting is deeper than the parser can follow.
    """
    suspicious = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal suspicious
        result = dict(items)
        if len(result) == len(items):
            return result
        suspicious = True
        seen: set[str] = set()
        marked = _Repeated(result)
        marked.keys_repeated = tuple(dict.fromkeys(key for key, _ in items if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
        return marked

    def constant(token: str) -> _NonFinite:
        nonlocal suspicious
        suspicious = True
        return _NonFinite(token)

    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data.removeprefix("\ufeff")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise LoadError(
            f"The JSON is not UTF-8: byte {error.start} cannot be decoded.",
            code="bad-encoding",
            expected="UTF-8",
            found=f"byte 0x{error.object[error.start]:02x} at offset {error.start}",
        ) from error
    except json.JSONDecodeError as error:
        raise LoadError(
            f"The text is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            code="bad-json",
            expected="JSON",
            found=repr(shorten(error.doc[error.pos : error.pos + 40])) if error.pos < len(error.doc) else "the end",
        ) from error
    except RecursionError as error:
        raise LimitError(
            "The JSON is nested too deeply.",
            code="too-deep",
            expected="at most a few hundred levels of lists and objects",
            found="more",
            hint="No graph needs that: look for a list wrapped in itself.",
        ) from error
    except ValueError as error:  # an integer of thousands of digits, which Python refuses to convert
        raise LoadError(f"The JSON holds a number that cannot be read: {error}.", code="bad-json") from error
    if suspicious:
        findings = Findings()
        for trail, item in walk(value):
            if isinstance(item, _Repeated):
                for key in item.keys_repeated:
                    findings.add(
                        "duplicate-key",
                        f"The object has the key {shorten(key)!r} more than once.",
                        path_of((trail, key)),
                        expected="each key once",
                        found="the key repeated",
                        hint="Keep one of them: which one counts would depend on the parser.",
                    )
            elif isinstance(item, _NonFinite):
                findings.kind(
                    path_of(trail),
                    "JSON",
                    item.token,
                    hint=f'JSON has no {item.token}: write the string "{item.token}".',
                )
        findings.raise_if_any()
    return value


#: Where a value is: the key or index it has, and where that is; ``None`` for the whole.
Trail: TypeAlias = tuple[Any, Any] | None


def walk(value: Any) -> Iterator[tuple[Trail, Any]]:
    """Every value of a JSON tree with where it is, in order, without recursion and in linear time and space."""
    pending: list[tuple[Trail, Any]] = [(None, value)]
    while pending:
        trail, item = pending.pop()
        yield trail, item
        if isinstance(item, dict):
            pending += [((trail, key), child) for key, child in reversed(item.items())]
        elif isinstance(item, list):
            pending += [((trail, index), item[index]) for index in range(len(item) - 1, -1, -1)]


def path_of(trail: Trail) -> str:
    """The JSON pointer of a trail."""
    parts = []
    while trail is not None:
        trail, part = trail
        parts.append(part)
    return pointer(*reversed(parts))

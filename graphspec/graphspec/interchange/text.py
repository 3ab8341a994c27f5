"""ONNX's own text form: read with a guard around its parser, written only where nothing is lost."""

from __future__ import annotations

import re

import onnx
import onnx.parser
import onnx.printer

from graphspec.errors import LoadError, Problem, UnsupportedError
from graphspec.interchange.findings import shorten
from graphspec.interchange.limits import DEFAULT_LIMITS, Limits
from graphspec.interchange.normal import differences

#: Strings and comments, in which brackets do not count, and brackets.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|#[^\n]*|[(){}\[\]]', re.DOTALL)
_POSITION = re.compile(r"\(line: (\d+) column: (\d+)\)\]\s*(?:Error context: (.*)\n)?(.*)", re.DOTALL)


def parse_text(text: str, *, limits: Limits = DEFAULT_LIMITS) -> onnx.ModelProto:
    """Parse the text form of a model.

    Args:
        text: The text, as in https://onnx.ai/onnx/repo-docs/Syntax.html.
        limits: What is accepted; the nesting is counted before ONNX's parser, which is recursive, sees the text.

    Raises:
        LoadError: The text breaks the grammar; the problem names line and column.
        LimitError: Brackets are nested too deeply.
    """
    limits.check("max_nesting", _depth(text) // 2)
    try:
        return onnx.parser.parse_model(text)
    except onnx.parser.ParseError as error:
        raw = error.args[0] if error.args else ""
        message = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        found = _POSITION.search(message)
        if found is None:
            raise LoadError(f"The ONNX text cannot be read: {shorten(message, 200)}", code="bad-text") from error
        line, column, context, reason = found.groups()
        reason = " ".join(reason.split()).rstrip(".") or "syntax error"
        raise LoadError(
            f"The ONNX text cannot be read at line {line}, column {column}: {shorten(reason, 200)}.",
            code="bad-text",
            expected="the ONNX text syntax",
            found=repr(shorten((context or "").strip())),
        ) from error
    except Exception as error:  # the parser serialises its result, which may be nested deeper than protobuf reads
        raise LoadError(f"The ONNX text cannot be read: {shorten(str(error), 200)}", code="bad-text") from error


def _depth(text: str) -> int:
    """How deep brackets are nested."""
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        first = token.group()[0]
        if first in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in ")]}":
            depth = max(0, depth - 1)
    return deepest


def print_text(model: onnx.ModelProto) -> str:
    """The text form of a model, if it can carry the model.

    Raises:
        UnsupportedError: Read back, the text would give another model; the problems say what is lost.
    """
    text = ""
    try:
        text = str(onnx.printer.to_text(model))
        lost = differences(model, parse_text(text))
    except LoadError as error:
        lost = [f"the printed text cannot be read back: {error.message}"]
    except Exception as error:  # bytes that are not UTF-8, and types that ONNX's printer does not know
        lost = [f"it cannot be printed: {shorten(str(error), 200)}"]
    if lost:
        raise UnsupportedError(
            problems=[
                Problem(
                    "not-in-text",
                    f"ONNX text cannot carry this: {item}.",
                    hint="Use the JSON or the protobuf form.",
                )
                for item in lost
            ]
        )
    return text

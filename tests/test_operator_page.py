"""docs/operators.md is up to date, and says what it must."""

from __future__ import annotations

import operator_page


def test_the_page_is_not_stale() -> None:
    assert operator_page.PAGE.read_text(encoding="utf-8") == operator_page.markdown(), "run `make docs`"


def test_types_come_from_suite_and_samples() -> None:
    types = operator_page.tested_types()
    assert {"float32", "float64", "int8"} <= types["ai.onnx", "Add"]
    assert "int64" not in types["ai.onnx", "Not"]
    assert {"float8e4m3fn", "string"} <= types["ai.onnx", "Cast"]

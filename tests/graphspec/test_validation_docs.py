"""docs/validation.md is true: its code runs, every example has the problem it stands for, and no code is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import onnx
import onnx.parser
import pytest

from graphspec.validation import validate
from graphspec.validation.report import Code

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "validation.md").read_text("utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|\n").split(" | "))
    for line in PAGE.splitlines()
    if re.match(r"\| `[a-z-]+` \| (error|warning) \|", line)
]
# What cannot be provoked by a small example, or by none that is known.
WITHOUT_EXAMPLE = {("onnx-checker", "warning"), ("unexpected", "error")}


def test_the_table_has_every_code() -> None:
    assert {row[0].strip("`| ") for row in ROWS} == set(get_args(Code))


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row[0].strip('`| ')}-{row[1]}") for row in ROWS])
def test_each_example_has_its_problem(row: tuple[str, ...]) -> None:
    code, severity = row[0].strip("`| "), row[1]
    examples = re.findall(r"`([^`]+)`", row[3]) if len(row) > 3 else []
    assert bool(examples) != ((code, severity) in WITHOUT_EXAMPLE)
    if not examples:
        return
    model = onnx.parser.parse_model('<ir_version: 10, opset_import: ["": 21]> ' + examples[0])
    for change in examples[1:]:
        exec(change, {"model": model, "onnx": onnx})
    report = validate(model)
    assert (code, severity) in {(p.code, p.severity) for p in report.problems}
    others = {p.code for p in report.errors} - {code}
    assert not others, "the example shows something else as well"


def test_the_code_runs() -> None:
    namespace: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, namespace)

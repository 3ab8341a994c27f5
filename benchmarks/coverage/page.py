"""From ``results.json`` to the tables in the documentation; no system is run."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
RESULTS = HERE / "results.json"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
FALSE = ("wrong", "zero", "NaN")  # what is handed out as a derivative, and is none
NAMES = {"graphspec": "GraphSpec", "onnx-ad": "onnx-ad", "ort-training": "ONNX Runtime training", "jax": "JAX"}
PLUMBING = ("SplitToSequence", "SequenceInsert", "OptionalGetElement")
# Cases that are of no operator, or of one that left ONNX.
BESIDE = ("parameters", "model-local functions", "Scatter")

PAGE = """# Derivatives, operator by operator

Made by `make coverage-table` (`benchmarks/coverage/run.py`) from {cases} cases; do not edit. The summary, and how it is
measured, is in [derivatives.md](derivatives.md).

Each field counts cases: right of all, and then what the others are. *zero*: zeros where the derivative is not. *NaN*:
not finite where it is. *other value*: the operator's own value differs from ours, so that its derivative says nothing.
*refused*: it says that it cannot. *error*: it stops in another way.

"""


def write(results: Mapping[str, Any]) -> None:
    """Put the tables where they belong."""
    (DOCS / "coverage.md").write_text(full(results), encoding="utf-8")
    path = DOCS / "derivatives.md"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    path.write_text(before + BEGIN + "\n" + summary(results) + END + rest.split(END)[1], encoding="utf-8")


def stored() -> dict[str, Any]:
    """The results as they were last measured."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def by_operator(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The cases of each operator whose derivative moves in one of them; parameters and functions at the end."""
    groups: dict[str, dict[str, Any]] = {}
    for name, case in results["cases"].items():
        groups.setdefault(case["operator"], {})[name] = case
    moving = {op: own for op, own in groups.items() if any(c["moves"] for c in own.values())}
    return dict(sorted(moving.items(), key=lambda item: (item[0] in BESIDE, item[0])))


def verdict(cases: Mapping[str, Any], system: str) -> str:
    """One word for an operator: what the worst of its cases says."""
    found = {case["verdicts"][system]["is"] for case in cases.values()}
    if found & set(FALSE):
        return "false"
    if found == {"right"}:
        return "right"
    return "in part" if "right" in found else "none"


def counted(verdicts: Mapping[str, Any], system: str) -> str:
    """Cases by what came of them."""
    counts = collections.Counter(v[system]["is"] for v in verdicts.values())
    return ", ".join(f"{n} {what}" for what, n in counts.most_common())


def summary(results: Mapping[str, Any]) -> str:
    """A row a system, then what each of them hands out that is not the derivative."""
    groups = by_operator(results)
    operators = {op: own for op, own in groups.items() if op not in (*BESIDE, *PLUMBING)}
    count = len(results["cases"])
    lines = [
        f"{len(operators)} operators of `ai.onnx` (ONNX {results['onnx']}) have a derivative, by measurement: of their",
        f"{count} cases at least one has central differences that are not zero. Sequences and optionals are plumbing.",
        "",
        "| System | Right in every case | Right in some, others refused | False in a case | None | Cases right |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for system, version in results["systems"].items():
        words = collections.Counter(verdict(own, system) for own in operators.values())
        right = sum(c["verdicts"][system]["is"] == "right" for c in results["cases"].values())
        name = NAMES[system] if system == "graphspec" else f"{NAMES[system]} ({version})"
        counts = " | ".join(str(words[w]) for w in ("right", "in part", "false", "none"))
        lines.append(f"| {name} | {counts} | {right} of {count} |")
    lines += ["", "*False* is a number that is not the derivative, a zero that is none, or NaN, without a word:", ""]
    for system in results["systems"]:
        lines += _false(groups, system)
    return "\n".join(lines) + "\n"


def _false(groups: Mapping[str, Mapping[str, Any]], system: str) -> Iterator[str]:
    found = []
    for op, own in groups.items():
        kinds = collections.Counter(c["verdicts"][system]["is"] for c in own.values())
        words = [f"{kind} in {kinds[kind]}" for kind in FALSE if kinds[kind]]
        if words:
            found.append(f"{op} ({', '.join(words)} of {len(own)})")
    yield f"* **{NAMES[system]}**: {', '.join(found) or 'none'}."


def full(results: Mapping[str, Any]) -> str:
    """A row an operator, then what was said where a system was not right."""
    systems = list(results["systems"])
    lines = [PAGE.format(cases=len(results["cases"])).rstrip("\n"), ""]
    lines.append("| Operator | " + " | ".join(NAMES[s] for s in systems) + " |")
    lines.append("| --- " * (len(systems) + 1) + "|")
    for op, own in by_operator(results).items():
        lines.append(f"| {op} | " + " | ".join(_field(own, system) for system in systems) + " |")
    lines += ["", "## What is false", "", "| System | Case | It is | |", "| --- | --- | --- | --- |"]
    for system in systems:
        for name, case in results["cases"].items():
            found = case["verdicts"][system]
            if found["is"] in (*FALSE, "other value"):
                lines.append(f"| {NAMES[system]} | {name} | {found['is']} | {found.get('says', '')} |")
    return "\n".join(lines) + "\n"


def _field(own: Mapping[str, Any], system: str) -> str:
    kinds = collections.Counter(c["verdicts"][system]["is"] for c in own.values())
    rest = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()) if kind != "right")
    right = f"{kinds['right']} of {len(own)}"
    return f"{right}: {rest}" if rest else right

"""Writes docs/operators.md: ``make docs``, or ``python tests/operator_page.py``.

The page is made of the catalog and, for the types, of what the tests run: the cases of the ONNX backend suite and the
samples.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from backend_suite import backend_models

import graphspec as gs
from graphspec import dtypes
from graphspec.operators import registry
from samples import ALL, Floats, Sample

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators.md"
DOMAINS = ("ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training")
DERIVATIVES = {"rule": "rule", "function": "through its body", "zero": "zero", "not yet": "not yet"}
INDICES = {"tensor(int32)", "tensor(int64)"}
Types = Mapping[tuple[str, str], set[str]]

HEAD = """# Operators

Every operator of ONNX {version}, and what GraphSpec does with it. This page is generated (`make docs`);
`graphspec.operators()` and `GET /v1/operators` give the same as data.

* **Versions**: the opset versions that changed the operator. A form without a kernel of its own is converted upward
  with its model; where that would change what it means, the error names the node.
* **Runs by**: a *kernel* (a NumPy function), or the *body* that ONNX defines it by (`Gradient`: the derivative's nodes
  take its place).
* **Derivative**: a *rule*; *through its body*; *zero* (almost everywhere, or no floating-point output moves); *not
  yet*, which is an error that names the node, and never a silent zero.
* **Types tested**: element types of the operator's data in the cases of ONNX's backend suite and in our own samples.
"""


def markdown() -> str:
    """The page."""
    rows = gs.operators()
    types = tested_types()
    parts = [HEAD.format(version=onnx.__version__), *_summary(rows)]
    for domain in DOMAINS:
        own = [row for row in rows if row["domain"] == domain]
        parts += [f"\n## {domain}\n", *_table(own, types)]
    parts += ["\n## Deprecated\n", "These left ONNX; models of their opsets run.\n", *_deprecated(rows)]
    return "\n".join(parts) + "\n"


def _summary(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| Domain | Operators | Kernel | Body | Neither | Rule | Through its body | Zero | Not yet |"
    yield "| --- " * 9 + "|"
    for domain in DOMAINS:
        own = [row for row in rows if row["domain"] == domain]
        ways = collections.Counter(_way(row) for row in own)
        derivatives = collections.Counter(row["derivative"] for row in own)
        counts = [len(own), ways["kernel"], ways["body"], ways["-"], *(derivatives[d] for d in DERIVATIVES)]
        yield f"| {domain} | " + " | ".join(map(str, counts)) + " |"


def _way(row: dict[str, Any]) -> str:
    return "kernel" if row["kernel"] else "body" if row["runs"] else "-"


def _table(rows: list[dict[str, Any]], types: Types) -> Iterator[str]:
    yield "| Operator | Versions | Runs by | Derivative | Types tested |"
    yield "| --- " * 5 + "|"
    for row in rows:
        versions = ", ".join(map(str, row["since"]))
        tested = _in_order(types[row["domain"], row["op_type"]])
        yield f"| {row['op_type']} | {versions} | {_way(row)} | {DERIVATIVES[row['derivative']]} | {tested} |"


def _deprecated(rows: list[dict[str, Any]]) -> Iterator[str]:
    listed = {(row["domain"], row["op_type"]) for row in rows}
    gone = {(e.domain or "ai.onnx", e.op_type) for e in registry.entries()} - listed
    yield "| Operator | Domain | Versions |"
    yield "| --- " * 3 + "|"
    history = onnx.defs.get_all_schemas_with_history()
    for domain, op_type in sorted(gone):
        own = [s for s in history if (s.domain or "ai.onnx", s.name) == (domain, op_type)]
        versions = ", ".join(str(v) for v in sorted(s.since_version for s in own if not s.deprecated))
        yield f"| {op_type} | {domain} | {versions} |"


def _in_order(names: Iterable[str]) -> str:
    found = set(names)
    return ", ".join(row.name for row in dtypes.DTYPES if row.name in found) or "-"


def tested_types() -> Types:
    """Domain and name of an operator, and the element types of its data that a test runs it with."""
    found: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for _, model in (*backend_models("node"), *backend_models("simple")):
        values = {info.name: info.type for info in (*model.graph.input, *model.graph.output)}
        versions = {one.domain: one.version for one in model.opset_import}
        for node in model.graph.node:
            schema = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain)
            inputs, outputs = _data(schema)
            names = [name for i, name in enumerate(node.input) if _at(inputs, i)]
            names += [name for i, name in enumerate(node.output) if _at(outputs, i)]
            found[node.domain or "ai.onnx", node.op_type].update(
                t for n in names if n in values for t in _of(values[n])
            )
    for sample in ALL:
        found[sample.domain or "ai.onnx", sample.op_type].update(_of_sample(sample))
    return found


def _data(schema: onnx.defs.OpSchema) -> tuple[list[bool], list[bool]]:
    """Which inputs and outputs are data: of a type to choose from, and no mere indices."""
    choices = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}

    def is_data(formal: onnx.defs.OpSchema.FormalParameter) -> bool:
        types = choices.get(formal.type_str, set())
        return len(types) > 1 and not types <= INDICES

    inputs, outputs = [is_data(f) for f in schema.inputs], [is_data(f) for f in schema.outputs]
    if not any(inputs + outputs):  # a type without a choice
        inputs = [i == 0 for i in range(len(inputs))]
    return inputs, outputs


def _at(chosen: list[bool], i: int) -> bool:
    return bool(chosen) and chosen[min(i, len(chosen) - 1)]  # a variadic one comes last


def _of(proto: onnx.TypeProto) -> Iterator[str]:
    kind = proto.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        yield from _of(getattr(proto, kind).elem_type)
    elif kind == "tensor_type":
        yield dtypes.BY_ONNX[proto.tensor_type.elem_type].name


def _of_sample(sample: Sample) -> Iterator[str]:
    inputs, _ = _data(onnx.defs.get_schema(sample.op_type, sample.opset, sample.domain))
    for i, given in enumerate(sample.inputs):
        if not _at(inputs, i) or given is None:
            continue
        if isinstance(given, Floats):
            yield from ("float32",) if sample.narrow else ("float32", "float64")
        else:
            yield dtypes.of(given.dtype).name


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")

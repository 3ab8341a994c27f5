"""What GraphSpec can do, operator by operator."""

from __future__ import annotations

from typing import Any

import onnx

from graphspec.operators import registry
from graphspec.operators.expansions import has_expansion
from graphspec.operators.registry import ZERO


def catalog() -> list[dict[str, Any]]:
    """One row per operator of ONNX's domains, sorted by domain and name.

    Returns:
        Dictionaries with ``domain``, ``op_type``, ``since`` (versions at which its schema changed), ``kernel`` (whether
        a NumPy function computes it), ``runs`` (by a kernel or through its function body) and ``derivative``: "rule",
        "function" (through the body), "zero" or "not yet".
    """
    history: dict[tuple[str, str], list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        history.setdefault((schema.domain, schema.name), []).append(schema)
    rows = []
    for (domain, op_type), versions in sorted(history.items()):
        newest = max(versions, key=lambda s: s.since_version)
        if newest.deprecated:
            continue
        entry = registry.find(op_type, domain, newest.since_version)
        has_body = newest.has_function or newest.has_context_dependent_function  # type: ignore[attr-defined]
        has_body = has_body or has_expansion(domain, op_type)  # the body that a transform puts in
        rows.append(
            {
                "domain": domain or "ai.onnx",
                "op_type": op_type,
                "since": sorted(s.since_version for s in versions),
                "kernel": entry is not None,
                "runs": entry is not None or has_body,
                "derivative": _derivative(entry, has_body),
            }
        )
    return rows


def _derivative(entry: registry.Operator | None, has_body: bool) -> str:
    if entry is not None and entry.rule is ZERO:
        return "zero"
    if entry is not None and (entry.rule is not None or entry.through_subgraphs):
        return "rule"
    return "function" if has_body else "not yet"

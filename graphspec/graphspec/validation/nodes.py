"""One node against its operator's schema: does it exist, how many inputs and outputs, which attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx

from graphspec.validation import schemas, tensors
from graphspec.validation.report import Findings, pointer

if TYPE_CHECKING:
    from graphspec.validation.structure import Block

FunctionId = tuple[str, str, str]

_KIND_NAMES: Mapping[int, str] = {
    onnx.AttributeProto.FLOAT: "a float",
    onnx.AttributeProto.INT: "an int",
    onnx.AttributeProto.STRING: "a string",
    onnx.AttributeProto.TENSOR: "a tensor",
    onnx.AttributeProto.GRAPH: "a graph",
    onnx.AttributeProto.SPARSE_TENSOR: "a sparse tensor",
    onnx.AttributeProto.TYPE_PROTO: "a type",
    onnx.AttributeProto.FLOATS: "a list of floats",
    onnx.AttributeProto.INTS: "a list of ints",
    onnx.AttributeProto.STRINGS: "a list of strings",
    onnx.AttributeProto.TENSORS: "a list of tensors",
    onnx.AttributeProto.GRAPHS: "a list of graphs",
    onnx.AttributeProto.SPARSE_TENSORS: "a list of sparse tensors",
    onnx.AttributeProto.TYPE_PROTOS: "a list of types",
}
_KIND_OF_FIELD = {field: kind for kind, field in schemas.FIELDS.items()}
_MANY = 2**31 - 1  # how schemas write "any number of"


@dataclasses.dataclass(slots=True)
class Context:
    """What is the same everywhere in a model."""

    findings: Findings
    functions: Mapping[FunctionId, onnx.FunctionProto]


def label(node: onnx.NodeProto, number: int) -> str:
    """A node for people."""
    return f"node {node.name!r} ({node.op_type})" if node.name else f"node {number} ({node.op_type})"


def function_id(item: onnx.NodeProto | onnx.FunctionProto) -> FunctionId:
    """What tells functions apart: domain, name, overload."""
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return schemas.domain_of(item.domain), name, item.overload


def check_node(node: onnx.NodeProto, number: int, path: str, block: Block, context: Context) -> bool:
    """Check one node; problems go to the findings.

    Returns:
        Whether its types can be inferred: the operator is known, and inputs, outputs and attributes fit it.
    """
    findings = context.findings
    before = findings.errors
    _check_attribute_fields(node, number, path, block, findings)
    function = context.functions.get(function_id(node))
    domain = schemas.domain_of(node.domain)
    version = block.opsets.get(domain)
    if version is None and (function is not None or domain in schemas.latest() or not domain):
        findings.add(
            "no-opset-import",
            f"{block.path}/opset" if domain == "" else f"{block.path}/opset/{pointer(domain)}",
            f"{label(node, number).capitalize()} uses the domain {domain or 'ai.onnx'!r}, "
            "of which no version is imported.",
            node=node.name,
            expected=f"a version of {domain or 'ai.onnx'}",
            found="none",
            hint=f"Import it: the newest version known here is {schemas.latest().get(domain, 1)}.",
        )
        return False
    if function is not None:
        _check_call(node, number, path, function, findings)
    elif (operator := schemas.operator(domain, node.op_type, version or 0)) is None:
        _report_missing(node, number, path, domain, version, context)
    else:
        _check_counts(node, number, path, operator, findings)
        _check_attributes(node, number, path, operator, findings)
    return findings.errors == before


def _report_missing(
    node: onnx.NodeProto, number: int, path: str, domain: str, version: int | None, context: Context
) -> None:
    findings, where = context.findings, f"{path}/op"
    operators = schemas.history().get(domain)
    local = {name for owner, name, _ in context.functions if owner == domain}
    if operators is not None and node.op_type in operators:
        findings.add(
            "operator-not-in-opset",
            where,
            f"{node.op_type} is not an operator of opset {version} of {domain or 'ai.onnx'}.",
            node=node.name,
            expected=f"an opset that has {node.op_type}: {schemas.lifetime(domain, node.op_type)}",
            found=f"opset {version}",
            hint="Import another version of the opset, or use the operator that took its place.",
        )
    elif operators is not None:
        findings.add(
            "unknown-operator",
            where,
            f"There is no operator {node.op_type!r} in {domain or 'ai.onnx'}.",
            node=node.name,
            expected=f"an operator of {domain or 'ai.onnx'}, or a function of this model",
            found=node.op_type,
            hint=findings.nearest(node.op_type, {*operators, *local}) or _elsewhere(node.op_type),
        )
    elif local:
        findings.add(
            "missing-function",
            where,
            f"{label(node, number).capitalize()} calls the function {node.op_type!r} of {domain!r}, "
            "which this model does not have.",
            node=node.name,
            expected=f"one of the functions of {domain}: {', '.join(sorted(local)[:10])}",
            found=node.op_type + (f":{node.overload}" if node.overload else ""),
            hint=findings.nearest(node.op_type, local),
        )
    else:
        findings.add(
            "unknown-operator",
            where,
            f"The domain {domain!r} of the operator {node.op_type!r} is not known.",
            node=node.name,
            expected="one of the domains " + ", ".join(sorted(d or "ai.onnx" for d in schemas.latest())),
            found=domain,
            hint=_elsewhere(node.op_type) or "Give the operator as a function of this model.",
        )


def _elsewhere(op_type: str) -> str | None:
    for domain, operators in schemas.history().items():
        if op_type in operators:
            return f"The domain {domain or 'ai.onnx'!r} has an operator of this name."
    return None


def _range(least: int, most: int) -> str:
    if least == most:
        return str(least)
    return f"at least {least}" if most >= _MANY else f"{least} to {most}"


def _check_counts(
    node: onnx.NodeProto, number: int, path: str, operator: schemas.Operator, findings: Findings
) -> None:
    # Trailing empty names are the same as nothing at all.
    given = len(node.input)
    while given and not node.input[given - 1]:
        given -= 1
    least, most = operator.input_count
    names = ", ".join(f.name for f in operator.inputs)
    if not least <= given <= most:
        missing = [f.name for f in operator.inputs[given:] if f.required]
        findings.add(
            "wrong-number-of-inputs",
            f"{path}/inputs",
            f"{label(node, number).capitalize()} has {given} inputs.",
            node=node.name,
            expected=f"{_range(least, most)} ({names})" if names else _range(least, most),
            found=str(given),
            hint=f"Give {' and '.join(missing)}." if given < least and missing else None,
        )
    for place in range(given if operator.inputs else 0):
        formal = operator.formal_input(place)
        if not node.input[place] and formal.required:
            findings.add(
                "missing-input",
                f"{path}/inputs/{place}",
                f"The input {formal.name} of {label(node, number)} is required and cannot be left out.",
                node=node.name,
                expected=formal.name,
                found="an empty name",
            )
    least, most = operator.output_count
    if not least <= len(node.output) <= most:
        findings.add(
            "wrong-number-of-outputs",
            f"{path}/outputs",
            f"{label(node, number).capitalize()} has {len(node.output)} outputs.",
            node=node.name,
            expected=f"{_range(least, most)} ({', '.join(f.name for f in operator.outputs)})",
            found=str(len(node.output)),
        )


def _check_attribute_fields(
    node: onnx.NodeProto, number: int, path: str, block: Block, findings: Findings
) -> None:
    seen: set[str] = set()
    for attribute in node.attribute:
        where = f"{path}/attributes/{pointer(attribute.name)}"
        if not attribute.name:
            findings.add("invalid-name", where, f"An attribute of {label(node, number)} has no name.", node=node.name)
        if attribute.name in seen:
            findings.add(
                "duplicate-name",
                where,
                f"The attribute {attribute.name!r} of {label(node, number)} is given twice.",
                node=node.name,
            )
        seen.add(attribute.name)
        if attribute.ref_attr_name:
            if block.attributes is None or attribute.ref_attr_name not in block.attributes:
                findings.add(
                    "attribute-reference",
                    where,
                    f"{attribute.name!r} of {label(node, number)} refers to the attribute "
                    f"{attribute.ref_attr_name!r} of a function, which there is not.",
                    node=node.name,
                    expected="an attribute of the surrounding function",
                    found=attribute.ref_attr_name,
                    hint=findings.nearest(attribute.ref_attr_name, block.attributes or ()),
                )
            continue
        _check_kind_is_consistent(attribute, node, number, where, findings)
        tensors.check_attribute(findings, attribute, where, node.name)


def _check_kind_is_consistent(
    attribute: onnx.AttributeProto, node: onnx.NodeProto, number: int, where: str, findings: Findings
) -> None:
    filled = [_KIND_OF_FIELD[f.name] for f, _ in attribute.ListFields() if f.name in _KIND_OF_FIELD]
    kind = attribute.type
    empty_list_or_default = not filled and kind in schemas.FIELDS and kind not in {onnx.AttributeProto.GRAPH}
    if filled != [kind] and not empty_list_or_default:
        findings.add(
            "attribute-kind",
            where,
            f"The attribute {attribute.name!r} of {label(node, number)} does not hold what it says it is.",
            node=node.name,
            expected=_KIND_NAMES.get(kind, "a kind of attribute"),
            found=" and ".join(_KIND_NAMES[k] for k in filled) or "nothing",
        )


def _check_attributes(
    node: onnx.NodeProto, number: int, path: str, operator: schemas.Operator, findings: Findings
) -> None:
    given = set()
    for attribute in node.attribute:
        given.add(attribute.name)
        where = f"{path}/attributes/{pointer(attribute.name)}"
        formal = operator.attributes.get(attribute.name)
        if formal is None:
            findings.add(
                "unknown-attribute",
                where,
                f"{node.op_type} has no attribute {attribute.name!r} in opset {operator.schema.since_version}.",
                node=node.name,
                expected=f"one of {', '.join(operator.attributes)}" if operator.attributes else "no attributes",
                found=attribute.name,
                hint=findings.nearest(attribute.name, operator.attributes)
                or _hint_input(attribute.name, operator),
            )
        elif formal.kind != attribute.type:
            findings.add(
                "attribute-kind",
                where,
                f"The attribute {attribute.name!r} of {label(node, number)} is of the wrong kind.",
                node=node.name,
                expected=_KIND_NAMES.get(formal.kind),
                found=_KIND_NAMES.get(attribute.type, "nothing"),
            )
    for name, formal in operator.attributes.items():
        if formal.required and name not in given:
            findings.add(
                "missing-attribute",
                f"{path}/attributes/{pointer(name)}",
                f"{label(node, number).capitalize()} needs the attribute {name!r}.",
                node=node.name,
                expected=_KIND_NAMES.get(formal.kind),
                found="nothing",
            )


def _hint_input(name: str, operator: schemas.Operator) -> str | None:
    if any(formal.name == name for formal in operator.inputs):
        return f"In this opset {name!r} is an input."
    return None


def _check_call(
    node: onnx.NodeProto, number: int, path: str, function: onnx.FunctionProto, findings: Findings
) -> None:
    for kind, given, formal in (("inputs", node.input, function.input), ("outputs", node.output, function.output)):
        if len(given) > len(formal):
            findings.add(
                f"wrong-number-of-{kind}",
                f"{path}/{kind}",
                f"{label(node, number).capitalize()} has {len(given)} {kind}.",
                node=node.name,
                expected=f"at most {len(formal)} ({', '.join(formal)})",
                found=str(len(given)),
            )
    known = {*function.attribute, *(a.name for a in function.attribute_proto)}
    for attribute in node.attribute:
        if attribute.name not in known:
            findings.add(
                "unknown-attribute",
                f"{path}/attributes/{pointer(attribute.name)}",
                f"The function {function.name!r} has no attribute {attribute.name!r}.",
                node=node.name,
                expected=f"one of {', '.join(sorted(known))}" if known else "no attributes",
                found=attribute.name,
                hint=findings.nearest(attribute.name, known),
            )

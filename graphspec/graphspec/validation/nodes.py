"""One node against its operator's schema: does it exist, how many inputs and outputs, which attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import onnx

from graphspec import dtypes
from graphspec.validation import schemas, tensors
from graphspec.validation.report import Code, Findings, pointer

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
_DTYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_datatype"})
_MANY = 2**31 - 1  # how schemas write "any number of"


@dataclasses.dataclass(slots=True)
class Context:
    """What is the same everywhere in a model."""

    findings: Findings
    functions: Mapping[FunctionId, onnx.FunctionProto]


def label(node: onnx.NodeProto, number: int) -> str:
    """A node for people."""
    return f"node {node.name!r} ({node.op_type})" if node.name else f"node {number} ({node.op_type})"


def title(node: onnx.NodeProto, number: int) -> str:
    """A node for people, at the start of a sentence."""
    return "N" + label(node, number)[1:]


class At(NamedTuple):
    """A node and where it stands."""

    node: onnx.NodeProto
    number: int
    path: str

    @property
    def label(self) -> str:
        """The node for people."""
        return label(self.node, self.number)

    @property
    def title(self) -> str:
        """The node for people, at the start of a sentence."""
        return title(self.node, self.number)


def function_id(item: onnx.NodeProto | onnx.FunctionProto) -> FunctionId:
    """What tells functions apart: domain, name, overload."""
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return schemas.domain_of(item.domain), name, item.overload


def check_node(at: At, block: Block, context: Context) -> bool:
    """Check one node; problems go to the findings.

    Returns:
        Whether its types can be inferred: the operator is known, and inputs, outputs and attributes fit it.
    """
    findings = context.findings
    before = findings.errors
    _check_attribute_fields(at, block, findings)
    function = context.functions.get(function_id(at.node))
    domain = schemas.domain_of(at.node.domain)
    version = block.opsets.get(domain)
    if version is None and (function is not None or domain in schemas.latest() or not domain):
        findings.add(
            "no-opset-import",
            f"{block.path}/opset" if domain == "" else f"{block.path}/opset/{pointer(domain)}",
            f"{at.title} uses the domain {domain or 'ai.onnx'!r}, of which no version is imported.",
            node=at.node.name,
            expected=f"a version of {domain or 'ai.onnx'}",
            found="none",
            hint=f"Import it: the newest version known here is {schemas.latest().get(domain, 1)}.",
        )
        return False
    if function is not None:
        _check_call(at, function, findings)
    elif (operator := schemas.operator(domain, at.node.op_type, version or 0)) is None:
        _report_missing(at, domain, version, context)
    else:
        _check_counts(at, operator, findings)
        _check_attributes(at, operator, findings)
    return findings.errors == before


def _report_missing(at: At, domain: str, version: int | None, context: Context) -> None:
    findings, where = context.findings, f"{at.path}/op"
    operators = schemas.history().get(domain)
    local = {name for owner, name, _ in context.functions if owner == domain}
    if operators is not None and at.node.op_type in operators:
        findings.add(
            "operator-not-in-opset",
            where,
            f"{at.node.op_type} is not an operator of opset {version} of {domain or 'ai.onnx'}.",
            node=at.node.name,
            expected=f"an opset that has {at.node.op_type}: {schemas.lifetime(domain, at.node.op_type)}",
            found=f"opset {version}",
            hint="Import another version of the opset, or use the operator that took its place.",
        )
    elif operators is not None:
        findings.add(
            "unknown-operator",
            where,
            f"There is no operator {at.node.op_type!r} in {domain or 'ai.onnx'}.",
            node=at.node.name,
            expected=f"an operator of {domain or 'ai.onnx'}, or a function of this model",
            found=at.node.op_type,
            hint=_elsewhere(at.node.op_type) or findings.nearest(at.node.op_type, {*operators, *local}),
        )
    elif local:
        findings.add(
            "missing-function",
            where,
            f"{at.title} calls the function {at.node.op_type!r} of {domain!r}, which this model does not have.",
            node=at.node.name,
            expected=f"one of the functions of {domain}: {', '.join(sorted(local)[:10])}",
            found=at.node.op_type + (f":{at.node.overload}" if at.node.overload else ""),
            hint=findings.nearest(at.node.op_type, local),
        )
    else:
        findings.add(
            "unknown-operator",
            where,
            f"The domain {domain!r} of the operator {at.node.op_type!r} is not known.",
            node=at.node.name,
            expected="one of the domains " + ", ".join(sorted(d or "ai.onnx" for d in schemas.latest())),
            found=domain,
            hint=_elsewhere(at.node.op_type) or "Give the operator as a function of this model.",
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


def _check_counts(at: At, operator: schemas.Operator, findings: Findings) -> None:
    least, most = operator.input_count
    given = len(at.node.input)
    while 0 < given <= most and not at.node.input[given - 1]:
        given -= 1  # empty names at the end are the same as nothing at all
    names = ", ".join(f.name for f in operator.inputs)
    if not least <= given <= most:
        missing = [f.name for f in operator.inputs[given:] if f.required]
        findings.add(
            "wrong-number-of-inputs",
            f"{at.path}/inputs",
            f"{at.title} has {given} inputs.",
            node=at.node.name,
            expected=f"{_range(least, most)} ({names})" if names else _range(least, most),
            found=str(given),
            hint=f"Give {' and '.join(missing)}." if given < least and missing else None,
        )
    for place in range(min(given, most)):
        formal = operator.formal_input(place)
        if not at.node.input[place] and formal.required:
            findings.add(
                "missing-input",
                f"{at.path}/inputs/{place}",
                f"The input {formal.name} of {at.label} is required and cannot be left out.",
                node=at.node.name,
                expected=formal.name,
                found="an empty name",
            )
    for place, name in enumerate(at.node.output[: len(operator.outputs)]):
        if not name and operator.outputs[place].required:
            findings.add(
                "missing-output",
                f"{at.path}/outputs/{place}",
                f"The output {operator.outputs[place].name} of {at.label} cannot be left out.",
                node=at.node.name,
                expected=operator.outputs[place].name,
                found="an empty name",
                hint="Give it a name, even if nothing uses it.",
            )
    least, most = operator.output_count
    if not least <= len(at.node.output) <= most:
        findings.add(
            "wrong-number-of-outputs",
            f"{at.path}/outputs",
            f"{at.title} has {len(at.node.output)} outputs.",
            node=at.node.name,
            expected=f"{_range(least, most)} ({', '.join(f.name for f in operator.outputs)})",
            found=str(len(at.node.output)),
        )


def _check_attribute_fields(at: At, block: Block, findings: Findings) -> None:
    seen: set[str] = set()
    for attribute in at.node.attribute:
        where = f"{at.path}/attributes/{pointer(attribute.name)}"
        if not attribute.name:
            findings.add("invalid-name", where, f"An attribute of {at.label} has no name.", node=at.node.name)
        if attribute.name in seen:
            findings.add(
                "duplicate-name",
                where,
                f"The attribute {attribute.name!r} of {at.label} is given twice.",
                node=at.node.name,
            )
        seen.add(attribute.name)
        if attribute.ref_attr_name:
            if block.attributes is None or attribute.ref_attr_name not in block.attributes:
                findings.add(
                    "attribute-reference",
                    where,
                    f"{attribute.name!r} of {at.label} refers to the attribute "
                    f"{attribute.ref_attr_name!r} of a function, which there is not.",
                    node=at.node.name,
                    expected="an attribute of the surrounding function",
                    found=attribute.ref_attr_name,
                    hint=findings.nearest(attribute.ref_attr_name, block.attributes or ()),
                )
            continue
        _check_kind_is_consistent(attribute, at, where, findings)
        tensors.check_attribute(findings, attribute, where, at.node.name)


def _check_kind_is_consistent(attribute: onnx.AttributeProto, at: At, where: str, findings: Findings) -> None:
    filled = [_KIND_OF_FIELD[f.name] for f, _ in attribute.ListFields() if f.name in _KIND_OF_FIELD]
    kind = attribute.type
    empty_list = not filled and kind in schemas.LISTS
    if filled != [kind] and not empty_list:
        findings.add(
            "attribute-kind",
            where,
            f"The attribute {attribute.name!r} of {at.label} does not hold what it says it is.",
            node=at.node.name,
            expected=_KIND_NAMES.get(kind, "a kind of attribute"),
            found=" and ".join(_KIND_NAMES[k] for k in filled) or "nothing",
        )


def _check_attributes(at: At, operator: schemas.Operator, findings: Findings) -> None:
    given = set()
    for attribute in at.node.attribute:
        given.add(attribute.name)
        where = f"{at.path}/attributes/{pointer(attribute.name)}"
        formal = operator.attributes.get(attribute.name)
        if formal is None:
            findings.add(
                "unknown-attribute",
                where,
                f"{at.node.op_type} has no attribute {attribute.name!r} in opset {operator.schema.since_version}.",
                node=at.node.name,
                expected=f"one of {', '.join(operator.attributes)}" if operator.attributes else "no attributes",
                found=attribute.name,
                hint=findings.nearest(attribute.name, operator.attributes) or _hint_input(attribute.name, operator),
            )
        elif formal.kind != attribute.type:
            findings.add(
                "attribute-kind",
                where,
                f"The attribute {attribute.name!r} of {at.label} is of the wrong kind.",
                node=at.node.name,
                expected=_KIND_NAMES.get(formal.kind),
                found=_KIND_NAMES.get(attribute.type, "nothing"),
            )
        elif attribute.name in _DTYPE_ATTRIBUTES and attribute.HasField("i") and attribute.i not in dtypes.BY_ONNX:
            findings.add(
                "attribute-value",
                where,
                f"The attribute {attribute.name!r} of {at.label} is no element type.",
                node=at.node.name,
                expected="an element type of ONNX",
                found=str(attribute.i),
            )
    for name, formal in operator.attributes.items():
        if formal.required and name not in given:
            findings.add(
                "missing-attribute",
                f"{at.path}/attributes/{pointer(name)}",
                f"{at.title} needs the attribute {name!r}.",
                node=at.node.name,
                expected=_KIND_NAMES.get(formal.kind),
                found="nothing",
            )


def _hint_input(name: str, operator: schemas.Operator) -> str | None:
    if any(formal.name == name for formal in operator.inputs):
        return f"In this opset {name!r} is an input."
    return None


def _check_call(at: At, function: onnx.FunctionProto, findings: Findings) -> None:
    ends: list[tuple[Code, str, Sequence[str], Sequence[str]]] = [
        ("wrong-number-of-inputs", "inputs", at.node.input, function.input),
        ("wrong-number-of-outputs", "outputs", at.node.output, function.output),
    ]
    for code, kind, given, formal in ends:
        if len(given) > len(formal):
            findings.add(
                code,
                f"{at.path}/{kind}",
                f"{at.title} has {len(given)} {kind}.",
                node=at.node.name,
                expected=f"at most {len(formal)} ({', '.join(formal)})",
                found=str(len(given)),
            )
    known = {*function.attribute, *(a.name for a in function.attribute_proto)}
    for attribute in at.node.attribute:
        if attribute.name not in known:
            findings.add(
                "unknown-attribute",
                f"{at.path}/attributes/{pointer(attribute.name)}",
                f"The function {function.name!r} has no attribute {attribute.name!r}.",
                node=at.node.name,
                expected=f"one of {', '.join(sorted(known))}" if known else "no attributes",
                found=attribute.name,
                hint=findings.nearest(attribute.name, known),
            )

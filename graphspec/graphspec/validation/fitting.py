"""One node's inputs against its operator: the types it allows, the shapes it takes, the words for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import onnx
import onnx.checker

from graphspec.validation import constants, nodes, schemas, shape_rules, types
from graphspec.validation.report import Code, Findings, pointer


class Known(NamedTuple):
    """What is known of a value: its type, its data, and who made it."""

    type: onnx.TypeProto | None
    origin: str
    data: constants.Array | None = None


def refused(
    findings: Findings,
    error: Exception,
    at: nodes.At,
    operator: schemas.Operator,
    known: Sequence[Known | None],
) -> None:
    """Report what ONNX's own inference had against the inputs."""
    text = str(error)
    clean = clean_text(text)
    named = [a.name for a in at.node.attribute if re.search(rf"\b{re.escape(a.name)}\b", clean)]
    if named and not isinstance(error, onnx.checker.ValidationError):
        findings.add(
            "attribute-value",
            f"{at.path}/attributes/{pointer(named[0])}",
            f"The attribute {named[0]!r} of {at.label} does not fit its inputs: {_shapes(operator, known, None)}.",
            node=at.node.name,
            expected=clean,
            found=_attribute_text(at.node, named[0]),
        )
        return
    code: Code = "dtype-mismatch" if "[TypeInferenceError]" in text else "shape-mismatch"
    if "has unsupported type" in text or "has inconsistent type" in text:
        code, clean = "dtype-mismatch", re.sub("has (unsupported|inconsistent)", "not of the", clean)
    elif "[ShapeInferenceError]" not in text and code == "shape-mismatch":
        code = "inference"
    # A sound node whose inputs are not to blame: an attribute missing, a combination that the operator excludes.
    shaped = [i for i, k in enumerate(known) if k is not None and types.shape_of(k.type) is not None]
    if code == "shape-mismatch" and not shaped:
        code = "inference"
    findings.add(
        code,
        f"{at.path}/inputs/{shaped[-1]}" if shaped and code != "inference" else at.path,
        f"{at.title} cannot take its inputs: {_shapes(operator, known, None)}.",
        node=at.node.name,
        expected=_EXPECTED.get(clean, clean),
        found=_shapes(operator, known, None),
    )


def check_types(
    findings: Findings,
    operator: schemas.Operator,
    at: nodes.At,
    known: Sequence[Known | None],
) -> dict[str, tuple[str, onnx.TypeProto, int]] | None:
    """The type variables that the inputs bind; ``None`` after a mismatch."""
    variables: dict[str, tuple[str, onnx.TypeProto, int]] = {}
    sound = True
    for place, value in enumerate(known):
        if value is None or value.type is None or not operator.inputs:
            continue
        text = types.schema_text(value.type)
        if text is None:
            continue
        formal = operator.formal_input(place)
        found = f"{types.dtype_text(value.type)} of {value.origin}"
        where = f"{at.path}/inputs/{place}"
        if text not in formal.types:
            sound = False
            allowed = sorted(types.from_schema_text(t) for t in formal.types)
            findings.add(
                "dtype-mismatch",
                where,
                f"The input {formal.name} of {at.label} cannot be {types.dtype_text(value.type)}.",
                node=at.node.name,
                expected=allowed[0] if len(allowed) == 1 else f"one of {', '.join(allowed)}",
                found=found,
                hint="Convert it with Cast.",
            )
        elif formal.homogeneous or not formal.variadic:
            bound = variables.setdefault(formal.variable, (text, value.type, place))
            if bound[0] != text:
                sound = False
                first = operator.formal_input(bound[2])
                other = known[bound[2]]
                same = first.name == formal.name
                findings.add(
                    "dtype-mismatch",
                    where,
                    f"The inputs {first.name}{f'[{bound[2]}]' if same else ''} and "
                    f"{formal.name}{f'[{place}]' if same else ''} of {at.label} "
                    "must have one type.",
                    node=at.node.name,
                    expected=f"{types.dtype_text(bound[1])}, as {first.name} of {other.origin if other else '?'}",
                    found=found,
                    hint="Convert one of them with Cast.",
                )
    return variables if sound else None


def fallback(
    operator: schemas.Operator,
    node: onnx.NodeProto,
    variables: Mapping[str, tuple[str, onnx.TypeProto, int]],
) -> list[onnx.TypeProto | None]:
    """What the schema alone says of the outputs' element types."""
    result: list[onnx.TypeProto | None] = []
    for place in range(len(node.output)):
        formal = operator.formal_output(place) if operator.outputs else None
        proto = None
        if formal is not None and (formal.homogeneous or not formal.variadic):
            bound = variables.get(formal.variable)
            text = bound[0] if bound else next(iter(formal.types)) if len(formal.types) == 1 else ""
            if text.startswith("tensor("):
                proto = types.tensor_type(types.element_type(types.from_schema_text(text)), None)
        result.append(proto)
    return result


def check_shapes(
    findings: Findings,
    operator: schemas.Operator,
    given: shape_rules.Given,
    at: nodes.At,
    known: Sequence[Known | None],
) -> bool:
    """Whether the inputs keep the rules on shapes that ONNX's own inference does not check."""
    rule = shape_rules.CHECKS.get(at.node.op_type)
    try:
        mismatch = None if rule is None else rule(given)
    except Exception:  # odd attribute values: ONNX's own inference has the word
        return True
    if mismatch is None:
        return True
    findings.add(
        "shape-mismatch",
        f"{at.path}/inputs/{mismatch.places[-1]}",
        f"The shapes of the inputs of {at.label} do not fit: {_shapes(operator, known, mismatch.places)}.",
        node=at.node.name,
        expected=mismatch.rule,
        found=_shapes(operator, known, mismatch.places),
    )
    return False


_EXPECTED = {
    "Incompatible dimensions": "shapes that broadcast together: sizes equal, or 1",
    "Incompatible dimensions for matrix multiplication": "the last size of A equal to the last but one of B",
}


def clean_text(text: str) -> str:
    """ONNX's own words without tags and line breaks."""
    text = re.sub(r"\[(Shape|Type)InferenceError\]|\(op_type:[^)]*\):?|==> Context:.*", " ", text, flags=re.DOTALL)
    return " ".join(text.split())[:500]


def _shapes(operator: schemas.Operator, known: Sequence[Known | None], places: Sequence[int] | None) -> str:
    parts = []
    for place, value in enumerate(known):
        if value is None or (places is not None and place not in places):
            continue
        name = operator.formal_input(place).name if operator.inputs else str(place)
        parts.append(f"{name} {types.describe(value.type)} of {value.origin}")
    return ", ".join(parts) or "no inputs"


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes as Python values, graphs aside."""
    result: dict[str, Any] = {}
    for attribute in node.attribute:
        field = schemas.FIELDS.get(attribute.type)
        if field is not None and field not in {"g", "graphs"}:
            result[attribute.name] = getattr(attribute, field)
    return result


def _attribute_text(node: onnx.NodeProto, name: str) -> str:
    value = attributes_of(node).get(name)
    return str(value if isinstance(value, int | float | str | bytes) or value is None else list(value))[:200]

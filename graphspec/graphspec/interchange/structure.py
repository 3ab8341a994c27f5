"""Hold JSON against a pydantic model of the document and turn pydantic's errors into problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from graphspec.interchange.document import VERSION, Document
from graphspec.interchange.findings import Findings, describe, did_you_mean, nearest, pointer, shorten

ModelT = TypeVar("ModelT", bound=BaseModel)

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "float_type": "a number",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "list_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_type": "a string",
    "too_long": "a shorter list",
}
_MOST = 10_000


def check(model: type[ModelT], value: Any, path: str, findings: Findings) -> ModelT | None:
    """The value as a model of the document's structure, or ``None`` and every problem of its structure."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        if error.error_count() > _MOST:  # to list them would take far longer than to find them
            findings.add(
                "too-many-problems",
                "The document is wrong in more places than can be listed.",
                path,
                expected="a document of the JSON Schema",
                found=f"{error.error_count()} problems",
            )
            return None
        for detail in error.errors(include_url=False):
            _convert(model, value, detail, path, findings)
        return None


def _convert(model: type[BaseModel], value: Any, detail: ErrorDetails, path: str, findings: Findings) -> None:
    kind = detail["type"]
    loc = [part for part in detail["loc"] if part != "[key]"]
    where = path + pointer(*loc)
    found = detail["input"]
    known = _fields(model, loc[:-1])
    if kind == "missing":
        findings.add(
            "missing-field",
            f"The field {loc[-1]!r} is missing.",
            path + pointer(*loc[:-1]),
            expected=f'"{loc[-1]}"',
            found=describe(found),
            hint=_missing_hint(str(loc[-1]), found, known),
        )
    elif kind == "extra_forbidden":
        name = str(loc[-1])
        label = shorten(name)
        findings.add(
            "unknown-field",
            f"There is no field {label!r} here.",
            where,
            expected=f"one of the fields {', '.join(known)}",
            found=label,
            hint=did_you_mean(name, known),
        )
    elif model is Document and loc == ["graphspec"]:
        findings.add(
            "unsupported-version",
            "The document's version is not one that this GraphSpec reads.",
            where,
            expected=f"graphspec {VERSION}",
            found=describe(found),
        )
    elif kind == "recursion_depth_exceeded" or kind == "recursion_loop":
        findings.add("too-deep", "The document is nested too deeply.", where, expected="less nesting", found="more")
    elif kind == "invalid_key":
        findings.kind(where, "a string as key", loc[-1])
    elif kind == "string_unicode":
        message = "The string holds half of a surrogate pair."
        findings.add("bad-encoding", message, where, expected="Unicode text", found=describe(found))
    elif kind == "string_too_short":
        findings.add("invalid-name", "The name is empty.", where, expected="a name", found='""')
    elif kind == "literal_error":
        options = [
            part for part in str((detail.get("ctx") or {}).get("expected", "")).split("'") if part.isidentifier()
        ]
        hint = did_you_mean(found, options) if isinstance(found, str) else None
        findings.kind(where, " or ".join(options), found, hint=hint)
    elif kind in {"greater_than_equal", "less_than_equal"}:
        message = detail["msg"].removeprefix("Input should be ")
        findings.add("out-of-range", "The number is out of range.", where, expected=message, found=describe(found))
    else:
        expected = _EXPECTED.get(kind) or detail["msg"].removeprefix("Input should be ")
        findings.kind(where, expected, found, hint=_null_hint(loc, found))


def _missing_hint(name: str, found: Any, known: list[str]) -> str | None:
    """The misspelt field that was probably meant."""
    if not isinstance(found, Mapping):
        return None
    meant = nearest(name, [str(key) for key in found if key not in known])
    return f'Is "{shorten(meant)}" a misspelling of it?' if meant else None


def _null_hint(loc: list[int | str], found: Any) -> str | None:
    if found is not None:
        return None
    if len(loc) > 1 and loc[-2] in {"inputs", "outputs"}:
        return 'An optional input or output that is left out is the empty string "".'
    return "A field that does not apply is left out, not null."


def _fields(model: type[BaseModel], loc: list[int | str]) -> list[str]:
    """The fields of the object at ``loc`` inside a model, found by walking the annotations."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = field.annotation if field else None
        else:
            here = _item(here)
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _item(annotation: Any) -> Any:
    """What a list or dict annotation holds."""
    arguments = getattr(annotation, "__args__", ())
    item: Any = arguments[-1] if arguments else None
    return item.__args__[0] if hasattr(item, "__metadata__") else item

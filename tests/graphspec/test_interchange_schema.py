"""The published JSON Schema and the page about the document: true to the code, and to each other."""

import json
import re

import jsonschema
import onnx
import pytest
from backend_suite import backend_models
from bad_documents import BAD_DOCUMENTS
from every_field import everything
from small_documents import GOOD

import graphspec as gs
from graphspec.interchange.document import SCHEMA_ID

VALIDATOR = jsonschema.Draft202012Validator(gs.json_schema())


def code_blocks(root, language):
    text = (root / "docs" / "document.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_published_schema_is_not_stale(root):
    published = json.loads((root / "docs" / "graphspec.schema.json").read_text())
    assert published == gs.json_schema(), "run: python -m graphspec.interchange > docs/graphspec.schema.json"


def test_the_schema_is_one_of_2020_12():
    schema = gs.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == SCHEMA_ID


def test_every_reference_leads_somewhere_and_every_definition_is_used():
    text = json.dumps(gs.json_schema())
    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) == set(gs.json_schema()["$defs"])


def test_examples_of_the_page(root):
    blocks = code_blocks(root, "json")
    assert len(blocks) == 5
    for block in blocks:
        document = json.loads(block)
        VALIDATOR.validate(document)
        model = gs.load(block)
        again = gs.to_document(model)
        VALIDATOR.validate(again)
        assert gs.digest(again) == gs.digest(document)


def test_code_of_the_page(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlp.json").write_text(code_blocks(root, "json")[0])
    blocks = code_blocks(root, "python")
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "document.md", "exec"), {})
    assert onnx.load(tmp_path / "mlp.onnx").graph.node[0].op_type == "MatMul"


def test_documents_of_the_backend_suite_validate():
    models = [model for kind in ("node", "simple") for _, model in backend_models(kind)]
    sample = models[::40]
    operators = {node.op_type for model in sample for node in model.graph.node}
    for model in sample:
        VALIDATOR.validate(gs.to_document(model))
    assert len(operators) > 40


def test_a_document_with_every_field_validates():
    VALIDATOR.validate(gs.to_document(everything()))


#: Faults of form, which a schema can see; that data fits its shape, or an attribute its operator, it cannot.
# fmt: off
FORM = [
    "empty", "no-nodes", "version", "version-true", "unknown-field", "unknown-field-of-node",
    "missing-misspelt", "nodes-object", "inputs-list", "null-input", "null-field", "empty-op", "empty-name",
    "metadata-number", "opset-text", "opset-zero", "opset-list", "opset-domain", "output-number",
    "output-empty", "output-nameless", "outputs-text", "dtype", "dtype-case", "shape-number",
    "dimension-fraction", "dimension-true", "dimension-huge", "dimension-object", "two-types",
    "shape-without-dtype", "two-axes-wrong", "subgraph", "kinds-unknown", "kind-misspelt", "data-null",
    "data-twice", "data-nowhere", "base64-shapeless", "negative-size", "function-default", "many-at-once",
    "many-at-once-later",
]
# fmt: on


@pytest.mark.parametrize("case", FORM)
def test_what_is_wrong_by_its_form_does_not_validate(case):
    assert not VALIDATOR.is_valid(BAD_DOCUMENTS[case][0])


def test_the_good_document_validates():
    VALIDATOR.validate(GOOD)

"""What no client should send to /v2, each with its status and what is said; nothing here is ever a 500."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

LENGTH = "Inference-Header-Content-Length"
DATA = np.array([1, 2, 3], "<f4").tobytes()
X = {"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]}
Y = {"name": "y", "datatype": "FP32", "shape": [3], "data": [4, 5, 6]}
BINARY = {"name": "x", "datatype": "FP32", "shape": [3], "parameters": {"binary_data_size": 12}}
MODELS = "/v2/models/"
REPOSITORY = "/v2/repository/models/"


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def asked(*inputs: Any, **rest: Any) -> bytes:
    return text({"inputs": inputs, **rest})


def given(*changes: dict[str, Any]) -> bytes:
    """A request for ``loss`` whose x is changed."""
    return asked(X | changes[0], Y)


def binary(*inputs: Any, data: bytes = DATA, length: Any = None) -> tuple[bytes, dict[str, str]]:
    head = asked(*inputs)
    return head + data, {LENGTH: str(len(head) if length is None else length)}


def sized(size: Any) -> dict[str, Any]:
    return BINARY | {"parameters": {"binary_data_size": size}}


def words(*elements: bytes) -> bytes:
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def strings(data: bytes, shape: list[int]) -> tuple[bytes, dict[str, str]]:
    a = {"name": "a", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(data)}}
    return binary(a, {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["x"]}, data=data)


def loaded(**parameters: Any) -> bytes:
    return text({"parameters": parameters})


BOMB = gzip.compress(b" " * (2**20 + 1) + b"{}")
HUGE = [2**62, 2**62]

# What is wrong: model, body (and headers), status, what the error says.
INFER = {
    "no-body": ("loss", b"", 400, "not JSON"),
    "no-json": ("loss", b"{", 400, "not JSON"),
    "no-object": ("loss", b"[]", 400, "no object"),
    "no-utf8": ("loss", b'{"id": "\xff"}', 400, "not JSON"),
    "key-twice": ("loss", b'{"inputs": [], "inputs": []}', 400, "twice"),
    "no-inputs": ("loss", b"{}", 400, "'inputs' is missing"),
    "inputs-no-list": ("loss", text({"inputs": {}}), 400, "/inputs"),
    "input-no-object": ("loss", asked(1), 400, "/inputs/0"),
    "input-without-name": ("loss", asked({"shape": [1], "datatype": "FP32"}), 400, "'name' is missing"),
    "id-no-text": ("loss", asked(X, Y, id=7), 400, "/id"),
    "parameters-no-object": ("loss", asked(X, Y, parameters=[]), 400, "/parameters"),
    "unknown-input": ("loss", asked(X, Y, X | {"name": "w"}), 422, "no input 'w'"),
    "missing-input": ("loss", asked(X), 422, "'y' is missing"),
    "input-twice": ("loss", asked(X, Y, X), 422, "'x' is given twice"),
    "all-problems": ("loss", given({"datatype": "FP16"})[:-2] + b"," + text(X | {"name": "w"}) + b"]}", 422, "'w'"),
    "no-data": ("loss", given({"data": None}), 422, "neither"),
    "null-in-data": ("loss", given({"data": [1, None, 3]}), 422, "null"),
    "text-in-data": ("loss", given({"data": [1, "2", 3]}), 422, "string"),
    "boolean-in-data": ("loss", given({"data": [1, True, 3]}), 422, "True"),
    "data-no-list": ("loss", given({"data": {}}), 422, "found 1"),
    "ragged-data": ("loss", given({"data": [[1], [2, 3]]}), 422, "equally long"),
    "nan": ("loss", given({"data": [1, float("nan"), 3]}), 400, "binary"),
    "beyond-float": ("loss", given({"data": [1, 1e39, 3]}), 422, "does not fit float32"),
    "fraction-for-integer": ("same_int8", asked({"name": "x", "datatype": "INT8", "shape": [1, 2], "data": [1, 1.5]}), 422, "1.5"),
    "beyond-integer": ("same_uint8", asked({"name": "x", "datatype": "UINT8", "shape": [1, 2], "data": [-1, 256]}), 422, "0 to 255"),
    "number-for-boolean": ("same_bool", asked({"name": "x", "datatype": "BOOL", "shape": [1, 2], "data": [0, 1]}), 422, "bool"),
    "too-few-values": ("loss", given({"data": [1, 2]}), 422, "expected 3, found 2"),
    "too-many-values": ("loss", given({"data": [1, 2, 3, 4]}), 422, "expected 3, found 4"),
    "wrong-datatype": ("loss", given({"datatype": "FP64"}), 422, "expected FP32, found FP64"),
    "unknown-datatype": ("loss", given({"datatype": "float32"}), 422, "expected FP32, found float32"),
    "datatype-no-text": ("loss", given({"datatype": 1}), 400, "/inputs/0/datatype"),
    "wrong-rank": ("loss", given({"shape": [3, 1]}), 422, "expected [-1], found [3, 1]"),
    "wrong-size": ("affine", asked({"name": "x", "datatype": "FP64", "shape": [2], "data": [1, 2]}), 422, "expected [3]"),
    "sizes-disagree": ("loss", given({"shape": [2], "data": [1, 2]}), 422, "n"),
    "negative-size": ("loss", given({"shape": [-3]}), 422, "/inputs/0/shape"),
    "huge-size": ("loss", given({"shape": [2**63]}), 422, "/inputs/0/shape"),
    "huge-product": ("same_bool", asked({"name": "x", "datatype": "BOOL", "shape": HUGE, "data": [True]}), 422, "shape"),
    "hundred-dimensions": ("loss", given({"shape": [1] * 100}), 422, "at most 64"),
    "fraction-in-shape": ("loss", given({"shape": [3.5]}), 400, "/inputs/0/shape"),
    "sequence": ("pieces", asked(X), 422, "'y' has no form in this protocol"),
    "shared-memory": ("loss", given({"data": None, "parameters": {"shared_memory_region": "r"}}), 422, "hared memory"),
    "unknown-output": ("loss", asked(X, Y, outputs=[{"name": "z"}]), 422, "no output 'z'"),
    "output-twice": ("loss", asked(X, Y, outputs=[{"name": "xy"}, {"name": "xy"}]), 422, "'xy' is asked for twice"),
    "outputs-no-objects": ("loss", asked(X, Y, outputs=["loss"]), 400, "/outputs/0"),
    "classification": ("loss", asked(X, Y, outputs=[{"name": "xy", "parameters": {"classification": 2}}]), 400, "classification"),
    "binary-data-no-flag": ("loss", asked(X, Y, outputs=[{"name": "xy", "parameters": {"binary_data": 1}}]), 400, "'binary_data'"),
    "binary-data-output-no-flag": ("loss", asked(X, Y, parameters={"binary_data_output": "yes"}), 400, "'binary_data_output'"),
    "negative-seed": ("loss", asked(X, Y, parameters={"seed": -1}), 400, "'seed'"),
    "of-for-a-model": ("loss", asked(X, Y, parameters={"of": "loss"}), 400, "Only derivatives"),
    "of-unknown": ("loss.vjp", asked(X, Y, parameters={"of": "nothing"}), 422, "no value 'nothing'"),
    "of-no-names": ("loss.vjp", asked(X, Y, parameters={"of": [1]}), 400, "/parameters/of"),
    "of-empty": ("loss.vjp", asked(X, Y, parameters={"of": []}), 400, "/parameters/of"),
    "wrt-twice": ("loss.grad", asked(X, Y, parameters={"wrt": "x,x"}), 400, "twice"),
    "wrt-integer": ("same_int8.vjp", asked(parameters={"of": "y", "wrt": "x"}), 422, "not floating point"),
    "nothing-to-differentiate": ("strings.vjp", asked(), 422, "no floating-point output"),
    "gradient-of-two": ("loss.grad", asked(X, Y, parameters={"of": "loss,xy"}), 422, "one scalar"),
    "gradient-of-a-vector": ("loss.grad", asked(X, Y, parameters={"of": "xy"}), 422, "no scalar"),
    "no-cotangent": ("loss.vjp", asked(X, Y), 422, "'loss_cotangent' is missing"),
    "cotangent-of-another-size": ("affine.vjp", asked(
        {"name": "x", "datatype": "FP64", "shape": [3], "data": [1, 2, 3]},
        {"name": "y_cotangent", "datatype": "FP64", "shape": [3], "data": [1, 2, 3]}), 422, "expected [2], found [3]"),
    "length-no-number": ("loss", binary(BINARY, Y, length="x"), 400, LENGTH),
    "length-negative": ("loss", binary(BINARY, Y, length=-1), 400, LENGTH),
    "length-zero": ("loss", binary(BINARY, Y, length=0), 400, LENGTH),
    "length-beyond-the-body": ("loss", binary(BINARY, Y, length=10**6), 400, LENGTH),
    "length-enormous": ("loss", binary(BINARY, Y, length="9" * 5000), 400, LENGTH),
    "length-too-short": ("loss", binary(BINARY, Y, length=20), 400, "not JSON"),
    "length-into-the-data": ("loss", binary(BINARY, Y, length=len(asked(BINARY, Y)) + 4), 400, "not JSON"),
    "no-length": ("loss", asked(BINARY, Y), 400, LENGTH),
    "data-cut-short": ("loss", binary(BINARY, Y, data=DATA[:-1]), 400, "ends before the data of 'x'"),
    "data-too-long": ("loss", binary(BINARY, Y, data=DATA + b"\0"), 400, "longer than"),
    "data-overlapping": ("loss", binary(BINARY, BINARY | {"name": "y"}), 400, "ends before the data of 'y'"),
    "size-negative": ("loss", binary(sized(-12), Y), 400, "/inputs/0/parameters/binary_data_size"),
    "size-no-number": ("loss", binary(sized("12"), Y), 400, "/inputs/0/parameters/binary_data_size"),
    "size-true": ("loss", binary(sized(True), Y), 400, "/inputs/0/parameters/binary_data_size"),
    "size-enormous": ("loss", binary(sized(2**62), Y), 400, "ends before"),
    "size-beyond-integers": ("loss", binary(sized(2**70), Y), 400, "whole number"),
    "size-against-shape": ("loss", binary(sized(8), Y, data=DATA[:8]), 422, "expected 12 bytes, found 8"),
    "both-data": ("loss", binary(BINARY | {"data": [1, 2, 3]}, Y), 422, "both"),
    "boolean-of-two": ("same_bool", binary(
        {"name": "x", "datatype": "BOOL", "shape": [1, 2], "parameters": {"binary_data_size": 2}}, data=b"\1\2"), 422, "neither 0 nor 1"),
    "text-cut-short": ("strings", strings(words(b"x")[:-1], [1]), 422, "ends after the data"),
    "text-length-cut-short": ("strings", strings(b"\1\0", [1]), 422, "ends after the data"),
    "text-lying-length": ("strings", strings(b"\xff\xff\xff\xffx", [1]), 422, "ends after the data"),
    "text-no-utf8": ("strings", strings(words(b"\xff"), [1]), 422, "UTF-8"),
    "texts-too-few": ("strings", strings(words(b"x"), [2]), 422, "expected 2, found 1"),
    "texts-too-many": ("strings", strings(words(b"x", b"y"), [1]), 422, "expected 1, found 2"),
    "unknown-compression": ("loss", (asked(X, Y), {"Content-Encoding": "br"}), 415, "gzip or deflate"),
    "no-gzip": ("loss", (asked(X, Y), {"Content-Encoding": "gzip"}), 400, "not gzip"),
    "no-deflate": ("loss", (gzip.compress(asked(X, Y)), {"Content-Encoding": "deflate"}), 400, "not deflate"),
    "gzip-cut-short": ("loss", (gzip.compress(asked(X, Y))[:-6], {"Content-Encoding": "gzip"}), 400, "cut short"),
    "gzip-and-more": ("loss", (gzip.compress(asked(X, Y)) + b"more", {"Content-Encoding": "gzip"}), 400, "follows"),
    "deflate-and-more": ("loss", (zlib.compress(asked(X, Y)) + b"more", {"Content-Encoding": "deflate"}), 400, "follows"),
    "gzip-bomb": ("loss", (BOMB, {"Content-Encoding": "gzip"}), 413, "decompressed"),
    "deflate-bomb": ("loss", (zlib.compress(b" " * 2**21), {"Content-Encoding": "deflate"}), 413, "decompressed"),
    "many-gzip-members": ("loss", (gzip.compress(b"") * 10_000, {"Content-Encoding": "gzip"}), 400, "follows"),
    "compressed-twice": ("loss", (asked(X, Y), {"Content-Encoding": "gzip, gzip"}), 415, "gzip or deflate"),
    "too-large": ("loss", b" " * (2**20 + 1), 413, "at most"),
    "nested-deep": ("loss", b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, ""),
    "unknown-model": ("nobody", asked(X, Y), 404, "no model 'nobody'"),
    "unknown-derivative": ("nobody.grad", asked(X, Y), 404, "no model 'nobody'"),
    "derivative-of-a-derivative": ("loss.grad.grad", asked(X, Y), 404, "no model 'loss.grad'"),
    "nothing-but-a-suffix": (".grad", asked(X, Y), 404, "no model"),
    "unknown-id": ("0" * 64, asked(X, Y), 404, "no model"),
    "unknown-version": ("loss/versions/2", asked(X, Y), 404, "no version '2'"),
    "version-no-number": ("loss/versions/one", asked(X, Y), 404, "no version 'one'"),
    "version-with-zeros": ("loss/versions/01", asked(X, Y), 404, "no version"),
    "path-up": ("..%2f..%2fetc%2fpasswd", asked(X, Y), 404, ""),
    "dots": ("%2e%2e", asked(X, Y), 404, ""),
    "nul": ("a%00b", asked(X, Y), 404, "no model"),
    "name-too-long": ("a" * 5000, asked(X, Y), 404, "no model"),
    "name-no-ascii": ("l%C3%B6ss", asked(X, Y), 404, "no model"),
    "name-no-utf8": ("%ff%fe", asked(X, Y), 404, "no model"),
}  # fmt: skip

FILE = "file:1/model.onnx"
# What is wrong: path, body, status, what the error says.
OTHERS = {
    "load-unknown": (REPOSITORY + "nobody/load", b"", 404, "no model 'nobody'"),
    "load-no-json": (REPOSITORY + "m/load", b"{", 400, "not JSON"),
    "load-no-object": (REPOSITORY + "m/load", b"[]", 400, ""),
    "load-parameters-no-object": (REPOSITORY + "m/load", text({"parameters": 1}), 400, "/parameters"),
    "load-no-base64": (REPOSITORY + "m/load", loaded(**{FILE: "&&&&"}), 400, "not base64"),
    "load-no-text": (REPOSITORY + "m/load", loaded(**{FILE: 1}), 400, FILE),
    "load-no-onnx": (REPOSITORY + "m/load", loaded(**{FILE: base64.b64encode(b"\xff\xff").decode()}), 400, ""),
    "load-empty": (REPOSITORY + "m/load", loaded(**{FILE: ""}), 400, ""),
    "load-other-file": (REPOSITORY + "m/load", loaded(**{"file:1/model.py": ""}), 400, "file:<version>/model.onnx"),
    "load-file-up": (REPOSITORY + "m/load", loaded(**{"file:../model.onnx": ""}), 400, "from 1 on"),
    "load-file-up-twice": (REPOSITORY + "m/load", loaded(**{"file:1/../../model.onnx": ""}), 400, "file:<version>/model.onnx"),
    "load-version-zero": (REPOSITORY + "m/load", loaded(**{"file:0/model.onnx": ""}), 400, "from 1 on"),
    "load-unknown-graph": (REPOSITORY + "m/load", loaded(**{"graph:1": "0" * 64}), 404, "No stored graph"),
    "load-graph-up": (REPOSITORY + "m/load", loaded(**{"graph:1": "../../x"}), 404, "No stored graph"),
    "load-version-twice": (REPOSITORY + "m/load", loaded(**{FILE: "", "graph:1": "x"}), 400, "twice"),
    "load-bad-config": (REPOSITORY + "m/load", loaded(config="{"), 400, "not JSON"),
    "load-config-no-object": (REPOSITORY + "m/load", loaded(config="[]"), 400, "no object"),
    "load-name-with-space": (REPOSITORY + "a%20b/load", loaded(**{FILE: ""}), 400, "no name"),
    "load-name-up": (REPOSITORY + "%2e%2e/load", loaded(**{FILE: ""}), 400, "taken"),
    "load-name-too-long": (REPOSITORY + "a" * 129 + "/load", loaded(**{FILE: ""}), 400, "no name"),
    "load-name-with-line-feed": (REPOSITORY + "a%0A/load", loaded(**{FILE: ""}), 400, "no name"),
    "load-name-of-a-derivative": (REPOSITORY + "m.vjp/load", loaded(**{FILE: ""}), 400, "taken"),
    "load-name-of-a-route": (REPOSITORY + "stats/load", loaded(**{FILE: ""}), 400, "taken"),
    "load-name-of-an-id": (REPOSITORY + "0" * 64 + "/load", loaded(**{FILE: ""}), 400, "taken"),
    "unload-unknown": (REPOSITORY + "nobody/unload", b"", 404, "no model 'nobody'"),
    "unload-a-derivative": (REPOSITORY + "loss.grad/unload", b"", 400, "unload 'loss'"),
    "index-no-json": ("/v2/repository/index", b"{", 400, "not JSON"),
    "index-no-flag": ("/v2/repository/index", b'{"ready": 1}', 400, "/ready"),
}  # fmt: skip

GETS = {
    "no-route": ("/v2/nothing", 404, "no such route"),
    "slash-at-the-end": ("/v2/", 404, "no such route"),
    "wrong-method": ("/v2/models/loss/infer", 405, "GET"),
    "unknown-model": ("/v2/models/nobody", 404, "no model 'nobody'"),
    "unknown-ready": ("/v2/models/nobody/ready", 404, "no model 'nobody'"),
    "unknown-stats": ("/v2/models/nobody/stats", 404, "no model 'nobody'"),
    "unknown-config": ("/v2/models/nobody/config", 404, "no model 'nobody'"),
    "unknown-version": ("/v2/models/loss/versions/9", 404, "no version '9'"),
    "no-such-gradient": ("/v2/models/affine.grad", 422, "0 scalar float outputs"),
    "of-in-the-query": ("/v2/models/loss.vjp?of=nothing", 422, "no value 'nothing'"),
}


def check(answer: httpx.Response, status: int, said: str) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert (answer.status_code, said) == (status, said if said in answer.json()["error"] else answer.json()["error"])
    assert answer.json()["error"]


@pytest.mark.parametrize(("model", "body", "status", "said"), INFER.values(), ids=INFER)
def test_inference(plain, model, body, status, said):
    content, headers = body if isinstance(body, tuple) else (body, {})
    check(plain.post(f"{MODELS}{model}/infer", content=content, headers=headers), status, said)


@pytest.mark.parametrize(("path", "body", "status", "said"), OTHERS.values(), ids=OTHERS)
def test_repository(plain, path, body, status, said):
    check(plain.post(path, content=body), status, said)


@pytest.mark.parametrize(("path", "status", "said"), GETS.values(), ids=GETS)
def test_reading(plain, path, status, said):
    check(plain.get(path), status, said)


def test_good_requests_of_the_same_kind_are_taken(plain):
    """The tables above would say nothing if these failed, too."""
    taken = [
        asked(X, Y), binary(BINARY, Y), asked(X, Y, model_name="loss", unknown=1),
        (gzip.compress(asked(X, Y)), {"Content-Encoding": "gzip"}),
        (zlib.compress(asked(X, Y)), {"Content-Encoding": "deflate"}),
        (asked(X, Y), {"Content-Type": "text/html; charset=nonsense"}),
    ]  # fmt: skip
    for body in taken:
        content, headers = body if isinstance(body, tuple) else (body, {})
        answer = plain.post("/v2/models/loss/infer", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["outputs"][0] == {"name": "loss", "datatype": "FP32", "shape": [], "data": [38]}


def test_an_output_that_is_no_tensor_stands_in_nobody_s_way(plain, text_of):
    answer = plain.post("/v2/models/pieces/infer", content=asked(X, outputs=[{"name": "z"}]))
    assert answer.json()["outputs"][0]["data"] == [-1, -2, -3]
    described = plain.get("/v2/models/pieces").json()["outputs"]
    assert [tensor["datatype"] for tensor in described] == ["sequence(float32)", "FP32"]
    body = {"graph": {"text": text_of("pieces")}, "feeds": {"x": [1, 2, 3]}}
    answer = plain.post("/v1/run", json=body)
    assert (answer.status_code, answer.json()["problems"][0]["code"]) == (422, "not-a-tensor")

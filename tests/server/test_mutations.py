"""Requests that were right, with something changed at random: no answer is a 5xx, and none is slow."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
from safetensors.numpy import save as save_safetensors

import graphspec as gs

ROUNDS = 150

ODD = [
    None, True, 0, -1, 1.5, 2**63, 1e308, "", "x", "NaN", "é", "\0", "float32", [], [[]], [None], {},
    {"": 0}, {"x": {}},
    {"dtype": "float32"}, {"base64": "AA=="}, {"dtype": "int4", "data": [1]}, "loss", ["loss"], ["x", "x"], 10**9,
    {"dtype": "float32", "shape": [10**9], "data": []}, {"op": "Identity", "inputs": ["x"], "outputs": ["loss"]},
]  # fmt: skip


def places(value, found=None):
    """Every container in a JSON value, with each of its keys."""
    found = [] if found is None else found
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            places(value[key], found)
    return found


def changed(value, chance):
    """A copy with one to three places replaced, removed, doubled or renamed."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        container, key = chance.choice(places(value))
        what = chance.randrange(4)
        if what == 0:
            container[key] = copy.deepcopy(chance.choice(ODD))
        elif what == 1:
            del container[key]
        elif what == 2 and isinstance(container, dict):
            container[str(key) + chance.choice(["", "s", "/", "~", " "])] = container.pop(key)
        else:
            container[key] = copy.deepcopy(chance.choice(places(value))[0])
        if not value:
            break
    return value


def changed_bytes(data, chance):
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data))
        what = chance.randrange(4)
        if what == 0:
            data[place] = chance.randrange(256)
        elif what == 1:
            del data[place : place + chance.randint(1, 20)]
        elif what == 2:
            data[place:place] = chance.randbytes(chance.randint(1, 5))
        else:
            data[place] ^= 1 << chance.randrange(8)
        if not data:
            break
    return bytes(data)


@pytest.fixture
def requests(service, loss):
    """Right requests: path, body, content type."""
    model = gs.load(loss)
    path = f"/v1/graphs/{service.store(loss)}"
    feeds = {"x": [1.0, 2.0], "y": {"dtype": "float32", "shape": [2], "data": [3, "NaN"]}}
    body = {"feeds": feeds, "parameters": {"two": 1}, "fetches": ["z"], "encoding": "base64"}
    target = {"of": "loss", "wrt": ["x", "two"]}
    arrays = {"feeds/x": np.ones(2, np.float32), "feeds/y": np.ones(2, np.float32)}
    made = [
        ("/v1/run", {"graph": loss, "grad": target} | body),
        (f"{path}/run", {"grad": target} | body),
        (f"{path}/grad", target | body),
        (f"{path}/vjp", {"of": ["z"], "wrt": ["x"], "cotangents": {"z": [1, 2]}} | body),
        (f"{path}/jvp", {"of": ["z"], "wrt": ["x"], "tangents": {"x": [1, 2]}} | body),
        (f"{path}/hvp", {"of": "loss", "wrt": ["x"], "tangents": {"x": [1, 2]}} | body),
        (f"{path}/jacobian", {"of": ["z"], "wrt": ["x"]} | body),
        (f"{path}/hessian", target | body),
        (f"{path}/derive", {"transform": "vjp", "of": ["z"], "wrt": ["x"]}),
        ("/v1/graphs", loss),
        ("/v1/validate", {"graph": loss}),
    ]
    raw = [
        ("/v1/graphs", gs.dumps(model, "onnx"), "application/x-onnx"),
        ("/v1/validate", gs.dumps(model, "onnx"), "application/x-onnx"),
        ("/v1/graphs", gs.dumps(model, "text"), "text/plain"),
        ("/v1/validate", json.dumps(loss).encode(), "application/json"),
        (f"{path}/run", save_safetensors(arrays, metadata={"request": json.dumps({"grad": target})}),
         "application/vnd.safetensors"),
    ]  # fmt: skip
    return made, raw


@pytest.mark.parametrize("kind", ["json", "bytes"])
def test_no_change_breaks_the_service(service, requests, kind):
    chance = random.Random(20)
    made, raw = requests
    statuses = set()
    for _ in range(ROUNDS):
        if kind == "json":
            path, body = chance.choice(made)
            body, media = json.dumps(changed(body, chance)).encode(), "application/json"
        else:
            path, body, media = chance.choice(raw)
            body = changed_bytes(body, chance)
        answer = service.post(path, content=body, headers={"content-type": media})
        assert answer.status_code < 500, (path, media, body, answer.text)
        assert answer.elapsed.total_seconds() < 10
        statuses.add(answer.status_code)
    assert {200, 400, 422} <= statuses
    assert service.app.state.data_plane.busy is False

"""What requests for derivatives may say beside `of` and `wrt`, and what answers say of them."""

from __future__ import annotations

import pytest

UNUSED = {
    "graph": {
        "text": '<ir_version: 10, opset_import: ["" : 16]> g (float[2] x, float[3] z) => (float l) '
        "{ a = Exp(x) l = ReduceSum<keepdims = 0>(a) }"
    }
}
FEEDS = {"x": [0, 0], "z": [1, 2, 3]}


@pytest.fixture
def stored(service):
    return "/v1/graphs/" + service.post("/v1/graphs", UNUSED).json()["id"]


# Path, further fields, and where in the answer the zeros are.
CASES = {
    "grad": ({"of": "l"}, ["gradients", "z"]),
    "vjp": ({"of": ["l"], "cotangents": {"l": 2}}, ["vjp", "z"]),
    "hvp": ({"of": "l", "tangents": {"x": [1, 2], "z": [1, 2, 3]}}, ["hvp", "z"]),
    "jacobian": ({"of": ["l"]}, ["jacobian", "l", "z"]),
}


@pytest.mark.parametrize("transform", sorted(CASES))
def test_what_is_not_connected_is_zero_on_request(service, stored, transform):
    fields, place = CASES[transform]
    request = {"feeds": FEEDS, "wrt": ["x", "z"], **fields}
    refused = service.post(f"{stored}/{transform}", request)
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["input"] == "z"
    answer = service.post(f"{stored}/{transform}", request | {"allow_unused": True})
    assert answer.status_code == 200
    found = answer.json()
    for key in place:
        found = found[key]
    assert found == {"dtype": "float32", "shape": [3], "data": [0, 0, 0]}


def test_a_derivative_says_what_it_was_upgraded_from(service, stored):
    assert "upgraded_from" not in service.get(stored).json()
    request = {"transform": "grad", "of": "l", "wrt": ["x", "z"], "allow_unused": True}
    answer = service.post(f"{stored}/derive", request)
    assert answer.status_code == 201
    assert (answer.json()["opset"], answer.json()["upgraded_from"]) == (18, 16)

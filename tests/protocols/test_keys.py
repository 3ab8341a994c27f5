"""Clients that others wrote, each with a key in the way that it has for one."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.http as triton
import umbridge
from tesseract_core import Tesseract
from tritonclient.utils import InferenceServerException

import graphspec_client
from graphspec_client import set_default_client, tensor
from graphspec_server.keys import new_key

KEY, KNOWN = new_key("solver", ["read", "run", "write"])
X = [0.5, -1.25, 2.0]


@pytest.fixture
def guarded(make_running, graph_of, monkeypatch):
    """A server with a key and a model, stored by our own client with what the environment says."""
    server = make_running(api_keys=(KNOWN,))
    monkeypatch.setenv("GRAPHSPEC_URL", server.url)
    monkeypatch.setenv("GRAPHSPEC_API_KEY", KEY)
    set_default_client(None)
    client = graphspec_client.default_client()
    assert (tensor([1.0]) + 1).tolist() == [2.0]
    yield server, client.load(graph_of("affine")).id
    client.close()
    set_default_client(None)


def test_every_client_can_send_a_key(guarded):
    server, model = guarded
    url = f"http://any:{KEY}@{server.address}"
    assert umbridge.HTTPModel(f"{url}/umbridge/{model}", model)([X]) == [[4.25, -0.8125]]
    assert Tesseract.from_url(f"{url}/tesseract/{model}").apply({"x": X})["y"].tolist() == [4.25, -0.8125]
    feed = triton.InferInput("x", [3], "FP64")
    feed.set_data_from_numpy(np.array(X))
    client = triton.InferenceServerClient(server.address)
    answer = client.infer(model, [feed], headers={"Authorization": f"Bearer {KEY}"})
    assert answer.as_numpy("y").tolist() == [4.25, -0.8125]
    with pytest.raises(InferenceServerException, match="Send a known key"):
        client.infer(model, [feed])
    with pytest.raises(InferenceServerException, match="lacks the scope 'admin'"):
        client.unload_model(model, headers={"Authorization": f"Bearer {KEY}"})
    client.close()

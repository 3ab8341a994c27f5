"""SIGKILL at any moment loses no acknowledged graph and leaves none broken."""

from __future__ import annotations

import random
import signal
import threading
import time

import httpx
import pytest

import graphspec as gs

UPLOADS = 150
THREADS = 6


def graph(number, size=1000):
    """A graph of its own, large enough that writing it takes a moment."""
    values = [(number * 7 + i) % 1000 / 8 for i in range(size)]
    return {
        "graphspec": 1,
        "name": f"graph_{number}",
        "opset": 21,
        "inputs": {"x": {"dtype": "float32", "shape": [size]}},
        "parameters": {"w": {"dtype": "float32", "shape": [size], "data": values}},
        "nodes": [{"op": "Add", "inputs": ["x", "w"], "outputs": ["y"]}],
        "outputs": ["y"],
    }


def upload_until_it_dies(server, documents):
    """Upload from several threads; gives the numbers of those that were acknowledged, with their ids."""
    acknowledged = {}
    numbers = iter(range(len(documents)))
    lock = threading.Lock()

    def work():
        with server.client() as client:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                try:
                    answer = client.post("/v1/graphs", json=documents[number])
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged[number] = answer.json()["id"]

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    return acknowledged, threads


def check_whole(client, acknowledged, documents, directory):
    """Everything acknowledged is there; everything there is whole; nothing else is in the directory."""
    listed = {row["id"]: row for row in client.get("/v1/graphs").json()["graphs"]}
    assert set(acknowledged.values()) <= set(listed)
    for graph_id in listed:
        answer = client.get(f"/v1/graphs/{graph_id}", headers={"accept": "application/x-onnx"})
        assert answer.status_code == 200
        assert gs.digest(gs.load(answer.content)) == graph_id
    for number, graph_id in list(acknowledged.items())[:5]:
        assert listed[graph_id]["name"] == documents[number]["name"]
        size = documents[number]["inputs"]["x"]["shape"][0]
        answer = client.post(f"/v1/graphs/{graph_id}/run", json={"feeds": {"x": [0.0] * size}})
        assert answer.json()["outputs"]["y"]["data"] == documents[number]["parameters"]["w"]["data"]
    assert not [path for path in directory.iterdir() if path.suffix not in (".onnx", ".json")]


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_while_uploading(start_server, tmp_path, seed):
    chance = random.Random(seed)
    documents = [graph(1000 * seed + number) for number in range(UPLOADS)]
    server = start_server()
    acknowledged, threads = upload_until_it_dies(server, documents)
    after = chance.randint(5, UPLOADS - 20)
    give_up = time.monotonic() + 60
    while len(acknowledged) < after and time.monotonic() < give_up:
        time.sleep(0.001)
    time.sleep(chance.random() * 0.02)
    server.stop(signal.SIGKILL)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert after <= len(acknowledged) < UPLOADS, "the server was not killed in the middle of the work"
    (tmp_path / "graphs" / ".new-left").write_bytes(b"half")
    with start_server().client() as client:
        check_whole(client, acknowledged, documents, tmp_path / "graphs")


def test_two_servers_share_a_directory(start_server, tmp_path):
    """One takes uploads while the other comes and goes."""
    documents = [graph(number, size=50) for number in range(40)]
    server = start_server()
    acknowledged, threads = upload_until_it_dies(server, documents)
    other = start_server()
    for thread in threads:
        thread.join(60)
    assert len(acknowledged) == len(documents)
    with other.client() as client:
        check_whole(client, acknowledged, documents, tmp_path / "graphs")

"""The directory of graphs: whole or absent, whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path

import pytest

from graphspec_server.errors import StorageError, UnknownGraph
from graphspec_server.repository import DirectoryRepository

A, B = "a" * 64, "b" * 64


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "deep" / "graphs"


@pytest.fixture
def repository(directory):
    return DirectoryRepository(directory)


def test_what_was_put_is_there(repository):
    assert repository.put(A, b"graph", {"name": "é"}) is True
    assert repository.put(A, b"graph", {"name": "é"}) is False
    assert repository.onnx(A) == b"graph"
    assert repository.record(A) == {"name": "é"}
    assert repository.ids() == [A]


def test_another_process_sees_it(repository, directory):
    repository.put(A, b"graph", {})
    assert DirectoryRepository(directory).ids() == [A]


@pytest.mark.parametrize("missing", [A, "../x", "", A + "\n", A.upper(), "/etc/passwd", "x" * 10**6, "\0", "é" * 64])
@pytest.mark.parametrize("call", ["check", "onnx", "record", "delete"])
def test_unknown_ids_are_refused_alike(repository, call, missing):
    repository.put(B, b"graph", {})
    with pytest.raises(UnknownGraph):
        getattr(repository, call)(missing)


def test_what_was_deleted_is_gone(repository, directory):
    repository.put(A, b"graph", {})
    repository.delete(A)
    assert repository.ids() == []
    assert list(directory.iterdir()) == []
    with pytest.raises(UnknownGraph):
        repository.delete(A)


@pytest.mark.parametrize("text", [None, b"", b"{", b"[]"], ids=str)
def test_a_lost_record_is_none(repository, directory, text):
    repository.put(A, b"graph", {"name": "x"})
    record = directory / f"{A}.json"
    record.unlink() if text is None else record.write_bytes(text)
    assert repository.record(A) is None


def test_leftovers_of_a_killed_process_go(repository, directory):
    repository.put(A, b"graph", {})
    (directory / ".new-abc").write_bytes(b"half")
    orphan = directory / f"{B}.json"
    orphan.write_bytes(b"{}")
    os.utime(orphan, (0, 0))
    (directory / "notes.txt").write_text("mine")
    DirectoryRepository(directory)
    assert sorted(p.name for p in directory.iterdir()) == [f"{A}.json", f"{A}.onnx", "notes.txt"]


def test_uploads_in_progress_stay(repository, directory):
    """Another process that starts must not take them for leftovers."""
    young, held = directory / f"{B}.json", directory / ".new-held"
    young.write_bytes(b"{}")
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        DirectoryRepository(directory)
        assert young.exists()
        assert held.exists()


class Stopped(BaseException):
    """Like a SIGKILL: nothing after it happens."""


def stop_after(patch, steps):
    """Let so many calls that change the disk through, and none after them."""
    left = iter(range(steps))

    def limited(real):
        def call(*args, **kwargs):
            if next(left, None) is None:
                raise Stopped
            return real(*args, **kwargs)

        return call

    for module, name in ((os, "fsync"), (os, "replace"), (Path, "unlink")):
        patch.setattr(module, name, limited(getattr(module, name)))


@pytest.mark.parametrize("steps", range(6))
def test_no_step_leaves_half_a_graph(repository, directory, monkeypatch, steps):
    """Two files synced and renamed, and the directory: the graph is whole from the fourth step on."""
    with monkeypatch.context() as patch, contextlib.suppress(Stopped):
        stop_after(patch, steps)
        repository.put(A, b"graph", {"name": "x"})
    after = DirectoryRepository(directory)
    assert after.ids() == ([A] if steps >= 4 else [])
    assert not list(directory.glob(".new-*"))
    if steps >= 4:
        assert (after.onnx(A), after.record(A)) == (b"graph", {"name": "x"})


def test_the_order_on_disk(repository, monkeypatch):
    """Data before names, the record before the graph, and the directory before the acknowledgement."""
    log = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (log.append("sync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (log.append(str(b)[-5:]), replace(a, b)))
    repository.put(A, b"graph", {})
    assert log == ["sync", ".json", "sync", ".onnx", "sync"]


def test_a_known_graph_is_synced_before_it_is_acknowledged(repository, monkeypatch):
    """Its first upload may have renamed the file and not have come to the directory yet."""
    repository.put(A, b"graph", {})
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    assert repository.put(A, b"graph", {}) is False
    assert len(synced) == 1


def test_the_same_graph_from_many_threads(repository):
    start = threading.Barrier(8)

    def put():
        start.wait()
        for _ in range(5):
            repository.put(A, b"graph" * 1000, {"name": "x"})

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repository.onnx(A) == b"graph" * 1000
    assert repository.record(A) == {"name": "x"}


def test_a_full_disk_is_told_without_the_path(repository, directory, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", str(directory))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        repository.put(A, b"graph", {})
    assert str(directory) not in str(caught.value)
    monkeypatch.undo()
    assert repository.ids() == []
    assert list(directory.iterdir()) == []

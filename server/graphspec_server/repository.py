"""Stored graphs: the interface, and the directory that keeps them.

In the directory a graph is ``<id>.onnx``; beside it ``<id>.json`` remembers what is known of it, so that nothing has
to be loaded to describe it. The ONNX file alone decides whether a graph is there: it appears last and goes first.
A name for graphs is ``names/<name>.json``; it refers to graphs, and does not keep them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from graphspec_server.errors import StorageError, UnknownGraph

_log = logging.getLogger(__name__)

ID = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".new-"


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """What a name refers to.

    Attributes:
        versions: The ids of graphs, by version.
        ready: Whether it takes requests.
    """

    versions: dict[str, str]
    ready: bool


class Repository(Protocol):
    """Where graphs are kept. What `put` has returned for is kept, whatever happens to the process afterwards."""

    def put(self, graph_id: str, onnx: bytes, record: dict[str, Any]) -> bool:
        """Keep a graph and what is known of it; whether it is new."""
        ...

    def check(self, graph_id: str) -> None:
        """Do nothing for a graph that is there; raises `UnknownGraph` for any other id."""
        ...

    def onnx(self, graph_id: str) -> bytes:
        """The graph as ONNX; raises `UnknownGraph`."""
        ...

    def record(self, graph_id: str) -> dict[str, Any] | None:
        """What is known of a graph, or ``None`` when that was lost; raises `UnknownGraph`."""
        ...

    def ids(self) -> list[str]:
        """The ids of all graphs, in order."""
        ...

    def delete(self, graph_id: str) -> None:
        """Forget a graph; raises `UnknownGraph`."""
        ...

    def has(self, graph_id: str) -> bool:
        """Whether a graph is there."""
        ...

    def names(self) -> list[str]:
        """All names, in order."""
        ...

    def name(self, name: str) -> Name | None:
        """What a name refers to, or ``None``. The name must be one that is fit for a file."""
        ...

    def update_name(self, name: str, change: Callable[[Name | None], Name]) -> None:
        """Change what a name refers to; as durable as `put`. The name must be one that is fit for a file."""
        ...


class DirectoryRepository:
    """Graphs as files of one directory, which several processes may share.

    Every file is written under a temporary name, synced, renamed, and then the directory is synced: at any moment
    a graph is there as a whole or not at all.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names = directory / "names"
        with _storage("open"):
            directory.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # a parent that is not ours was not made by us either
                _sync(directory.parent)
            self._remove_leftovers()

    def put(self, graph_id: str, onnx: bytes, record: dict[str, Any]) -> bool:
        """Keep a graph; of one that is there already only make sure that it will stay."""
        target = self._path(graph_id)
        with _storage("write"):
            new = not target.exists()
            if new:
                self._write(target.with_suffix(".json"), json.dumps(record).encode())
                self._write(target, onnx)
            # Another request may have renamed the file a moment ago and not have synced the directory yet.
            _sync(self._directory)
        return new

    def check(self, graph_id: str) -> None:
        """Refuse an id that no graph has."""
        with _storage("read"):
            if not self._path(graph_id).exists():
                raise _unknown(graph_id)

    def onnx(self, graph_id: str) -> bytes:
        """The graph as ONNX."""
        with _storage("read"), _known(graph_id):
            return self._path(graph_id).read_bytes()

    def record(self, graph_id: str) -> dict[str, Any] | None:
        """What is known of a graph."""
        self.check(graph_id)
        with _storage("read"):
            try:
                record = json.loads(self._path(graph_id).with_suffix(".json").read_bytes())
            except (FileNotFoundError, ValueError):
                return None
        return record if isinstance(record, dict) else None

    def ids(self) -> list[str]:
        """The ids of all graphs."""
        with _storage("list"):
            return sorted(p.stem for p in self._directory.glob("*.onnx") if ID.fullmatch(p.stem))

    def delete(self, graph_id: str) -> None:
        """Forget a graph."""
        path = self._path(graph_id)
        with _storage("delete"), _known(graph_id):
            path.unlink()
            _sync(self._directory)
            path.with_suffix(".json").unlink(missing_ok=True)

    def has(self, graph_id: str) -> bool:
        """Whether a graph is there."""
        with _storage("read"):
            return bool(ID.fullmatch(graph_id)) and self._path(graph_id).exists()

    def names(self) -> list[str]:
        """All names."""
        with _storage("list"):
            return sorted(path.name.removesuffix(".json") for path in self._names.glob("*.json"))

    def name(self, name: str) -> Name | None:
        """What a name refers to."""
        with _storage("read"):
            try:
                found = json.loads((self._names / f"{name}.json").read_bytes())
                return Name(dict(found["versions"]), bool(found["ready"]))
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError) as error:
                raise StorageError("What is known of the name is damaged.") from error

    def update_name(self, name: str, change: Callable[[Name | None], Name]) -> None:
        """Change what a name refers to; nobody else changes it meanwhile, in this process or another."""
        with _storage("write"):
            if not self._names.exists():
                self._names.mkdir(exist_ok=True)
                _sync(self._directory)
            with (self._names / ".lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                refers = change(self.name(name))
                self._write(self._names / f"{name}.json", json.dumps(dataclasses.asdict(refers)).encode())
                _sync(self._names)

    def _path(self, graph_id: str) -> Path:
        if not ID.fullmatch(graph_id):  # no text of a client's becomes a path unless it is a digest
            raise _unknown(graph_id)
        return self._directory / f"{graph_id}.onnx"

    def _write(self, target: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=self._directory)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                fcntl.flock(file, fcntl.LOCK_EX)  # while it is held, no other process takes the file for a leftover
                if not os.fstat(descriptor).st_nlink:  # one did, before it was held
                    return self._write(target, data)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(name, target)  # noqa: PTH105 - both are known to be files here
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return None

    def _remove_leftovers(self) -> None:
        """Remove what a killed process left: temporary files that nobody holds, and records without a graph."""
        for path in self._directory.glob(f"{_TEMPORARY}*"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        for path in self._directory.glob("*.json"):
            # A record as young as this may be that of an upload in progress in another process.
            old = time.time() - path.stat().st_mtime > 60
            if old and ID.fullmatch(path.stem) and not path.with_suffix(".onnx").exists():
                path.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unknown(graph_id: str) -> UnknownGraph:
    return UnknownGraph("No stored graph has this id.", expected="the id of a stored graph", found=graph_id)


@contextlib.contextmanager
def _known(graph_id: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _unknown(graph_id) from None


@contextlib.contextmanager
def _storage(action: str) -> Iterator[None]:
    """Turn the system's errors into the service's; the log knows the path, the client does not."""
    try:
        yield
    except OSError as error:
        _log.error("The graph store failed to %s: %s", action, error)
        reason = f"The graph store failed to {action}: {os.strerror(error.errno or 0)}."
        raise StorageError(reason) from error

"""A real server in a process of its own, on a free port of the loopback interface."""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

START_SECONDS = 60


@dataclasses.dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    url: str

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to this one process and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        if self.process.stdout:
            self.process.stdout.close()
        return code


def environment(**settings: Any) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHSPEC_")}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return kept | threads | {f"GRAPHSPEC_{name.upper()}": str(value) for name, value in settings.items()}


def first_line(process: subprocess.Popen[str]) -> str:
    """What the server prints first, or nothing if it takes too long or ends."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True)
    reader.start()
    try:
        return lines.get(timeout=START_SECONDS)
    except queue.Empty:
        return ""


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers over one directory, with any settings; ends them, each by its own process."""
    started: list[Server] = []

    def start(**settings: Any) -> Server:
        command = [sys.executable, "-m", "graphspec_server", "--port", "0", "--repository", str(tmp_path / "graphs")]
        with (tmp_path / "server.log").open("a") as log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(**settings), cwd=tmp_path
            )
        line = first_line(process)
        found = re.fullmatch(r"graphspec-server: listening on (http://\S+:\d+)\n", line)
        if found is None:
            process.kill()
            process.wait()
            pytest.fail(f"the server said {line!r}; its log: {(tmp_path / 'server.log').read_text()}")
        started.append(Server(process, found[1]))
        return started[-1]

    yield start
    for server in started:
        server.stop(signal.SIGKILL)

"""Start the service as a process of its own, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_service(folder: Path, *, wait: float = 60.0, **settings: str) -> Iterator[str]:
    """A service for the length of a ``with`` block.

    Args:
        folder: Where it stores graphs (``folder/graphs``) and writes its log (``folder/service.log``).
        wait: Seconds until it must be ready.
        **settings: Further settings, written in lower case: ``max_body_bytes="1000"``.

    Yields:
        Its address, such as ``http://127.0.0.1:43121``.

    Raises:
        RuntimeError: It ended, or was not ready in time; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / "service.log"
    port = free_port()
    command = [sys.executable, "-m", "graphspec_server", "--port", str(port), "--repository", str(folder / "graphs")]
    environment = os.environ | {f"GRAPHSPEC_{name.upper()}": value for name, value in settings.items()}
    with log_path.open("wb") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _until_ready(url, process, time.monotonic() + wait, log_path)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_ready(url: str, process: subprocess.Popen[bytes], deadline: float, log: Path) -> None:
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/v2/health/ready", timeout=2.0, trust_env=False).is_success:
                return
        time.sleep(0.1)
    end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"the service did not start (exit status {process.poll()}):\n{end}")

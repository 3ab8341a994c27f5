"""The command `graphspec-server`: when it refuses to start, and what it says then."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from graphspec_server.__main__ import _bind, main
from graphspec_server.settings import Settings


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "words"),
    [
        pytest.param(["--host", "0.0.0.0"], {}, 2, "GRAPHSPEC_API_KEYS", id="exposed"),
        pytest.param([], {"HOST": "::"}, 2, "GRAPHSPEC_ALLOW_ANONYMOUS", id="exposed-by-environment"),
        pytest.param(["--port", "http"], {}, 2, "port", id="bad-option"),
        pytest.param([], {"RUN_SECONDS": "soon"}, 2, "run_seconds", id="bad-variable"),
        pytest.param(["--host", "203.0.113.1", "--allow-anonymous"], {}, 1, "cannot listen", id="not-ours"),
        pytest.param(["--repository", "/dev/null/graphs"], {}, 1, "graph store", id="no-directory"),
    ],
)
def test_it_refuses_to_start(tmp_path, monkeypatch, capsys, arguments, settings, code, words):
    for name in [name for name in os.environ if name.startswith("GRAPHSPEC_")]:
        monkeypatch.delenv(name)
    for name, text in settings.items():
        monkeypatch.setenv(f"GRAPHSPEC_{name}", text)
    if "--repository" not in arguments:
        arguments = [*arguments, "--repository", str(tmp_path)]
    assert main(arguments) == code
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_an_unknown_option_ends_it(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--nope"])
    assert ended.value.code == 2
    assert "--nope" in capsys.readouterr().err


def test_help_lists_every_option():
    command = Path(sys.executable).parent / "graphspec-server"
    result = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    for option in ("--host", "--port", "--workers", "--repository", "--max-body-bytes", "--run-seconds"):
        assert option in result.stdout


def test_answers_are_sent_at_once():
    """Only on a socket that names its protocol does asyncio turn off the algorithm that holds small packets back."""
    with _bind(Settings(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP

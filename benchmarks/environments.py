"""The environments of the systems that GraphSpec is compared with: made on first use, each with packages of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

VENVS = Path(__file__).resolve().parents[1] / ".venv-peers"


def environment(system: str, packages: Sequence[str], venvs: Path = VENVS) -> str:
    """The Python of a system's environment; a system that needs no packages runs in ours."""
    if not packages:
        return sys.executable
    python = venvs / system / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(packages)} ...")
        venv.create(venvs / system, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)

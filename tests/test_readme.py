"""The README does what it says: its curl and Python blocks run against a real service, and print what is shown."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphspec as gs
from steps.service import running_service

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


@dataclasses.dataclass(frozen=True)
class Block:
    language: str
    text: str
    shown: str | None  # the text of the block after it, when that is an output


def blocks(language: str, markdown: str = README) -> list[Block]:
    """Fenced blocks in order; one of `text` or `json` right after another is its output."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    following = [*found[1:], ("", "")]
    return [
        Block(kind, text, after[1] if after[0] in {"text", "json"} else None)
        for (kind, text), after in zip(found, following, strict=True)
        if kind == language
    ]


CURL = [b for b in blocks("bash") if "curl" in b.text]
PYTHON = blocks("python")
DOCUMENTS = [b for b in blocks("json") if '"graphspec"' in b.text]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder) -> Iterator[str]:
    with running_service(folder) as url:
        yield url


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_opens_with_the_commands():
    assert re.findall(r"^make (\w+)", blocks("bash")[0].text, re.MULTILINE)[:3] == ["demo", "test", "serve"]


def test_the_service_says_where_it_listens_as_shown(service, folder):
    said = (folder / "service.log").read_text(encoding="utf-8").strip()
    assert f"`{said.replace(service, ADDRESS)}`" in README


def test_there_are_examples_of_both_kinds():
    assert CURL
    assert PYTHON
    assert DOCUMENTS
    assert all(b.shown for b in CURL + PYTHON)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("block", CURL)
def test_curl_blocks_answer_as_shown(block, service, tmp_path):
    assert ADDRESS in block.text
    answer = run(["bash", "-euo", "pipefail", "-c", block.text.replace(ADDRESS, service)], tmp_path)
    assert json.loads(answer) == json.loads(block.shown)


@pytest.mark.parametrize("block", PYTHON)
def test_python_blocks_print_what_is_shown(block, service, tmp_path):
    assert run([sys.executable, "-c", block.text.replace(ADDRESS, service)], tmp_path) == block.shown


@pytest.mark.parametrize("block", DOCUMENTS)
def test_documents_are_valid(block):
    assert gs.validate(gs.load(json.loads(block.text))).problems == ()


def test_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_checks_can_fail():
    assert blocks("bash", "```bash\ncurl x\n```\n\n```json\n1\n```\n") == [Block("bash", "curl x\n", "1\n")]
    assert blocks("bash", "```bash\ncurl x\n```\n\n```python\n1\n```\n") == [Block("bash", "curl x\n", None)]

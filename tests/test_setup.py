"""The checkout as a newcomer gets it: one set-up, one version, no machine's settings in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("graphspec", "server", "client")
TARGETS = ("demo", "serve", "test", "lint", "types", "format", "clean", "setup", "help")
LONGEST = 450
LONG_FILES = {
    "tests/graphspec/test_forward_mode.py": "tables of models, with one check for each kind of derivative",
    "tests/graphspec/test_validation.py": "a table: every finding with a graph that leads to it",
    "tests/graphspec/test_interchange_refusals.py": "a table: every refusal with what leads to it",
}


def tracked() -> list[Path]:
    """The files that the repository holds; outside a git checkout, those that look like it."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [p for f in (*FOLDERS, "tests", "examples", "docs", "docker") for p in (ROOT / f).rglob("*") if p.is_file()]


def project(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))


def entries(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def requirements() -> list[Requirement]:
    """Everything that requirements.txt and the three distributions ask for, GraphSpec's own parts left out."""
    asked = [line for line in entries("requirements.txt") if not line.startswith("-e")]
    for folder in FOLDERS:
        asked += project(folder)["project"]["dependencies"]
    return [r for r in map(Requirement, asked) if not r.name.startswith("graphspec")]


def test_constraints_are_names_and_versions_and_nothing_else():
    odd = [line for line in entries("constraints.txt") if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    assert odd == []


def test_constraints_pin_every_requirement_to_a_version_that_fits():
    pins = dict(line.split("==") for line in entries("constraints.txt"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in requirements():
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no line in constraints.txt"
        assert version in requirement.specifier, f"{requirement} is constrained to {version}"


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt", "Dockerfile", "Makefile", "pyproject.toml"])
def test_no_download_address_and_no_machine_setting(name):
    """Where packages come from is the business of the one who installs."""
    text = (ROOT / name).read_text(encoding="utf-8")
    hits = re.findall(
        r"\S*(?:pypi|simple/|files\.pythonhosted|index-url|find-links|trusted-host|\.whl|sha256)\S*", text
    )
    assert hits == []


def test_requirements_install_the_three_distributions_in_place():
    lines = [line for line in entries("requirements.txt") if line.startswith("-e")]
    assert [re.sub(r"\[.+\]$", "", line) for line in lines] == [f"-e ./{f}" for f in FOLDERS]  # extras are tested too


def test_three_distributions_share_one_version():
    version = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    for folder in FOLDERS:
        described = project(folder)
        assert described["project"]["dynamic"] == ["version"]
        assert described["tool"]["hatch"]["version"]["path"] == "../VERSION"
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest, "CHANGELOG.md has no version"
    assert newest[1] == version


def test_onnx_is_new_enough_to_be_safe():
    """Versions before 1.21 follow paths out of a model's own folder."""
    bound = next(Requirement(r) for r in project("graphspec")["project"]["dependencies"] if r.startswith("onnx>"))
    assert "1.20.1" not in bound.specifier
    assert "1.21.0" in bound.specifier


def test_the_client_needs_two_packages():
    assert {Requirement(r).name for r in project("client")["project"]["dependencies"]} == {"httpx", "numpy"}


def test_files_stay_readable():
    suffixes = {".py", ".md", ".yaml", ".toml"}
    lengths = {
        p.relative_to(ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines())
        for p in tracked()
        if p.suffix in suffixes
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST and name not in LONG_FILES} == {}


def test_nothing_generated_or_heavy_is_tracked():
    heavy = {p.relative_to(ROOT).as_posix(): p.stat().st_size for p in tracked() if p.stat().st_size > 1_000_000}
    assert heavy == {}
    generated = re.compile(r"(^|/)(__pycache__|\.venv|demo_output|dist|build|\.[a-z]+_cache)/|\.(pyc|log)$")
    assert [p for p in tracked() if generated.search(p.relative_to(ROOT).as_posix())] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_its_targets_and_sets_up_first(target, tmp_path):
    """A dry run in a folder without .venv: each target that runs Python begins with making it."""
    for name in ("Makefile", "requirements.txt", "constraints.txt", "VERSION"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / folder / "pyproject.toml", tmp_path / folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    dry = subprocess.run(["make", "-n", target], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    assert ("-m venv .venv" in dry.stdout) == (target not in {"help", "clean"})
    if target in {"demo", "serve", "test", "lint", "types", "format"}:
        assert dry.stdout.index("-m venv .venv") < dry.stdout.rindex(".venv/bin/")


def test_ci_runs_the_same_thing():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "make test" in text

"""What every test shares: a seeded generator, and proof that the packages under test are those of this checkout."""

from __future__ import annotations

import collections
import importlib.util
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = {"graphspec": "graphspec", "server": "graphspec_server", "client": "graphspec_client"}


def pytest_configure() -> None:
    """Refuse to test packages that were installed from somewhere else."""
    for folder, package in DISTRIBUTIONS.items():
        spec = importlib.util.find_spec(package)
        where = Path(spec.origin).resolve() if spec and spec.origin else None
        if where is None or not where.is_relative_to(ROOT / folder):
            pytest.exit(
                f"{package} is not this checkout's: found {where}, expected below {ROOT / folder}", returncode=4
            )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the ONNX backend suite passed, kind by kind; the parts may have run in other processes."""
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties:
                if name == "conformance":
                    kind, passed, cases = value
                    for key in (kind, "in all"):
                        counts[key][0] += passed
                        counts[key][1] += cases
    if counts:
        terminalreporter.section("ONNX backend suite")
        for key in sorted(counts, key=lambda k: (k == "in all", k)):
            terminalreporter.write_line(f"{key}: passed {counts[key][0]} of {counts[key][1]}")
    _show_derivatives(terminalreporter)


def _show_derivatives(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what became of the (case, floating-point value) pairs of the suite."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties:
                if name == "derivatives":
                    kind, pairs, found = value
                    for key in (kind, "in all") if "slice" not in kind else (kind,):  # the whole has the slice in it
                        counts[key].update({"pairs": pairs, **found})
    if counts:
        terminalreporter.section("Derivatives of the ONNX backend suite")
        for key in sorted(counts, key=lambda k: (k == "in all", k)):
            terminalreporter.write_line(f"{key}: " + ", ".join(f"{n} {what}" for what, n in counts[key].items()))


@pytest.fixture
def root() -> Path:
    """The root folder of the checkout."""
    return ROOT


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that differ from test to test and never from run to run."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))

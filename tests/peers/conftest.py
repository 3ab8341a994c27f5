"""The table of conventions, which lives in a test of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def conventions() -> dict[str, Any]:
    """By the names of the page."""
    path = Path(__file__).parents[1] / "graphspec" / "test_conventions.py"
    spec = importlib.util.spec_from_file_location("conventions_of_the_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return {convention.name: convention for convention in module.CONVENTIONS}

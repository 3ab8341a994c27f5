"""What the operator tests run over: one file of samples a family, collected into ``ALL``."""

from __future__ import annotations

import importlib
import pkgutil

from samples.sample import Floats, Sample

ALL: list[Sample] = []
for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    if _module not in ("sample", "build"):
        ALL.extend(importlib.import_module(f"samples.{_module}").SAMPLES)

__all__ = ["ALL", "Floats", "Sample"]

"""What models have done so far, in the words of Triton's statistics extension."""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from typing import Any

_MOST_MODELS = 1024
_PHASES = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclasses.dataclass(slots=True)
class Duration:
    """How often something was done, and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Count once more."""
        self.count += 1
        self.ns += ns


class Statistics:
    """Counts and durations by model and version; those asked least recently are forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], dict[str, Duration]] = OrderedDict()
        self._last: dict[tuple[str, str], int] = {}

    def add(self, name: str, version: str, outcome: str, ns: int, phases: dict[str, int] | None = None) -> None:
        """Count a request.

        Args:
            name: Of the model.
            version: Of the model.
            outcome: ``"success"`` or ``"fail"``.
            ns: How long it took.
            phases: How long each part of it took.
        """
        key = (name, version)
        durations = self._kept.setdefault(key, {})
        self._kept.move_to_end(key)
        self._last[key] = time.time_ns() // 1_000_000
        for what, took in {outcome: ns, **(phases or {})}.items():
            durations.setdefault(what, Duration()).add(took)
        while len(self._kept) > _MOST_MODELS:
            forgotten, _ = self._kept.popitem(last=False)
            del self._last[forgotten]

    def models(self) -> list[tuple[str, str]]:
        """Names and versions of the models that were asked."""
        return sorted(self._kept)

    def of(self, name: str, version: str) -> dict[str, Any]:
        """What there is to say of a model; zeros for one that was never asked."""
        durations = self._kept.get((name, version), {})
        runs = durations.get("compute_infer", Duration()).count
        kinds = ("success", "fail", *_PHASES, "cache_hit", "cache_miss")
        return {
            "name": name,
            "version": version,
            "last_inference": self._last.get((name, version), 0),
            "inference_count": durations.get("success", Duration()).count,
            "execution_count": runs,
            "inference_stats": {kind: dataclasses.asdict(durations.get(kind, Duration())) for kind in kinds},
            "batch_stats": [],
        }

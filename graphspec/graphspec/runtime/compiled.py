"""A plan whose shapes are all known: straight-line Python over arrays that lie ready in one arena.

The arena belongs to one run at a time: a plan keeps one for each run that was ever under way at once. What a run
returns is allocated anew and belongs to the caller.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from graphspec.errors import GraphSpecError, LimitError
from graphspec.runtime.fusion import fused
from graphspec.runtime.plan import DEADLINE, out_of_memory, owned, refused, too_late
from graphspec.runtime.steps import Place, Step, UnforeseenShapeError
from graphspec.runtime.writer import Writer

_FILE = "<plan>"


class CompiledPlan:
    """Steps laid out in memory; ``run`` may be called from several threads at once.

    Args:
        feeds: The places that a run fills, in order.
        steps: The calls, in order.
        outputs: The places of the results.

    Attributes:
        arena_bytes: Memory of one run beside its feeds, weights and results, as laid out.
        least_bytes: The most that lives at once of it: no layout needs less.
    """

    def __init__(self, feeds: Sequence[Place], steps: Sequence[Step], outputs: Sequence[Place]) -> None:
        writer = Writer(feeds, fused(steps, outputs), outputs)
        self.arena_bytes = writer.arena_bytes
        self.least_bytes = writer.least_bytes
        self._writer = writer
        self._code = compile("\n".join(writer.lines), _FILE, "exec")
        self._idle: collections.deque[Any] = collections.deque()

    @np.errstate(all="ignore")
    def run(self, arrays: Sequence[Any], deadline: float | None = None) -> tuple[Any, ...]:
        """Run all steps.

        Args:
            arrays: One contiguous array per feed, of its shape and dtype.
            deadline: ``time.monotonic()`` seconds after which no further kernel is started.

        Returns:
            The outputs, each the caller's own.

        Raises:
            ExecutionError: A kernel refused its values; the problem names the node.
            LimitError: Past the deadline, or out of memory.
            UnforeseenShapeError: The graph declares a shape that the values contradict: another plan must do.
        """
        try:
            instance = self._idle.pop()
        except IndexError:
            instance = self._instance()
        token = DEADLINE.set(deadline) if deadline is not None else None
        try:
            results: tuple[Any, ...] = instance(deadline, *arrays)
            return results
        except (GraphSpecError, UnforeseenShapeError):
            raise
        except Exception as error:
            self._explain(error)
        finally:
            if token is not None:
                DEADLINE.reset(token)
            self._idle.append(instance)

    def _instance(self) -> Any:
        """The function of the plan, bound to an arena of its own."""
        try:
            arena = np.empty(self.arena_bytes, np.uint8)
        except MemoryError as error:
            raise LimitError(
                f"The run needs more memory than there is: {self.arena_bytes} bytes for its intermediate values.",
                code="memory",
                node=self._writer.largest,
                found=f"{self.arena_bytes} bytes",
                hint="Make the tensors smaller.",
            ) from error
        names: dict[str, Any] = {**self._writer.bindings, "look": _look, "own": owned}
        for name, place, where in self._writer.buffers:
            if place.base is None:
                assert place.dtype is not None
                names[name] = arena[where : where + place.nbytes].view(place.dtype).reshape(place.shape)
            else:
                assert place.view is not None
                names[name] = place.view(names[self._writer.name(place.base)])
        exec(self._code, names)
        return names["run"]

    def _explain(self, error: Exception) -> NoReturn:
        """Raise what went wrong as ours, with the node that was under way and what it was given."""
        trace, inside = error.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == _FILE:
                inside = trace
            trace = trace.tb_next
        step = self._writer.step_at.get(inside.tb_lineno) if inside is not None else None
        if inside is None or step is None:
            raise error
        if isinstance(error, _TooLateError):
            raise too_late(step.node) from None
        known = {**inside.tb_frame.f_globals, **inside.tb_frame.f_locals}
        arguments = [known.get(self._writer.name(place)) for place in step.reads]
        if isinstance(error, MemoryError):
            raise out_of_memory(step.node, arguments) from error
        raise refused(step.node, arguments, error) from error


class _TooLateError(Exception):
    """The deadline has passed; never leaves this module."""


def _look(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _TooLateError

"""Elementwise steps that follow each other, run block by block, so that what lies between them stays in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.runtime.steps import Emitter, Place, Step

# Elements of a block: with a few operands of four bytes it fits a core's second-level cache.
BLOCK = 1 << 16
# Steps of one group: what is gained is gained by a few, and each is compared with the rest of its group.
_LONGEST = 128


def fused(steps: Sequence[Step], outputs: Sequence[Place]) -> list[Step]:
    """The same steps, neighbours among large elementwise ones merged into one each."""
    readers: dict[int, list[int]] = {}
    for i, step in enumerate(steps):
        for place in step.reads:
            readers.setdefault(id(place.root), []).append(i)
    kept = {id(place.root) for place in outputs}
    for step in steps:  # what may share memory with a plain kernel's result lives on in it
        if step.result is not None:
            kept.update(id(place.root) for place in step.result.holds)
    result: list[Step] = []
    group: list[Step] = []
    for i, step in enumerate(steps):
        if group and not _fits(step, group):
            result += _merged(group, i - len(group), i, readers, kept)
            group = []
        if _fits(step, group):
            group.append(step)
        else:
            result.append(step)
    return result + _merged(group, len(steps) - len(group), len(steps), readers, kept)


def _fits(step: Step, group: Sequence[Step]) -> bool:
    if not step.elementwise or len(step.writes) != 1:
        return False
    (out,) = step.writes
    if not out.contiguous or out.base is not None or out.size < 2 * BLOCK:
        return False
    if group and (group[0].writes[0].shape != out.shape or len(group) >= _LONGEST):
        return False
    # What a step of the group writes is read part by part: never through a view, which may look elsewhere.
    written = {id(s.writes[0]) for s in group} | {id(out)}
    return not any(p.base is not None and id(p.root) in written for s in (*group, step) for p in s.reads)


def _merged(group: list[Step], start: int, stop: int, readers: dict[int, list[int]], kept: set[int]) -> list[Step]:
    if len(group) < 2:
        return group
    shape = group[0].writes[0].shape or ()
    inside: dict[int, Place] = {}
    outside: dict[int, Place] = {}
    for step in group:
        for place in (*step.reads, *step.writes):
            own = any(place is s.writes[0] for s in group) and id(place) not in kept
            alone = own and all(start <= i < stop for i in readers.get(id(place), ()))
            # The first to touch it must write it whole, else what was there before counts.
            if alone and (id(place) in inside or (place is step.writes[0] and step.function is not np.copyto)):
                inside[id(place)] = place
            else:
                outside.setdefault(id(place), place)
    for key in outside:
        inside.pop(key, None)
    flat = all(_is_one(p) or (p.shape == shape and p.contiguous) for p in outside.values())
    rows = BLOCK if flat else max(1, BLOCK // max(1, math.prod(shape[1:])))
    count = math.prod(shape) if flat else shape[0]
    if count < 2 * rows:
        return group
    scratch, slots = _scratch(group, inside, (rows,) if flat else (rows, *shape[1:]))
    slots.update((key, len(scratch) + i) for i, key in enumerate(outside))
    calls = tuple(_Call(step, slots) for step in group)
    moving = tuple(
        len(scratch) + i for i, p in enumerate(outside.values())
        if not _is_one(p) and p.shape is not None and len(p.shape) == len(shape) and p.shape[0] == shape[0] > 1
    )  # fmt: skip
    blocks = Blocks(calls, len(scratch), moving, count, rows, flat=flat)
    writes = {id(s.writes[0]): s.writes[0] for s in group if id(s.writes[0]) not in inside}
    arguments = (*scratch, *outside.values())
    return [Step(blocks, arguments, {}, (*writes.values(), *scratch), None, False, False, group[0].node)]


def _is_one(place: Place) -> bool:
    return place.shape is not None and place.size == 1


def _scratch(
    group: Sequence[Step], inside: dict[int, Place], shape: tuple[int, ...]
) -> tuple[list[Place], dict[int, int]]:
    """Room for one block of each value between the steps, used again when it is dead."""
    last = {id(place): i for i, step in enumerate(group) for place in (*step.reads, *step.writes)}
    free: dict[Any, list[int]] = {}
    scratch: list[Place] = []
    slots: dict[int, int] = {}
    for i, step in enumerate(group):
        (out,) = step.writes
        if id(out) in inside and id(out) not in slots:
            rooms = free.setdefault(out.dtype, [])
            if not rooms:
                rooms.append(len(scratch))
                scratch.append(Emitter().buffer(shape, out.dtype))
            slots[id(out)] = rooms.pop()
        for place in {id(p): p for p in (*step.reads, out)}.values():
            if id(place) in slots and last[id(place)] == i:
                free.setdefault(place.dtype, []).append(slots[id(place)])
    return scratch, slots


class _Call:
    """One step of a group: where its operands are found among the group's."""

    __slots__ = ("arguments", "function", "keywords")

    def __init__(self, step: Step, slots: dict[int, int]) -> None:
        def at(argument: Any) -> tuple[int, Any]:
            return (slots[id(argument)], None) if isinstance(argument, Place) else (-1, argument)

        self.function = step.function
        self.arguments = tuple(at(a) for a in step.arguments)
        self.keywords = tuple((key, at(a)) for key, a in step.keywords.items())


class Blocks:
    """Calls of elementwise functions, one block of elements after the other.

    Args:
        calls: The calls of one block.
        scratch: How many of the arrays are room for a block.
        moving: Which of the others are read or written in parts; the rest is whole in each block.
        count: Elements (or rows) in all.
        rows: Elements (or rows) of a block.
        flat: The arrays are taken as one row of elements.
    """

    def __init__(
        self, calls: tuple[_Call, ...], scratch: int, moving: tuple[int, ...], count: int, rows: int, *, flat: bool
    ) -> None:
        self._calls = calls
        self._scratch = scratch
        self._moving = moving
        self._count = count
        self._rows = rows
        self._flat = flat

    def __call__(self, *arrays: Any) -> None:
        """Run all blocks."""
        whole = list(arrays)
        if self._flat:
            for i in range(self._scratch, len(whole)):
                whole[i] = whole[i].reshape(-1 if i in self._moving else ())
        for start in range(0, self._count, self._rows):
            stop = min(start + self._rows, self._count)
            parts = list(whole)
            for i in self._moving:
                parts[i] = whole[i][start:stop]
            if stop - start < self._rows:
                for i in range(self._scratch):
                    parts[i] = whole[i][: stop - start]
            for call in self._calls:
                call.function(
                    *[parts[i] if i >= 0 else fixed for i, fixed in call.arguments],
                    **{key: parts[i] if i >= 0 else fixed for key, (i, fixed) in call.keywords},
                )

"""Where buffers lie: one block of memory, its parts used again when what was there is dead."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence

# Buffers start at multiples of this: whole cache lines, and aligned for every vector unit.
ALIGNMENT = 64
# Up to so many buffers the tight layout takes less time than a run.
_MANY = 1500


@dataclasses.dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer's size and the first and last step that touch it.

    Attributes:
        nbytes: Bytes.
        first: Step that writes it first.
        last: Step that touches it last; the memory is free for the step after.
    """

    nbytes: int
    first: int
    last: int


def lay_out(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Offsets such that no two buffers that live at once overlap.

    Returns:
        One offset per buffer, in bytes, and the size of the block that holds them all.
    """
    return _tightly(lifetimes) if len(lifetimes) <= _MANY else _in_order(lifetimes)


def _in_order(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """In the order of their first steps, each in the smallest dead block that takes it: linear in their number."""
    offsets = [0] * len(lifetimes)
    ends: dict[int, list[int]] = {}
    for i, life in enumerate(lifetimes):
        ends.setdefault(life.last + 1, []).append(i)
    dying = sorted(ends)
    free: list[tuple[int, int]] = []
    rooms: dict[int, int] = {}
    total = died = 0
    for i in sorted(range(len(lifetimes)), key=lambda i: lifetimes[i].first):
        life = lifetimes[i]
        while died < len(dying) and dying[died] <= life.first:
            for j in ends[dying[died]]:
                if j in rooms:
                    bisect.insort(free, (rooms[j], offsets[j]))
            died += 1
        need = _aligned(life.nbytes)
        if need == 0:
            continue
        place = bisect.bisect_left(free, (need, 0))
        if place < len(free):
            rooms[i], offsets[i] = free.pop(place)
        else:
            rooms[i], offsets[i] = need, total
            total += need
    return offsets, total


def _tightly(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Largest first, each in the tightest gap: quadratic in their number, and close to the lower bound."""
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    total = 0
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].nbytes, lifetimes[i].first)):
        mine = lifetimes[i]
        need = _aligned(mine.nbytes)
        if need == 0:
            continue
        beside = sorted(
            (offsets[j], offsets[j] + _aligned(lifetimes[j].nbytes))
            for j in placed
            if lifetimes[j].first <= mine.last and mine.first <= lifetimes[j].last
        )
        best, tightest, end = None, None, 0
        for start, stop in beside:
            gap = start - end
            if gap >= need and (tightest is None or gap < tightest):
                best, tightest = end, gap
            end = max(end, stop)
        offsets[i] = end if best is None else best
        total = max(total, offsets[i] + need)
        placed.append(i)
    return offsets, total


def lower_bound(lifetimes: Sequence[Lifetime]) -> int:
    """The most bytes that live at once: no layout needs less."""
    changes: dict[int, int] = {}
    for life in lifetimes:
        changes[life.first] = changes.get(life.first, 0) + life.nbytes
        changes[life.last + 1] = changes.get(life.last + 1, 0) - life.nbytes
    most = live = 0
    for step in sorted(changes):
        live += changes[step]
        most = max(most, live)
    return most


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT

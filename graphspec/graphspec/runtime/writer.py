"""From steps to Python: names, memory and one line a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.runtime.arena import Lifetime, lay_out, lower_bound
from graphspec.runtime.steps import Place, Step

# The clock is asked before a step once so many elements, or so many steps, went by since it was asked last.
_ELEMENTS_A_LOOK = 1 << 16
_STEPS_A_LOOK = 64


class Writer:
    """The Python of a plan.

    Args:
        feeds: The places that a run fills, in order.
        steps: The calls, in order.
        outputs: The places of the results.

    Attributes:
        lines: The source; it defines ``run(deadline, feed, ...)``, which returns the outputs.
        bindings: What its names stand for, but for the arena's.
        buffers: Name, place and offset of each array of the arena, bases before their views.
        arena_bytes: Size of the arena.
        least_bytes: The most that lives in it at once.
        step_at: The step of each line, by number.
        largest: The name of the node whose step touches the largest buffer of the arena.
    """

    def __init__(self, feeds: Sequence[Place], steps: Sequence[Step], outputs: Sequence[Place]) -> None:
        self.lines: list[str] = []
        self.bindings: dict[str, Any] = {"empty": np.empty}
        self.buffers: list[tuple[str, Place, int]] = []
        self.step_at: dict[int, Step] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []  # ids are only good while their objects live
        self._shared: dict[int, Place] = {}
        self._feeds = {id(place) for place in feeds}
        self._steps = steps
        self._planned: dict[int, Place] = {}
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._live(steps, outputs)
        self._merge_in_place(steps)
        self._fresh = {id(self._memory(p)) for p in outputs if p.planned}  # what a run returns is allocated in it
        self._offsets, self.arena_bytes, self.least_bytes = self._lay_out()
        self._write(feeds, steps, outputs)

    def name(self, place: Place) -> str:
        """The name of a place in the source; "" if it has none."""
        return self._names.get(id(place), "")

    # Memory

    def _memory(self, place: Place) -> Place:
        """The place that owns the memory of another: its root, or what that was merged into."""
        root = place.root
        while id(root) in self._shared:
            root = self._shared[id(root)]
        return root

    def _live(self, steps: Sequence[Step], outputs: Sequence[Place]) -> None:
        """The first and the last step that touches each buffer, through views and results that share its memory."""
        held: dict[int, tuple[Place, ...]] = {}

        def touch(place: Place, i: int) -> None:
            root = place.root
            for one in (root,) if root.planned else held.get(id(root), ()):
                self._planned.setdefault(id(one), one)
                self._first.setdefault(id(one), i)
                self._last[id(one)] = i

        for i, step in enumerate(steps):
            for place in (*step.reads, *step.writes):
                touch(place, i)
            if step.result is not None:
                roots = (p.root for p in step.result.holds)
                flat = (one for root in roots for one in ((root,) if root.planned else held.get(id(root), ())))
                held[id(step.result)] = tuple({id(one): one for one in flat}.values())
        for place in outputs:
            touch(place, len(steps))

    def _merge_in_place(self, steps: Sequence[Step]) -> None:
        """Let elementwise steps write where an argument dies."""
        for i, step in enumerate(steps):
            if not step.in_place:
                continue
            (out,) = step.writes
            if out.base is not None or self._first[id(out)] != i:
                continue
            for read in step.reads:
                if not read.planned or read.base is not None or id(read) == id(out):
                    continue
                owner = self._memory(read)
                dies = self._last[id(owner)] == i
                if dies and read.shape == out.shape and read.dtype == out.dtype and not self._clash(step, owner, read):
                    self._shared[id(out)] = owner
                    self._last[id(owner)] = self._last[id(out)]
                    break

    def _clash(self, step: Step, owner: Place, read: Place) -> bool:
        """Whether the step also reads this memory in another layout."""
        return any(r is not read and r.planned and self._memory(r) is owner for r in step.reads)

    def _lay_out(self) -> tuple[dict[int, int], int, int]:
        taken = self._shared.keys() | self._fresh
        owners = [place for key, place in self._planned.items() if key not in taken]
        largest = max(owners, key=lambda p: p.nbytes, default=None)
        self.largest = None if largest is None else self._steps[self._first[id(largest)]].node.name
        lifetimes = [Lifetime(p.nbytes, self._first[id(p)], self._last[id(p)]) for p in owners]
        offsets, total = lay_out(lifetimes)
        return {id(p): o for p, o in zip(owners, offsets, strict=True)}, total, lower_bound(lifetimes)

    # Source

    def _write(self, feeds: Sequence[Place], steps: Sequence[Step], outputs: Sequence[Place]) -> None:
        for i, place in enumerate(feeds):
            self._names[id(place)] = f"a{i}"
        arguments = "".join(f", a{i}" for i in range(len(feeds)))
        self.lines.append(f"def run(deadline{arguments}):")
        elements = count = 0
        dying = self._deaths(steps, outputs)
        for i, step in enumerate(steps):
            count += 1
            elements += sum(p.size for p in (*step.writes, *step.reads) if p.shape is not None) or _ELEMENTS_A_LOOK
            if elements >= _ELEMENTS_A_LOOK or count >= _STEPS_A_LOOK:
                self._line("if deadline is not None: look(deadline)", step)
                elements = count = 0
            for place in (*step.reads, *step.writes):
                self._ready(place, step)
            self._line(self._call(step), step)
            if i in dying:  # so that its memory is free for the next
                self._line("del " + ", ".join(self._names[id(p)] for p in dying[i]), step)
        self._return(outputs)

    def _call(self, step: Step) -> str:
        arguments = [self._text(a) for a in step.arguments]
        arguments += [f"{key}={self._text(a)}" for key, a in step.keywords.items()]
        call = f"{self._bound(step.function, 'f')}({', '.join(arguments)})"
        if step.result is None:
            return call
        self._names[id(step.result)] = f"v{len(self._names)}"
        return f"{self._names[id(step.result)]} = {call}"

    def _text(self, argument: Any) -> str:
        if isinstance(argument, Place):
            return self._names[id(argument)]
        if argument is None or isinstance(argument, bool | int):
            return repr(argument)
        return self._bound(argument, "k")

    def _bound(self, thing: Any, letter: str) -> str:
        if id(thing) not in self._names:
            self._kept.append(thing)
            name = self._names[id(thing)] = f"{letter}{len(self._names)}"
            self.bindings[name] = thing
        return self._names[id(thing)]

    def _ready(self, place: Place, step: Step | None) -> None:
        """See to it that a place has a name, and memory behind it, bases first."""
        chain = []
        while id(place) not in self._names:
            chain.append(place)
            if place.base is None:
                break
            place = place.base
        for one in reversed(chain):
            self._name(one, step)

    def _name(self, place: Place, step: Step | None) -> None:
        name = f"{'b' if place.planned else 'c'}{len(self._names)}"
        if place.array is not None:
            self.bindings[name] = place.array
        elif id(self._memory(place)) not in self._fresh:
            self.buffers.append((name, place, self._offsets[id(self._memory(place))] if place.nbytes else 0))
        elif place.base is not None:  # a look at a result: results are new in each run
            self._line(f"{name} = {self._bound(place.view, 'f')}({self._names[id(place.base)]})", step)
        elif id(place) in self._shared:
            owner = self._memory(place)
            self._ready(owner, step)
            name = self._names[id(owner)]
        else:
            self._line(f"{name} = empty({place.shape!r}, {self._bound(place.dtype, 'k')})", step)
        self._names[id(place)] = name

    def _line(self, text: str, step: Step | None) -> None:
        self.lines.append("    " + text)
        if step is not None:
            self.step_at[len(self.lines)] = step

    def _deaths(self, steps: Sequence[Step], outputs: Sequence[Place]) -> dict[int, list[Place]]:
        """The results of plain kernels that nothing reads after a step."""
        last: dict[int, tuple[int, Place]] = {}
        for i, step in enumerate(steps):
            if step.result is not None:
                last[id(step.result)] = (i, step.result)
            for place in step.reads:
                if not place.planned and place.array is None and id(place) not in self._feeds:
                    last[id(place)] = (i, place)
        for place in outputs:
            last.pop(id(place), None)
        deaths: dict[int, list[Place]] = {}
        for i, place in last.values():
            deaths.setdefault(i, []).append(place)
        return deaths

    def _return(self, outputs: Sequence[Place]) -> None:
        """Each output the caller's own: what was allocated for it as it is, all else looked at once more."""
        texts = []
        given: set[int] = set()
        copied = False
        for place in outputs:
            self._ready(place, None)
            owner = self._memory(place)
            whole = id(owner) in self._fresh and place.contiguous and place.nbytes == owner.nbytes
            copied |= not whole or id(owner) in given
            given.add(id(owner))
            texts.append(self._names[id(place)])
        results = "(" + "".join(f"{text}, " for text in texts) + ")"
        if copied:
            results = f"own({results}, ({''.join(f'a{i}, ' for i in range(len(self._feeds)))}))"
        self._line(f"return {results}", None)

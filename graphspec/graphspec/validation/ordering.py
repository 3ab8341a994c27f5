"""Order of nodes by what they need, and the cycles that prevent one. Iterative: chains may be very long."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

Needs = Sequence[Collection[int]]


def order(needs: Needs) -> tuple[list[int], list[list[int]]]:
    """Sort the nodes so that each comes after the nodes it needs, keeping their order where it is free.

    Args:
        needs: For each node the nodes it needs (itself possibly among them).

    Returns:
        The order, and one shortest cycle per knot of nodes that need each other, each written in the direction of the
        data: every node feeds the next, the last one the first. With cycles the order still has every node once;
        only the nodes of a knot may come before what they need.
    """
    result = _sort(needs, None)
    if len(result) == len(needs):
        return result, []
    left = set(range(len(needs))).difference(result)
    knot_of: dict[int, int] = {}
    cycles = []
    for number, knot in enumerate(_knots(needs, left)):
        knot_of.update(dict.fromkeys(knot, number))
        cycles.append(_shortest_cycle(needs, knot))
    return _sort(needs, knot_of), sorted(cycles)


def _sort(needs: Needs, knot_of: dict[int, int] | None) -> list[int]:
    """Kahn's algorithm; needs inside one knot are not counted."""
    waiting = [0] * len(needs)
    feeds: list[list[int]] = [[] for _ in needs]
    for node, wanted in enumerate(needs):
        for other in set(wanted):
            if knot_of is not None and node in knot_of and knot_of[node] == knot_of.get(other):
                continue
            feeds[other].append(node)
            waiting[node] += 1
    if all(all(other < node for other in wanted) for node, wanted in enumerate(needs)):
        return list(range(len(needs)))  # sorted already: keep the author's order
    ready = deque(node for node, count in enumerate(waiting) if count == 0)
    result = []
    while ready:
        node = ready.popleft()
        result.append(node)
        for follower in feeds[node]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                ready.append(follower)
    return result


def _knots(needs: Needs, among: set[int]) -> list[list[int]]:
    """The strongly connected components that hold a cycle (Tarjan 1972, with an explicit stack)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    knots = []
    for root in sorted(among):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_nodes.append(root)
        is_open.add(root)
        work = [(root, iter(sorted(set(needs[root]) & among)))]
        while work:
            node, wanted = work[-1]
            for other in wanted:
                if other not in index:
                    index[other] = low[other] = len(index)
                    open_nodes.append(other)
                    is_open.add(other)
                    work.append((other, iter(sorted(set(needs[other]) & among))))
                    break
                if other in is_open:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    knot = []
                    while True:
                        member = open_nodes.pop()
                        is_open.discard(member)
                        knot.append(member)
                        if member == node:
                            break
                    if len(knot) > 1 or node in needs[node]:
                        knots.append(sorted(knot))
    return knots


def _shortest_cycle(needs: Needs, knot: list[int]) -> list[int]:
    """A shortest cycle through the knot's first node, in the direction of the data."""
    start, members = knot[0], set(knot)
    if start in needs[start]:
        return [start]
    towards: dict[int, int] = {}  # node → the node it feeds, on the way to start
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for other in sorted(set(needs[node]) & members):
            if other == start:
                cycle = [start]
                while node != start:
                    cycle.append(node)
                    node = towards[node]
                return cycle
            if other not in towards:
                towards[other] = node
                queue.append(other)
    return knot

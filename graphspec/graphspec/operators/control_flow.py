"""Operators that run subgraphs: branches and loops.

A subgraph arrives as a callable ``body(*inputs) -> list of outputs``; ``body.empty(i)`` is its output ``i`` with a
leading dimension of 0, for loops that never run. Their derivatives are those of the subgraphs, which the transforms
make.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from graphspec.operators._types import Array
from graphspec.operators.registry import operator

MAX_TRIPS = 10_000_000
"""A loop that is not over after so many trips is refused; each trip costs at least a microsecond."""


class Body(Protocol):
    """A subgraph as a callable; the values that it captures are bound."""

    count: int
    """Number of outputs."""

    def __call__(self, *inputs: Any) -> list[Any]:
        """Run it."""

    def empty(self, output: int) -> Array:
        """No instances of an output: its dtype, its shape behind a dimension of 0."""


@operator("If", through_subgraphs=True)
def if_(cond: Array, *, then_branch: Body, else_branch: Body) -> tuple[Any, ...]:
    """The outputs of then_branch where cond holds, else those of else_branch."""
    return tuple(then_branch() if _truth(cond) else else_branch())


@operator("Loop", through_subgraphs=True)
def loop(M: Array | None, cond: Array | None, *v_initial: Any, body: Body) -> tuple[Any, ...]:
    """Run ``cond, *v, *scanned = body(i, cond, *v)`` for i = 0, 1, ... while i < M and cond holds.

    M left out is no limit, cond left out holds at first. The results are the last v, then each scanned output of all
    trips, stacked along a new first axis.
    """
    trips = None if M is None else int(np.reshape(M, -1)[0])
    going = cond is None or _truth(cond)
    state: list[Any] = list(v_initial)
    scans: list[list[Array]] = [[] for _ in range(body.count - 1 - len(state))]
    for i in itertools.count():
        if not going or (trips is not None and i >= trips):
            break
        if i >= MAX_TRIPS:
            raise ValueError(
                f"the loop is not over after {MAX_TRIPS} trips (graphspec.operators.control_flow.MAX_TRIPS)."
            )
        condition, *results = body(np.array(i, dtype=np.int64), np.array(going), *state)
        going = _truth(condition)
        state = results[: len(state)]
        for scan, result in zip(scans, results[len(state) :], strict=True):
            scan.append(result)
    first = 1 + len(state)
    return (*state, *(np.stack(s) if s else body.empty(first + i) for i, s in enumerate(scans)))


def _truth(cond: Array) -> bool:
    if np.size(cond) != 1:
        raise ValueError(f"a condition has one element, not the shape {list(np.shape(cond))}.")
    return bool(np.reshape(cond, -1)[0])


@operator("Scan", since=8)
def scan_8(
    sequence_lens: Array | None,
    *initial_state_and_scan_inputs: Array,
    body: Body,
    num_scan_inputs: int,
    directions: Sequence[int] | None = None,
) -> tuple[Any, ...]:
    """Scan at opset 8: a batch along the first axis of everything, each with a length of its own to scan.

    The final states come first, then the scanned outputs, zero behind the end of each sequence.
    """
    count = len(initial_state_and_scan_inputs) - num_scan_inputs
    states, sequences = initial_state_and_scan_inputs[:count], initial_state_and_scan_inputs[count:]
    batch, longest = sequences[0].shape[:2]
    lengths = [longest] * batch if sequence_lens is None else [int(n) for n in sequence_lens]
    if len(lengths) != batch or any(not 0 <= n <= longest for n in lengths):
        raise ValueError(f"sequence_lens are not {batch} lengths of at most {longest}.")
    per_batch = []
    for b, length in enumerate(lengths):
        elements = [x[b, :length] for x in sequences]
        results = _scan([x[b] for x in states], elements, body, directions, None)
        padding = longest - length
        scanned = [np.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1)) for x in results[count:]]
        per_batch.append([*results[:count], *scanned])
    if not per_batch:
        raise ValueError("the batch is empty.")
    return tuple(np.stack(results) for results in zip(*per_batch, strict=True))


@operator("Scan", since=9, through_subgraphs=True)
def scan(
    *initial_state_and_scan_inputs: Array,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> tuple[Any, ...]:
    """Run ``*state, *scanned = body(*state, *elements)`` for the elements of all scan inputs side by side.

    An input is scanned along its axis of scan_input_axes, from the back where its direction is 1. The results are the
    last states, then each scanned output of all trips, stacked along its own axis, from the back where its direction
    is 1.
    """
    count = len(initial_state_and_scan_inputs) - num_scan_inputs
    states, sequences = initial_state_and_scan_inputs[:count], initial_state_and_scan_inputs[count:]
    elements = [np.moveaxis(x, axis, 0) for x, axis in zip(sequences, _each(scan_input_axes, sequences), strict=True)]
    results = _scan(states, elements, body, scan_input_directions, scan_output_directions)
    scanned = results[count:]
    axes = _each(scan_output_axes, scanned)
    return (*results[:count], *(np.moveaxis(x, 0, axis) for x, axis in zip(scanned, axes, strict=True)))


def _scan(
    states: Iterable[Array],
    sequences: Sequence[Array],
    body: Body,
    input_directions: Sequence[int] | None,
    output_directions: Sequence[int] | None,
) -> list[Array]:
    """Scan along first axes; the final states, then the outputs stacked along first axes."""
    lengths = {len(x) for x in sequences}
    if len(lengths) != 1:
        raise ValueError(f"the scan inputs have different lengths: {sorted(lengths)}.")
    backward = _each(input_directions, sequences)
    ordered = [x[::-1] if back else x for x, back in zip(sequences, backward, strict=True)]
    state = list(states)
    scans: list[list[Array]] = [[] for _ in range(body.count - len(state))]
    for elements in zip(*ordered, strict=True):
        results = body(*state, *(np.asarray(x) for x in elements))
        state = results[: len(state)]
        for one, result in zip(scans, results[len(state) :], strict=True):
            one.append(result)
    stacked = [np.stack(s) if s else body.empty(len(state) + i) for i, s in enumerate(scans)]
    back_out = _each(output_directions, stacked)
    return [*state, *(x[::-1] if back else x for x, back in zip(stacked, back_out, strict=True))]


def _each(numbers: Sequence[int] | None, values: Sequence[Any]) -> Sequence[int]:
    """One number for each value, 0 by default."""
    if numbers is not None and len(numbers) != len(values):
        raise ValueError(f"{len(numbers)} axes or directions are given for {len(values)} values.")
    return [0] * len(values) if numbers is None else numbers

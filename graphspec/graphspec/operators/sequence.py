"""Sequences of tensors, as Python lists, and optional values, as the value or ``None``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.operators._types import Array
from graphspec.operators.registry import ZERO, operator


@operator("SequenceEmpty", since=11, rule=ZERO)
def sequence_empty(*, dtype: int | None = None) -> list[Array]:
    """A sequence of nothing."""
    return []


@operator("SequenceConstruct", since=11, through_subgraphs=True)
def sequence_construct(*inputs: Array) -> list[Array]:
    """The inputs as a sequence."""
    return list(inputs)


@operator("SequenceAt", since=11, through_subgraphs=True)
def sequence_at(input_sequence: list[Array], position: Array) -> Array:
    """One tensor of a sequence; positions count from the back when negative."""
    return input_sequence[_position(position, len(input_sequence))]


@operator("SequenceInsert", since=11, through_subgraphs=True)
def sequence_insert(input_sequence: list[Array], tensor: Array, position: Array | None = None) -> list[Array]:
    """A sequence with a tensor put in before a position, at its end by default."""
    n = len(input_sequence)
    at = n if position is None else _position(position, n, last=n)
    return [*input_sequence[:at], tensor, *input_sequence[at:]]


@operator("SequenceErase", since=11, through_subgraphs=True)
def sequence_erase(input_sequence: list[Array], position: Array | None = None) -> list[Array]:
    """A sequence without the tensor at a position, without its last one by default."""
    n = len(input_sequence)
    at = _position(np.array(-1) if position is None else position, n)
    return [*input_sequence[:at], *input_sequence[at + 1 :]]


def _position(position: Array, length: int, last: int | None = None) -> int:
    given = int(np.reshape(position, -1)[0])
    at = given + length if given < 0 else given
    if not 0 <= at <= (length - 1 if last is None else last):
        raise IndexError(f"position {given} is outside of a sequence of {length}.")
    return at


@operator("SequenceLength", since=11, rule=ZERO)
def sequence_length(input_sequence: list[Array]) -> Array:
    """The number of tensors, as an int64 scalar."""
    return np.array(len(input_sequence), dtype=np.int64)


@operator("SequenceMap", since=17, through_subgraphs=True)
def sequence_map(
    input_sequence: list[Array], *additional_inputs: Any, body: Callable[..., list[Any]], outputs: int
) -> tuple[list[Any], ...]:
    """The body's outputs for each tensor, as sequences; further sequences are walked along, further tensors kept."""
    for other in additional_inputs:
        if isinstance(other, list) and len(other) != len(input_sequence):
            raise ValueError(f"sequences of {len(input_sequence)} and {len(other)} tensors are not walked together.")
    results = [
        body(x, *(other[i] if isinstance(other, list) else other for other in additional_inputs))
        for i, x in enumerate(input_sequence)
    ]
    return tuple([result[k] for result in results] for k in range(outputs))


@operator("SplitToSequence", since=11, through_subgraphs=True)
def split_to_sequence(input: Array, split: Array | None = None, *, axis: int = 0, keepdims: int = 1) -> list[Array]:
    """Stretches of input along an axis as a sequence.

    A vector ``split`` gives their lengths; a scalar the length of each, with a shorter one at the end. Left out, they
    have length 1, and without keepdims no such axis.
    """
    total = input.shape[axis]
    if split is None:
        parts = [np.take(input, [i], axis=axis) for i in range(total)]
        return parts if keepdims else [np.squeeze(part, axis) for part in parts]
    if split.ndim == 0:
        each = int(split)
        if each < 1:
            raise ValueError(f"split is {each}.")
        ends = list(range(each, total, each))
    else:
        lengths = [int(n) for n in split]
        if sum(lengths) != total or any(n < 0 for n in lengths):
            raise ValueError(f"a dimension of {total} does not split into lengths {lengths}.")
        ends = [int(n) for n in np.cumsum(lengths)[:-1]]
    return list(np.split(input, ends, axis=axis))


@operator("ConcatFromSequence", since=11, through_subgraphs=True)
def concat_from_sequence(input_sequence: list[Array], *, axis: int, new_axis: int = 0) -> Array:
    """The tensors of a sequence side by side along an axis, a new one if new_axis."""
    if not input_sequence:
        raise ValueError("an empty sequence cannot be joined: the shape is not known.")
    return np.stack(input_sequence, axis) if new_axis else np.concatenate(input_sequence, axis)


@operator("Optional", since=15, through_subgraphs=True)
def optional(input: Any = None, *, type: Any = None) -> Any:
    """An optional value that holds the input, or nothing."""
    return input


@operator("OptionalHasElement", since=15, rule=ZERO)
def optional_has_element(input: Any = None) -> Array:
    """Whether there is a value."""
    return np.array(input is not None)


@operator("OptionalGetElement", since=15, through_subgraphs=True)
def optional_get_element(input: Any) -> Any:
    """The value that an optional holds."""
    if input is None:
        raise ValueError("the optional value is empty.")
    return input

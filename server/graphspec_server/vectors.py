"""Graphs as functions of vectors of numbers: every input and every output is laid out flat, row-major."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphspec import FeedError, UnsupportedError, ValueInfo, dtypes
from graphspec_server.codec import decode_tensor
from graphspec_server.errors import RequestError
from graphspec_server.records import Record

Shape = tuple[int, ...]

_UNKNOWN = ValueInfo(None, None, "intermediate")


@dataclasses.dataclass(frozen=True, slots=True)
class Flat:
    """A graph's inputs and outputs, and the sizes of its named dimensions as far as they are known.

    Attributes:
        inputs: What is known of each input, in order.
        outputs: What is known of each output, in order.
        sizes: Sizes of named dimensions.
    """

    inputs: Mapping[str, ValueInfo]
    outputs: Mapping[str, ValueInfo]
    sizes: Mapping[str, int]

    def shape(self, info: ValueInfo) -> Shape | None:
        """A shape, or ``None`` while a size of it is open."""
        if info.shape is None:
            return None
        found = [self.sizes.get(d) if isinstance(d, str) else d for d in info.shape]
        known = tuple(d for d in found if d is not None)
        return known if len(known) == len(found) else None

    def lengths(self, values: Mapping[str, ValueInfo]) -> list[int]:
        """How many numbers each value has.

        Raises:
            FeedError: That depends on sizes that nobody said.
        """
        found = []
        for name, info in values.items():
            shape = self.shape(info)
            if shape is None:
                raise FeedError(
                    f"The size of {name!r} is open.", code="open-size", found=str(list(info.shape or ("?",))),
                    hint="Give the dimensions in 'config': {\"n\": 4}.",
                )  # fmt: skip
            found.append(math.prod(shape))
        return found


def flat_of(record: Record, config: Any) -> Flat:
    """A graph as a function of vectors.

    Args:
        record: What is known of the graph.
        config: Sizes of named dimensions, among what else a client may say there.

    Raises:
        UnsupportedError: An input or output is not made of numbers.
        RequestError: A size is none.
    """
    inputs, outputs = record.inputs, {name: record.values.get(name, _UNKNOWN) for name in record.outputs}
    for name, info in [*inputs.items(), *outputs.items()]:
        if info.dtype not in dtypes.BY_NAME or dtypes.BY_NAME[info.dtype].datatype in (None, "BYTES"):
            raise UnsupportedError(f"{name!r} is not made of real numbers.", code="not-numbers", found=info.dtype)
    named = {d for info in record.values.values() for d in info.shape or () if isinstance(d, str)}
    given = config if isinstance(config, dict) else {}
    sizes = {name: size for name, size in given.items() if name in named}
    for name, size in sizes.items():
        if type(size) is not int or not 0 <= size < 2**63:
            raise RequestError(f"The size of {name!r} is a whole number from 0 on.", path="/config", found=str(size))
    return Flat(inputs, outputs, sizes)


def read_inputs(flat: Flat, vectors: Sequence[list[Any]]) -> tuple[Flat, dict[str, np.ndarray]]:
    """Vectors as inputs of the graph; the length of a vector fixes a dimension that is still open.

    Raises:
        FeedError: There are more or fewer vectors than inputs, or one is of another length or not of numbers.
    """
    if len(vectors) != len(flat.inputs):
        reason = "The number of vectors is not that of the inputs."
        raise FeedError(reason, code="input-count", expected=str(len(flat.inputs)), found=str(len(vectors)))
    arrays = {}
    for place, ((name, info), vector) in enumerate(zip(flat.inputs.items(), vectors, strict=True)):
        flat, shape = _closed(flat, info, len(vector), f"/input/{place}")
        arrays[name] = read_vector(vector, info, shape, f"/input/{place}")
    return flat, arrays


def read_vector(vector: list[Any], info: ValueInfo, shape: Shape, path: str) -> np.ndarray:
    """A vector as an array.

    Raises:
        FeedError: It is of another length, or holds what the type cannot.
    """
    dtype = dtypes.BY_NAME[info.dtype or ""]
    if math.prod(shape) != len(vector):
        reason = "The vector is of another length."
        raise FeedError(reason, code="length", path=path, expected=str(math.prod(shape)), found=str(len(vector)))
    # All numbers of this protocol are floating point, those of integers and booleans too.
    if dtype.name == "bool":
        vector = [bool(v) if type(v) in (int, float) and v in (0, 1) else v for v in vector]
    elif not dtype.is_float:
        vector = [int(v) if type(v) is float and v.is_integer() else v for v in vector]
    try:
        return decode_tensor({"dtype": dtype.name, "shape": list(shape), "data": vector})
    except FeedError as error:
        raise FeedError(problems=[dataclasses.replace(p, path=path) for p in error.problems]) from None


def _closed(flat: Flat, info: ValueInfo, length: int, path: str) -> tuple[Flat, Shape]:
    """The shape of an input of so many numbers; one open dimension follows from them."""
    dimensions = (None,) if info.shape is None else info.shape
    known = [flat.sizes.get(d) if isinstance(d, str) else d for d in dimensions]
    open_places = [place for place, size in enumerate(known) if size is None]
    rest = math.prod(size for size in known if size is not None)
    if len(open_places) == 1 and rest and length % rest == 0:
        known[open_places[0]] = length // rest
        name = dimensions[open_places[0]]
        if isinstance(name, str):
            flat = dataclasses.replace(flat, sizes={**flat.sizes, name: length // rest})
    elif open_places:
        raise FeedError(
            "The vector's length does not tell the shape.", code="open-size", path=path, expected=str(list(dimensions)),
            found=f"{length} numbers", hint="Give the dimensions in 'config': {\"n\": 4}.",
        )  # fmt: skip
    return flat, tuple(size for size in known if size is not None)

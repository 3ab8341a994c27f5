"""Rules on shapes: those of ONNX that its own inference leaves unchecked, and sizes that partly known data gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graphspec.validation.constants import Array
from graphspec.validation.report import Shape

Size = int | str | None


class Mismatch(NamedTuple):
    """Inputs whose shapes do not fit: the places concerned, the rule."""

    places: tuple[int, ...]
    rule: str


class Given(NamedTuple):
    """Shapes of the inputs (``None``: not given or unknown), their data, the attributes, the operator's version."""

    shapes: Sequence[Shape | None]
    data: Sequence[Array | None]
    attributes: Mapping[str, Any]
    since: int

    def shape(self, place: int) -> Shape | None:
        """The shape of an input, if it is there."""
        return self.shapes[place] if place < len(self.shapes) else None


def differ(a: Size, b: Size) -> bool:
    """Whether two sizes are both known and unequal."""
    return isinstance(a, int) and isinstance(b, int) and a != b


def broadcasts_to(shape: Shape, target: Shape) -> bool:
    """Whether a shape may broadcast to another one, unknown sizes granted."""
    if len(shape) > len(target):
        return False
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return all(size == 1 or not differ(size, goal) for size, goal in pairs)


def _convolution(given: Given) -> Mismatch | None:
    x, w, b = given.shape(0), given.shape(1), given.shape(2)
    group = given.attributes.get("group", 1)
    if w is None or len(w) < 2:
        return None
    if x is not None and len(x) != len(w):
        return Mismatch((0, 1), "X and W of the same rank")
    if x is not None and isinstance(w[1], int) and differ(x[1], w[1] * group):
        return Mismatch((0, 1), f"X with {w[1] * group} channels, as W and group = {group} say")
    if isinstance(w[0], int) and group and w[0] % group:
        return Mismatch((1,), f"a number of filters that group = {group} divides")
    if b is not None and (len(b) != 1 or differ(b[0], w[0])):
        return Mismatch((1, 2), f"B of shape [{w[0]}], one number a filter of W")
    return None


def _transposed_convolution(given: Given) -> Mismatch | None:
    x, w, b = given.shape(0), given.shape(1), given.shape(2)
    if x is None or w is None or len(x) < 2 or len(w) < 2:
        return None
    if len(x) != len(w):
        return Mismatch((0, 1), "X and W of the same rank")
    if differ(x[1], w[0]):
        return Mismatch((0, 1), f"X with {w[0]} channels, the first size of W")
    group = given.attributes.get("group", 1)
    if b is not None and (len(b) != 1 or (isinstance(w[1], int) and differ(b[0], w[1] * group))):
        return Mismatch((1, 2), "B with one number a channel of the output")
    return None


def _gemm(given: Given) -> Mismatch | None:
    a, b, c = given.shape(0), given.shape(1), given.shape(2)
    if a is None or b is None or c is None or len(a) != 2 or len(b) != 2:
        return None
    rows = a[1] if given.attributes.get("transA", 0) else a[0]
    columns = b[0] if given.attributes.get("transB", 0) else b[1]
    if broadcasts_to(c, (rows, columns)):
        return None
    return Mismatch((0, 1, 2), f"C that broadcasts to [{rows}, {columns}]".replace("None", "?"))


def _channels(*places: int) -> Callable[[Given], Mismatch | None]:
    def rule(given: Given) -> Mismatch | None:
        x = given.shape(0)
        if x is None or len(x) < 2:
            return None
        for place in places:
            shape = given.shape(place)
            if shape is not None and (len(shape) != 1 or differ(shape[0], x[1])):
                return Mismatch((0, place), f"one number a channel: shape [{x[1]}]")
        return None

    return rule


def _prelu(given: Given) -> Mismatch | None:
    x, slope = given.shape(0), given.shape(1)
    if given.since < 7:  # one number a channel, wherever that axis is
        return None
    if x is not None and slope is not None and not broadcasts_to(slope, x):
        return Mismatch((0, 1), "a slope that broadcasts to X")
    return None


def _layer_normalization(given: Given) -> Mismatch | None:
    x = given.shape(0)
    if x is None:
        return None
    axis = given.attributes.get("axis", -1)
    for place in range(1, len(given.shapes)):
        shape = given.shape(place)
        if shape is not None and not broadcasts_to(shape, x[axis:]):
            return Mismatch((0, place), f"a shape that broadcasts to {list(x[axis:])}, the normalised axes of X")
    return None


def _labels(given: Given) -> Mismatch | None:
    scores, labels = given.shape(0), given.shape(1)
    if scores is None or labels is None or len(scores) < 2:
        return None
    goal = scores[:1] + scores[2:]
    if len(goal) != len(labels) or any(differ(a, b) for a, b in zip(goal, labels, strict=True)):
        return Mismatch((0, 1), f"labels of shape {list(goal)}, the scores' without their classes".replace("None", "?"))
    return None


def _same_rank(given: Given) -> Mismatch | None:
    one, two = given.shape(0), given.shape(1)
    if one is not None and two is not None and len(one) != len(two):
        return Mismatch((0, 1), "two tensors of the same rank")
    return None


def _scalars(*places: int) -> Callable[[Given], Mismatch | None]:
    def rule(given: Given) -> Mismatch | None:
        for place in places:
            shape = given.shape(place)
            if shape is not None and not (shape == () or shape == (1,) or (len(shape) == 1 and shape[0] in (None, 1))):
                return Mismatch((place,), "a scalar")
        return None

    return rule


def _einsum(given: Given) -> Mismatch | None:
    equation = given.attributes.get("equation", b"")
    text = equation.decode() if isinstance(equation, bytes) else str(equation)
    terms = text.replace(" ", "").split("->")[0].split(",")
    if "..." in text or len(terms) != len(given.shapes):
        return None
    seen: dict[str, tuple[Size, int]] = {}
    for place, (term, shape) in enumerate(zip(terms, given.shapes, strict=True)):
        if shape is None:
            continue
        if len(term) != len(shape):
            return Mismatch((place,), f"a tensor of rank {len(term)} for {term!r}")
        for letter, size in zip(term, shape, strict=True):
            known, first = seen.setdefault(letter, (size, place))
            if differ(known, size):
                return Mismatch((first, place), f"one size for the index {letter!r} of {text!r}")
            if known is None:
                seen[letter] = (size, place)
    return None


def _reshape(given: Given) -> Mismatch | None:
    x = given.shape(0)
    target = given.data[1] if len(given.data) > 1 else None
    if x is None or target is None or target.dtype == object or not all(isinstance(size, int) for size in x):
        return None
    total = math.prod(size for size in x if isinstance(size, int))
    sizes = [int(size) for size in target.reshape(-1)]
    if not given.attributes.get("allowzero", 0):
        if any(size == 0 and place >= len(x) for place, size in enumerate(sizes)):
            return Mismatch((0, 1), "0 (keep this size) only where the input has a dimension")
        sizes = [int(x[place] or 0) if size == 0 else size for place, size in enumerate(sizes)]
    fixed = math.prod(size for size in sizes if size >= 0)
    fits = fixed == total if -1 not in sizes else (total % fixed == 0 if fixed else total == 0)
    return None if fits else Mismatch((0, 1), f"{total} elements before and after; the new shape is {sizes}")


def _recurrent(given: Given) -> Mismatch | None:
    x, w, r = given.shape(0), given.shape(1), given.shape(2)
    if x is not None and w is not None and len(x) == 3 and len(w) == 3 and differ(x[2], w[2]):
        return Mismatch((0, 1), f"W for inputs of size {x[2]}")
    hidden = given.attributes.get("hidden_size")
    if r is not None and len(r) == 3 and differ(r[2], hidden):
        return Mismatch((2,), f"R for hidden_size = {hidden}")
    return None


CHECKS: Mapping[str, Callable[[Given], Mismatch | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    "InstanceNormalization": _channels(1, 2),
    "PRelu": _prelu,
    "LayerNormalization": _layer_normalization,
    "SoftmaxCrossEntropyLoss": _labels,
    "NegativeLogLikelihoodLoss": _labels,
    "GatherElements": _same_rank,
    "Clip": _scalars(1, 2),
    "Einsum": _einsum,
    "Reshape": _reshape,
    "RNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
}


def _reshaped(given: Given) -> Shape | None:
    x, target = given.shape(0), given.data[1] if len(given.data) > 1 else None
    if target is None or target.ndim != 1:
        return None
    sizes: list[Size] = []
    for place, entry in enumerate(target.tolist()):
        if entry == 0 and not given.attributes.get("allowzero", 0):
            sizes.append(x[place] if x is not None and place < len(x) else None)
        else:
            sizes.append(entry)
    if -1 in sizes:
        place = sizes.index(-1)
        sizes[place] = _quotient(x, sizes[:place] + sizes[place + 1 :])
    return tuple(sizes)


def _quotient(whole: Shape | None, parts: Sequence[Size]) -> Size:
    """The size that makes up for the rest: a number, a symbol that is left over, or unknown."""
    if whole is None or None in whole or None in parts:
        return None
    above = Counter(size for size in whole if isinstance(size, str))
    below = Counter(size for size in parts if isinstance(size, str))
    left = list((above - below).elements())
    number, divisor = (math.prod(s for s in sizes if isinstance(s, int)) for sizes in (whole, parts))
    if below - above or len(left) > 1 or not divisor or number % divisor:
        return None
    if left:
        return left[0] if number == divisor else None
    return number // divisor


def _of_data(given: Given) -> Shape | None:
    target = given.data[0] if given.data else None
    return None if target is None or target.ndim != 1 else tuple(target.tolist())


def _expanded(given: Given) -> Shape | None:
    x, target = given.shape(0), given.data[1] if len(given.data) > 1 else None
    if x is None or target is None or target.ndim != 1:
        return None
    return broadcast(x, tuple(target.tolist()))


def broadcast(one: Shape, two: Shape) -> Shape:
    """The broadcast shape of two shapes that fit, as far as it is known."""
    rank = max(len(one), len(two))
    one, two = (1,) * (rank - len(one)) + tuple(one), (1,) * (rank - len(two)) + tuple(two)
    return tuple(_broadcast_size(a, b) for a, b in zip(one, two, strict=True))


def _broadcast_size(a: Size, b: Size) -> Size:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    return a if isinstance(a, int) else b if isinstance(b, int) else None


REFINEMENTS: Mapping[str, Callable[[Given], Shape | None]] = {
    "Reshape": _reshaped,
    "ConstantOfShape": _of_data,
    "Expand": _expanded,
}

"""Categories, labels and maps of ai.onnx.ml: to numbers, from numbers, and between keys and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphspec.operators._scores import labels_of
from graphspec.operators._sizes import reasonable
from graphspec.operators.casting import converted
from graphspec.operators.registry import ZERO, Array, operator

_ML = "ai.onnx.ml"


def _exchanged(X: Array, keys: Array, values: Array, default: Any) -> Array:
    """Each element's value: that of the first key that equals it, NaN equal to NaN; else the default."""
    if len(keys) != len(values):
        raise ValueError(f"There are {len(keys)} keys and {len(values)} values.")
    flat = X.reshape(-1)
    filled = np.append(values, np.asarray([default], dtype=values.dtype))
    if X.dtype == object:
        place = {str(key): i for i, key in reversed(list(enumerate(keys.tolist())))}
        index = np.array([place.get(str(x), -1) for x in flat.tolist()], dtype=np.int64)
    else:
        # Sorted with the first of equal keys first; NaN is behind all numbers, where searchsorted looks for it too.
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        at = np.minimum(np.searchsorted(ordered, flat), max(0, len(keys) - 1))
        index = np.full(flat.shape, -1, dtype=np.int64)
        if len(keys):
            same = (ordered[at] == flat) | ((ordered[at] != ordered[at]) & (flat != flat))
            index[same] = order[at[same]]
    return np.asarray(filled[index]).reshape(X.shape)


def _strings(values: Sequence[str]) -> Array:
    return np.array(list(values), dtype=object)


@operator("CategoryMapper", since=1, domain=_ML, rule=ZERO)
def category_mapper(
    X: Array, *, cats_int64s: list[int] | None = None, cats_strings: list[str] | None = None, default_int64: int = -1,
    default_string: str = "_Unused",
) -> Array:  # fmt: skip
    """Y = the integer of each string, or the string of each integer."""
    strings, integers = _strings(cats_strings or []), np.array(cats_int64s or [], dtype=np.int64)
    if X.dtype == object:
        return _exchanged(X, strings, integers, default_int64)
    return _exchanged(X, integers, strings, default_string)


@operator("LabelEncoder", since=1, domain=_ML, rule=ZERO)
def label_encoder_1(
    X: Array, *, classes_strings: list[str] | None = None, default_int64: int = -1, default_string: str = "_Unused"
) -> Array:
    """Y = the place of each string in the list, or the string at each place."""
    strings = _strings(classes_strings or [])
    places = np.arange(len(strings))
    if X.dtype == object:
        return _exchanged(X, strings, places, default_int64)
    return _exchanged(X, places, strings, default_string)


@operator("LabelEncoder", since=2, domain=_ML, rule=ZERO)
def label_encoder(
    X: Array, *, default_float: float = -0.0, default_int64: int = -1, default_string: str = "_Unused",
    default_tensor: Array | None = None, keys_floats: list[float] | None = None, keys_int64s: list[int] | None = None,
    keys_strings: list[str] | None = None, keys_tensor: Array | None = None, values_floats: list[float] | None = None,
    values_int64s: list[int] | None = None, values_strings: list[str] | None = None,
    values_tensor: Array | None = None,
) -> Array:  # fmt: skip
    """Y = the value of each key, or the default for what is no key.

    Source: ONNX LabelEncoder-4.
    """
    keys = _given("keys", keys_strings, keys_int64s, keys_floats, keys_tensor)
    values = _given("values", values_strings, values_int64s, values_floats, values_tensor)
    if (keys.dtype == object) != (X.dtype == object):
        raise ValueError(f"The keys are {keys.dtype}, X is {X.dtype}.")
    default: Any
    if default_tensor is not None and default_tensor.size:
        default = _given("defaults", None, None, None, default_tensor)[0]
    elif values.dtype == object:
        default = default_string
    else:
        default = default_float if values.dtype.kind == "f" else default_int64
    return _exchanged(X, keys, values, default)


def _given(
    what: str, strings: list[str] | None, integers: list[int] | None, floats: list[float] | None, tensor: Array | None
) -> Array:
    """The one list of the four that there is."""
    lists = [
        *([] if strings is None else [_strings(strings)]),
        *([] if integers is None else [np.array(integers, dtype=np.int64)]),
        *([] if floats is None else [np.array(floats, dtype=np.float32)]),
        *([] if tensor is None else [tensor.reshape(-1)]),
    ]
    if len(lists) != 1:
        raise ValueError(f"One list of {what} is needed, of one type; there are {len(lists)}.")
    found = lists[0]
    if found.dtype.kind not in "OUST":
        return found
    return _strings([x.decode() if isinstance(x, bytes) else str(x) for x in found.tolist()])


@operator("OneHotEncoder", since=1, domain=_ML, rule=ZERO)
def one_hot_encoder(
    X: Array, *, cats_int64s: list[int] | None = None, cats_strings: list[str] | None = None, zeros: int = 1
) -> Array:
    """Y[..., c] = 1 where X is category c, else 0; numbers are cut to integers first.

    Shapes: X any, Y X's with one more axis, of the number of categories.  Dtype: float32.
    """
    if X.dtype == object:
        keys = _strings(cats_strings or [])
    else:
        keys = np.array(cats_int64s or [], dtype=np.int64)
        with np.errstate(invalid="ignore"):  # NaN and what is beyond int64 is no category
            X = X.astype(np.int64)
    if not keys.size:
        raise ValueError(f"There are no categories for X of dtype {X.dtype}.")
    place = _exchanged(X, keys, np.arange(keys.size), -1)
    if not zeros and (place < 0).any():
        stranger = X.reshape(-1)[int(np.flatnonzero(place.reshape(-1) < 0)[0])]
        raise ValueError(f"{stranger!r} is no category, and `zeros` is 0.")
    reasonable((*X.shape, keys.size), 4)
    Y = np.zeros((place.size, keys.size), dtype=np.float32)
    known = np.flatnonzero(place.reshape(-1) >= 0)
    Y[known, place.reshape(-1)[known]] = 1
    return Y.reshape(*X.shape, keys.size)


# --- maps: Python's dicts --------------------------------------------------------------------------------------------


def _mapping(X: Any) -> Mapping[Any, Any]:
    if not isinstance(X, Mapping):
        raise ValueError(f"X is a map (a dict), not a {type(X).__name__}.")
    return X


@operator("DictVectorizer", since=1, domain=_ML, rule=ZERO)
def dict_vectorizer(
    X: Mapping[Any, Any], *, int64_vocabulary: list[int] | None = None, string_vocabulary: list[str] | None = None
) -> Array:
    """Y[0, i] = the value of the vocabulary's key i, or 0 (or "") where X does not have it.

    Shapes: X a dict, Y (1, keys), as in ONNX Runtime.  Dtype: that of the values; Python's floats are float32.
    """
    given = _mapping(X)
    words: Sequence[Any] = string_vocabulary or int64_vocabulary or ()
    if not words or (string_vocabulary and int64_vocabulary):
        raise ValueError("DictVectorizer needs one vocabulary, of strings or of integers.")
    values = list(given.values()) or [0.0]
    texts = [isinstance(value, str) for value in values]
    if any(texts):
        if not all(texts):
            raise ValueError("The values of the map are strings and numbers.")
        return np.array([[given.get(word, "") for word in words]], dtype=object)
    dtype = np.float32 if any(type(value) is float for value in values) else np.asarray(values).dtype
    return np.array([[given.get(word, 0) for word in words]], dtype=dtype)


@operator("CastMap", since=1, domain=_ML, rule=ZERO)
def cast_map(X: Mapping[int, Any], *, cast_to: str = "TO_FLOAT", map_form: str = "DENSE", max_map: int = 1) -> Array:
    """Y = the values in the order of their keys (DENSE), or each at the place of its key among ``max_map`` (SPARSE).

    Shapes: X a dict, Y (1, values).
    """
    targets = {"TO_FLOAT": np.float32, "TO_INT64": np.int64, "TO_STRING": object}
    if cast_to not in targets:
        raise ValueError(f"cast_to is one of {', '.join(targets)}, not {cast_to!r}.")
    if map_form not in ("DENSE", "SPARSE"):
        raise ValueError(f"map_form is DENSE or SPARSE, not {map_form!r}.")
    given = _mapping(X)
    keys = sorted(given)
    values = [given[key] for key in keys]
    raw = np.array(values, dtype=object if values and isinstance(values[0], str) else np.float32)
    cast = converted(raw, np.dtype(targets[cast_to]))
    if map_form == "DENSE":
        return cast.reshape(1, -1)
    outside = next((key for key in keys if not 0 <= key < max_map), None)
    if outside is not None:
        raise ValueError(f"Key {outside} of the map lies outside of the {max_map} places that max_map gives.")
    Y = np.full(reasonable((1, max_map), 8), "" if cast.dtype == object else 0, dtype=cast.dtype)
    Y[0, keys] = cast
    return Y


@operator("ZipMap", since=1, domain=_ML, rule=ZERO)
def zip_map(
    X: Array, *, classlabels_int64s: list[int] | None = None, classlabels_strings: list[str] | None = None
) -> list[dict[Any, float]]:
    """Z = a list with a dict for each row: from each column's label to its value.

    Shapes: X (C) or (N, C); Z a list of N dicts of C entries.
    """
    if X.ndim not in (1, 2):
        raise ValueError(f"X has shape (C) or (N, C), not {list(X.shape)}.")
    keys = labels_of(classlabels_strings, classlabels_int64s).tolist()
    rows = np.atleast_2d(X)
    if rows.shape[1] != len(keys):
        raise ValueError(f"X has {rows.shape[1]} columns for {len(keys)} class labels.")
    return [dict(zip(keys, row, strict=True)) for row in rows.tolist()]

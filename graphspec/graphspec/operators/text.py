"""Strings: joined, split, normalised, matched, and counted as n-grams."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.operators.registry import ZERO, Array, operator


@operator("StringConcat", since=20, rule=ZERO)
def string_concat(X: Array, Y: Array) -> Array:
    """Z = X followed by Y, element by element, with broadcasting."""
    return np.asarray(np.add(X.astype(object), Y.astype(object)), dtype=object)


@operator("StringSplit", since=20, rule=ZERO)
def string_split(X: Array, *, delimiter: str | None = None, maxsplit: int | None = None) -> tuple[Array, Array]:
    """Y = the parts of each string, filled with "" to the largest number of parts; Z = how many there are.

    Without a delimiter (or an empty one) runs of white space separate.
    """
    parts = [str(s).split(delimiter or None, -1 if maxsplit is None else maxsplit) for s in X.reshape(-1)]
    width = max((len(p) for p in parts), default=0)
    Y = np.full((len(parts), width), "", dtype=object)
    for row, found in zip(Y, parts, strict=True):
        row[: len(found)] = found
    counts = np.array([len(p) for p in parts], dtype=np.int64)
    return Y.reshape(*X.shape, width), counts.reshape(X.shape)


@operator("StringNormalizer", since=10, rule=ZERO)
def string_normalizer(
    X: Array, *, case_change_action: str = "NONE", is_case_sensitive: int = 0, locale: str | None = None,
    stopwords: list[str] | None = None,
) -> Array:  # fmt: skip
    """Stop words removed, then the case changed; an empty result is one empty string.

    Shapes: X (C) or (1, C).  Source: ONNX StringNormalizer.
    """
    if X.ndim not in (1, 2) or (X.ndim == 2 and X.shape[0] != 1):
        raise ValueError(f"X must have shape (C) or (1, C), not {list(X.shape)}")
    changes: dict[str, Callable[[str], str]] = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}
    if case_change_action not in changes:
        raise ValueError(f"case_change_action is NONE, LOWER or UPPER, not {case_change_action!r}")
    del locale  # Python's case mappings are Unicode's, the same in every locale
    words = [str(s) for s in X.reshape(-1)]
    if is_case_sensitive:
        stops = set(stopwords or [])
        kept = [s for s in words if s not in stops]
    else:
        stops = {s.lower() for s in stopwords or []}
        kept = [s for s in words if s.lower() not in stops]
    change = changes[case_change_action]
    result = np.array([change(s) for s in kept] or [""], dtype=np.object_)
    return result.reshape(1, -1) if X.ndim == 2 else result


@operator("RegexFullMatch", since=20, rule=ZERO)
def regex_full_match(X: Array, *, pattern: str | None = None) -> Array:
    """Whether the whole of each string matches the pattern.

    ONNX asks for RE2's syntax, which matches in linear time; it comes from the package ``google-re2``.
    """
    compiled = _linear_time_pattern(pattern or "")
    return np.array([compiled.fullmatch(str(s)) is not None for s in X.reshape(-1)], dtype=np.bool_).reshape(X.shape)


def _linear_time_pattern(pattern: str) -> Any:
    try:
        import re2  # optional: the package google-re2

        return re2.compile(pattern)
    except ImportError:
        return re.compile(pattern)


@operator("TfIdfVectorizer", since=9, rule=ZERO)
def tf_idf_vectorizer(
    X: Array, *, max_gram_length: int, max_skip_count: int, min_gram_length: int, mode: str, ngram_counts: list[int],
    ngram_indexes: list[int], pool_int64s: list[int] | None = None, pool_strings: list[str] | None = None,
    weights: list[float] | None = None,
) -> Array:  # fmt: skip
    """Counts (TF), presence (IDF) or both (TFIDF) of the pool's n-grams, with up to ``max_skip_count`` words between.

    Shapes: X (C) or (N, C); Y (L) or (N, L), L one more than the largest of ``ngram_indexes``.
    Source: ONNX TfIdfVectorizer.
    """
    if mode not in ("TF", "IDF", "TFIDF"):
        raise ValueError(f"mode is TF, IDF or TFIDF, not {mode!r}")
    pool: list[Any] = list(pool_int64s or pool_strings or [])
    grams = _grams(pool, ngram_counts, ngram_indexes)
    columns = max(ngram_indexes, default=-1) + 1
    scale = np.ones(columns, np.float32)
    if weights is not None:
        for i, column in enumerate(ngram_indexes):
            scale[column] = weights[i]
    rows = X.reshape(1, -1) if X.ndim <= 1 else X
    counts = np.zeros((rows.shape[0], columns), np.float32)
    for row, words in zip(counts, rows.tolist(), strict=True):
        for column in _found(words, grams, min_gram_length, max_gram_length, max_skip_count):
            row[column] += 1
    if mode == "IDF":
        Y = np.where(counts > 0, scale, 0).astype(np.float32)
    else:
        Y = counts * (scale if mode == "TFIDF" else np.float32(1))
    return Y[0] if X.ndim <= 1 else Y


def _grams(pool: list[Any], starts: list[int], columns: list[int]) -> dict[tuple[Any, ...], int]:
    """Each n-gram of the pool with its output column; ``starts`` says where the n-grams of each length begin."""
    grams: dict[tuple[Any, ...], int] = {}
    ends = [*starts[1:], len(pool)]
    for length, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        for at in range(start, end - length + 1, length):
            grams[tuple(pool[at : at + length])] = columns[len(grams)]
    return grams


def _found(words: list[Any], grams: dict[tuple[Any, ...], int], shortest: int, longest: int, skips: int) -> list[int]:
    """The columns of all n-grams in ``words``; single words are not counted again for each skip."""
    found = []
    for skip in range(skips + 1):
        step = skip + 1
        for length in range(shortest, longest + 1):
            if length == 1 and skip > 0:
                continue
            for start in range(len(words) - (length - 1) * step):
                column = grams.get(tuple(words[start : start + (length - 1) * step + 1 : step]))
                if column is not None:
                    found.append(column)
    return found

"""Samples of the string operators; nothing to differentiate."""

import numpy as np

from samples.sample import Sample


def words(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


COUNTS = {"min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 1, "mode": "TF",
          "ngram_counts": [0, 2], "ngram_indexes": [0, 1, 2, 3], "pool_int64s": [2, 3, 5, 4, 7, 8]}  # fmt: skip

SAMPLES = [
    Sample("StringConcat", (words("a", "bc", ""), words("x")), of=(), opset=20),
    Sample("StringSplit", (words("a b  c", "", "d e"),), outputs=2, of=(), opset=20),
    Sample(
        "StringSplit", (words("a,b,c", "d"),), {"delimiter": ",", "maxsplit": 1}, id="comma", outputs=2, of=(), opset=20
    ),
    Sample(
        "StringNormalizer",
        (words("Monday", "is", "Done"),),
        {"case_change_action": "UPPER", "stopwords": ["is"], "is_case_sensitive": 1},
        of=(),
        opset=10,
    ),
    Sample(
        "StringNormalizer", (words("is"),), {"stopwords": ["is"], "is_case_sensitive": 1}, id="empty", of=(), opset=10
    ),
    Sample("RegexFullMatch", (words("www.google.com", "abc"),), {"pattern": r"www\.[\w.-]+\.\bcom\b"}, of=(), opset=20),
    Sample("TfIdfVectorizer", (np.array([[2, 3, 5, 4], [7, 8, 2, 2]]),), COUNTS, of=(), opset=9),
    Sample(
        "TfIdfVectorizer",
        (np.array([2, 3, 5, 4, 7]),),
        {**COUNTS, "mode": "TFIDF", "weights": [1.0, 2.0, 3.0, 0.5]},
        id="weights",
        of=(),
        opset=9,
    ),
]

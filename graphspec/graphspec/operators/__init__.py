"""The operators, one file a family; importing this package fills the registry."""

from __future__ import annotations

import importlib

# One line a family, in the order of the folder's listing.
_FAMILIES = (
    "arithmetic", "elementwise", "logical", "casting", "activation", "dropout", "linear_algebra",
    "shape", "joining", "padding", "resize", "indexing", "selection", "generators",
    "control_flow", "sequence", "training",
    "convolution", "pooling", "recurrent", "quantization", "signal", "text",
    "sampling", "affine_grid", "vision", "image", "attention",
    "reduction", "cumulative", "einsum", "softmax", "loss",
    "normalization", "group_normalization", "local_normalization",
    "ml_features", "ml_encoding", "ml_linear", "ml_svm", "ml_tree",
)  # fmt: skip

for _family in _FAMILIES:
    importlib.import_module(f"graphspec.operators.{_family}")

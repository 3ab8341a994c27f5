"""GraphSpec: any ONNX graph, its values and its exact derivatives.

``load`` a model, ``validate`` it, run it in a ``Session``, and derive models from it with ``grad`` and ``vjp``; a
derivative is again a standard ONNX model.
"""

from graphspec import dtypes
from graphspec.derivatives import grad, vjp
from graphspec.errors import (
    DifferentiationError,
    ExecutionError,
    FeedError,
    GraphSpecError,
    LimitError,
    LoadError,
    NoGradientRule,
    NotDifferentiable,
    Problem,
    UnsupportedError,
    ValidationError,
)
from graphspec.interchange import (
    digest,
    dumps,
    from_document,
    json_schema,
    load,
    load_graph,
    load_graph_proto,
    load_proto,
    save,
    to_document,
)
from graphspec.operators.catalog import catalog as operators  # the function; the package is reached by its path
from graphspec.runtime import Session
from graphspec.training import Training
from graphspec.validation import Report, ValueInfo, check_feeds, validate

__all__ = [
    "DifferentiationError",
    "ExecutionError",
    "FeedError",
    "GraphSpecError",
    "LimitError",
    "LoadError",
    "NoGradientRule",
    "NotDifferentiable",
    "Problem",
    "Report",
    "Session",
    "Training",
    "UnsupportedError",
    "ValidationError",
    "ValueInfo",
    "check_feeds",
    "digest",
    "dtypes",
    "dumps",
    "from_document",
    "grad",
    "json_schema",
    "load",
    "load_graph",
    "load_graph_proto",
    "load_proto",
    "operators",
    "save",
    "to_document",
    "validate",
    "vjp",
]

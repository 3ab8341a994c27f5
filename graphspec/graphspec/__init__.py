"""GraphSpec: any ONNX graph, its values and its exact derivatives.

``load`` a model, ``validate`` it, run it in a ``Session``, and derive models from it with ``grad``, ``vjp``, ``jvp``
and ``hvp``; a derivative is again a standard ONNX model. ``jacobian`` and ``hessian`` compute whole matrices.
"""

from graphspec import dtypes
from graphspec.derivatives import grad, hvp, jvp, vjp
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
from graphspec.jacobians import Hessian, Jacobian, hessian, jacobian
from graphspec.operators.catalog import catalog as operators  # the function; the package is reached by its path
from graphspec.runtime import Session
from graphspec.training import Training
from graphspec.validation import Report, ValueInfo, check_feeds, validate

__all__ = [
    "DifferentiationError",
    "ExecutionError",
    "FeedError",
    "GraphSpecError",
    "Hessian",
    "Jacobian",
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
    "hessian",
    "hvp",
    "jacobian",
    "json_schema",
    "jvp",
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

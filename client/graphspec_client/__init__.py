"""The client of the GraphSpec service: graphs that grow as Python runs, their values and their exact gradients.

Define by run::

    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    loss = (np.sin(x) * x).sum()
    loss.backward()
    x.grad

Define, then run::

    @function
    def f(x, w):
        return np.tanh(x @ w).sum()

    value, gradient = client.value_and_grad(f, wrt="w")(x, w)

Any ONNX model::

    model = client.load("resnet.onnx")
    model.run({"x": x})
    model.grad({"x": x}, of="loss", wrt=["w"])
"""

from graphspec_client import functions
from graphspec_client._answers import Answer, Description, Matrices, Report, ValueInfo
from graphspec_client._async_client import AsyncClient, AsyncModel
from graphspec_client._client import Client, Model
from graphspec_client._default import default_client, set_default_client
from graphspec_client._exceptions import (
    CodecError,
    ConnectionFailed,
    DeadlineExceeded,
    ExecutionFailed,
    GraphSpecClientError,
    InvalidFeed,
    InvalidGraph,
    InvalidRequest,
    LimitExceeded,
    NoGradientRule,
    NotDifferentiable,
    NotFound,
    Overloaded,
    Problem,
    ProtocolError,
    ServiceError,
    ServiceFailed,
    TimedOut,
    TraceError,
    Unauthorized,
    Unsupported,
)
from graphspec_client._function import Function, function
from graphspec_client._tensor import Tensor, tensor
from graphspec_client._transforms import Transform, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from graphspec_client.functions import op

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncModel",
    "Client",
    "CodecError",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Description",
    "ExecutionFailed",
    "Function",
    "GraphSpecClientError",
    "InvalidFeed",
    "InvalidGraph",
    "InvalidRequest",
    "LimitExceeded",
    "Matrices",
    "Model",
    "NoGradientRule",
    "NotDifferentiable",
    "NotFound",
    "Overloaded",
    "Problem",
    "ProtocolError",
    "Report",
    "ServiceError",
    "ServiceFailed",
    "Tensor",
    "TimedOut",
    "TraceError",
    "Transform",
    "Unauthorized",
    "Unsupported",
    "ValueInfo",
    "default_client",
    "function",
    "functions",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "op",
    "set_default_client",
    "tensor",
    "value_and_grad",
    "vjp",
]

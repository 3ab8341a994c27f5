"""`Tensor`: what looks like an array and records what is done with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, ParamSpec

import numpy as np

from graphspec_client import _dtypes, _numpy, _shaping
from graphspec_client import _elementwise as e
from graphspec_client import _linalg as la
from graphspec_client import _reductions as r
from graphspec_client._codec import Array, as_array
from graphspec_client._emit import emit, lift
from graphspec_client._exceptions import CodecError, TraceError
from graphspec_client._indexing import getitem
from graphspec_client._values import Slot, Value, client_of, evaluate, known_shape, leaf

P = ParamSpec("P")


def wrap(result: Any) -> Any:
    """Tensors around the values in a result."""
    if isinstance(result, Value):
        return Tensor(result)
    if isinstance(result, tuple | list):
        return type(result)(wrap(one) for one in result)
    return result


def method(function: Callable[Concatenate[Any, P], Value]) -> Callable[Concatenate[Any, P], Tensor]:
    """An operation on values as a method of tensors."""

    def call(self: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        return Tensor(function(self._value, *args, **kwargs))

    call.__doc__ = function.__doc__ or f"NumPy's {getattr(function, '__name__', '')} of the tensor."
    return call


def operator(function: Callable[[Any, Any], Value], reflected: bool = False) -> Callable[[Tensor, Any], Any]:
    """An operation on two values as a Python operator; operands that are no numbers are left to the other side."""

    def call(self: Tensor, other: Any) -> Any:
        try:
            value = lift(other)
        except CodecError:
            return NotImplemented
        return Tensor(function(value, self._value) if reflected else function(self._value, value))

    return call


def in_place(function: Callable[[Any, Any], Value]) -> Callable[[Tensor, Any], Any]:
    """``x += y`` as ``x = x + y``, except where that would lose a leaf and its gradient."""

    def call(self: Tensor, other: Any) -> Any:
        if self.is_leaf and self.requires_grad:
            raise TypeError(
                "x += y would replace a leaf, and the gradients it waits for: write x.data = x.data + y to change its "
                "data, or z = x + y for a new tensor."
            )
        return operator(function)(self, other)

    return call


class Tensor:
    """An array whose value is computed by the service, when it is asked for.

    Made by `tensor`, and by whatever is done with tensors: operators, methods, NumPy functions, `op`.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: Value) -> None:
        self._value = value

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return _dtypes.numpy_dtype(self._value.dtype)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the axes. While a function is traced, a size that is not fixed is a tensor of the graph."""
        sizes = known_shape(self._value)
        if all(isinstance(size, int) for size in sizes):
            return sizes
        if not self._value.symbolic:
            return self.numpy().shape
        return tuple(wrap(_shaping.dim(self._value, axis)) for axis in range(len(sizes)))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._value.rank

    @property
    def size(self) -> Any:
        """The number of elements."""
        total: Any = 1
        for size in self.shape:
            total = size * total
        return total

    @property
    def name(self) -> str | None:
        """The name in the graph that the tensor was given, or ``None``."""
        return self._value.name

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow through it: to itself, if it is a leaf, or to a leaf that it depends on."""
        return self._value.requires_grad

    @property
    def is_leaf(self) -> bool:
        """Whether it holds data of its own, and is not computed."""
        return self._value.kind != "node"

    # --- its value ----------------------------------------------------------------------------------------------------

    def numpy(self) -> Array:
        """The value as an array, read-only; computed by the service on first use.

        Raises:
            TraceError: The tensor stands for an argument of a function that is being traced.
        """
        (array,) = evaluate([self._value])
        return array

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number."""
        return self.numpy().item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self.numpy().tolist()

    @property
    def data(self) -> Array:
        """The data of a leaf; assign an array of equal shape to change it. Graphs recorded before keep the old data."""
        return self.numpy()

    @data.setter
    def data(self, data: Any) -> None:
        old = self._value
        if old.kind != "leaf":
            raise TypeError("Only a leaf has data to change; a computed tensor has the value of its operands.")
        array = as_array(data.numpy() if isinstance(data, Tensor) else data, old.dtype)
        if array.shape != known_shape(old):
            raise ValueError(f"The data has shape {array.shape}, the tensor {old.shape}.")
        new = leaf(_own(array), name=old.name, requires_grad=old.requires_grad, slot=old.slot, client=old.client)
        new.holder = weakref.ref(self)
        self._value = new

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad:
            raise TypeError("np.asarray of a tensor that requires a gradient would lose it: use x.numpy().")
        array = self.numpy()
        return np.array(array, dtype) if copy or dtype is not None else array

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if _dtypes.kind(self._value.dtype) not in "iu":
            raise TypeError(f"Only a tensor of integers is an index, not one of {self._value.dtype}.")
        return int(self.item())

    def __bool__(self) -> bool:
        array = self.numpy()
        if array.size != 1:
            raise ValueError(f"A tensor of shape {array.shape} is neither true nor false; use .any() or .all().")
        return bool(array.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("A scalar has no length.")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        marks = ", requires_grad=True" if self.requires_grad else ""
        sizes = "?" if self._value.shape is None else str(tuple("?" if d is None else d for d in self._value.shape))
        if self._value.symbolic:
            return f"tensor(<symbolic>, shape={sizes}, dtype={self._value.dtype}{marks})"
        try:
            text = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=200)
        except Exception as error:  # a debugger that shows locals must not fail with them
            return f"tensor(<no value: {error}>, shape={sizes}, dtype={self._value.dtype}{marks})"
        return f"tensor({text}, dtype={self._value.dtype}{marks})"

    def __reduce__(self) -> Any:
        raise TypeError("A tensor belongs to a graph and a client; pickle x.numpy().")

    # --- its gradient -------------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Any:
        """The gradient that ``backward`` added up, of the shape and dtype of the tensor; ``None`` before.

        An array; a tensor after ``backward(create_graph=True)``.
        """
        return wrap(self._value.slot.grad) if self._value.slot is not None else None

    def zero_grad(self) -> None:
        """Forget the gradient added up so far."""
        if self._value.slot is not None:
            self._value.slot.grad = None

    def backward(self, cotangent: Any = None, *, create_graph: bool = False) -> None:
        """Add to ``.grad`` of every leaf that requires it the gradient of this tensor; the service does both passes.

        Args:
            cotangent: For a tensor that is no scalar, the weights of its elements in the sum that is differentiated.
            create_graph: Whether ``.grad`` becomes a tensor, to be differentiated again.

        Raises:
            ValueError: The tensor is no scalar and there is no cotangent, or the cotangent has another shape.
            TypeError: No leaf that it depends on requires a gradient.
        """
        client_of([self._value]).backward(self._value, cotangent, create_graph=create_graph)

    def retain_grad(self) -> Tensor:
        """Keep the gradient of a computed tensor in its ``.grad`` too; gives the tensor."""
        if not self.requires_grad:
            raise TypeError("No gradient flows through this tensor.")
        if self._value.slot is None:
            self._value.slot = Slot()
        return self

    def detach(self) -> Tensor:
        """The same value as a leaf that no gradient flows through.

        Raises:
            TraceError: A function is being traced: ONNX has no operator that stops gradients.
        """
        value = self._value
        if value.symbolic:
            raise TraceError("detach() is not possible while a function is traced; differentiate by wrt=... instead.")
        return Tensor(Value(value.dtype, value.shape, "leaf", client=value.client, data=value.data, detached=value))

    # --- operators ----------------------------------------------------------------------------------------------------

    __hash__ = object.__hash__

    __add__, __radd__, __iadd__ = operator(e.add), operator(e.add, True), in_place(e.add)
    __sub__, __rsub__, __isub__ = operator(e.subtract), operator(e.subtract, True), in_place(e.subtract)
    __mul__, __rmul__, __imul__ = operator(e.multiply), operator(e.multiply, True), in_place(e.multiply)
    __truediv__, __rtruediv__, __itruediv__ = operator(e.divide), operator(e.divide, True), in_place(e.divide)
    __floordiv__, __rfloordiv__ = operator(e.floor_divide), operator(e.floor_divide, True)
    __mod__, __rmod__ = operator(e.remainder), operator(e.remainder, True)
    __pow__, __rpow__, __ipow__ = operator(e.power), operator(e.power, True), in_place(e.power)
    __matmul__, __rmatmul__ = operator(la.matmul), operator(la.matmul, True)
    __and__, __rand__ = operator(e.bitwise_and), operator(e.bitwise_and, True)
    __or__, __ror__ = operator(e.bitwise_or), operator(e.bitwise_or, True)
    __xor__, __rxor__ = operator(e.bitwise_xor), operator(e.bitwise_xor, True)
    __lt__, __le__, __gt__, __ge__ = (
        operator(e.less),
        operator(e.less_equal),
        operator(e.greater),
        operator(e.greater_equal),
    )
    __eq__, __ne__ = operator(e.equal), operator(e.not_equal)
    __neg__, __pos__, __abs__, __invert__ = method(e.negative), method(e.positive), method(e.absolute), method(e.invert)
    __getitem__ = method(getitem)

    # --- methods ------------------------------------------------------------------------------------------------------

    exp, log, sqrt, square = method(e.exp), method(e.log), method(e.sqrt), method(e.square)
    sin, cos, tan = method(e.sin), method(e.cos), method(e.tan)
    sinh, cosh, tanh = method(e.sinh), method(e.cosh), method(e.tanh)
    abs, sign, reciprocal, pow = method(e.absolute), method(e.sign), method(e.reciprocal), method(e.power)
    sigmoid, softmax, log_softmax = method(e.sigmoid), method(r.softmax), method(r.log_softmax)
    floor, ceil, round, clip = method(e.floor), method(e.ceil), method(e.round_), method(e.clip)
    maximum, minimum = method(e.maximum), method(e.minimum)
    sum, prod, mean, max, min = method(r.sum_), method(r.prod), method(r.mean), method(r.max_), method(r.min_)
    var, std, norm, logsumexp = method(r.var), method(r.std), method(r.norm), method(r.logsumexp)
    any, all, argmax, argmin = method(r.any_), method(r.all_), method(r.argmax), method(r.argmin)
    cumsum, sort, argsort = method(r.cumsum), method(_shaping.sort), method(_shaping.argsort)
    squeeze, ravel, flatten = method(_shaping.squeeze), method(_shaping.ravel), method(_shaping.flatten)
    swapaxes, repeat, take = method(_shaping.swapaxes), method(_shaping.repeat), method(_shaping.take)
    expand_dims, broadcast_to = method(_shaping.expand_dims), method(_shaping.broadcast_to)
    dot, matmul, trace, diagonal = method(la.dot), method(la.matmul), method(la.trace), method(la.diagonal)
    astype = method(e.astype)

    def relu(self) -> Tensor:
        """``maximum(x, 0)``."""
        return Tensor(emit("Relu", self._value))

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements, in order, in another shape; one size may be -1."""
        return Tensor(_shaping.reshape(self._value, shape[0] if _is_shape(shape) else shape))

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order, by default reversed."""
        order = axes[0] if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], Sequence)) else axes
        return Tensor(_shaping.transpose(self._value, order or None))

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes reversed."""
        return Tensor(_shaping.transpose(self._value))

    @property
    def mT(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The last two axes exchanged."""
        return Tensor(_shaping.swapaxes(self._value, -1, -2))

    # --- NumPy --------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, function: np.ufunc, how: str, *inputs: Any, **kwargs: Any) -> Any:
        return wrap(_numpy.ufunc(function, how, inputs, kwargs))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim, np.size):
            return getattr(self, function.__name__)
        return wrap(_numpy.function(function, args, kwargs))


def _is_shape(shape: tuple[Any, ...]) -> bool:
    return len(shape) == 1 and isinstance(shape[0], Sequence | np.ndarray)


def _own(array: Array) -> Array:
    """A copy that nobody else can change, since what is recorded now may run much later."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def tensor(
    data: Any, requires_grad: bool = False, dtype: Any = None, name: str | None = None, *, client: Any = None
) -> Tensor:
    """A tensor with data of the caller, from which a graph grows as Python runs.

    Args:
        data: An array, a number or nested lists; the dtype is NumPy's choice (float64 for Python floats).
        requires_grad: Whether ``backward`` shall leave a gradient in ``.grad``.
        dtype: Another element type.
        name: The value's name in the graph.
        client: What evaluates it and all that is computed from it; by default the one of `set_default_client`.

    Raises:
        TypeError: No tensor can hold the data, or it requires a gradient and is not of floating point.
    """
    wanted = None if dtype is None else _dtypes.wire_name(dtype)
    if isinstance(data, Tensor):
        data = data.numpy()
    array = _own(as_array(data, wanted))
    value = leaf(array, name=name, requires_grad=requires_grad, slot=Slot() if requires_grad else None, client=client)
    if requires_grad and not _dtypes.is_float(value.dtype):
        raise TypeError(f"Only tensors of floating-point numbers have gradients, not of {value.dtype}; pass dtype=...")
    made = Tensor(value)
    value.holder = weakref.ref(made)
    return made

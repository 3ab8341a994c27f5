"""Define, then run: a Python function is traced once for each kind of arguments, stored once, and called often."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from graphspec_client import _containers, _dtypes, _evaluation, _requests, _values
from graphspec_client._answers import Answer
from graphspec_client._codec import Array, as_array
from graphspec_client._exceptions import NotDifferentiable, NotFound
from graphspec_client._requests import Flow, Names
from graphspec_client._tensor import Tensor, wrap
from graphspec_client._values import Program, Value

_KEPT_AS = "_graphspec_function"
KEPT = 64  # traces of a function that wants fixed sizes, for so many different ones


@dataclasses.dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call, sorted into data and what is part of the graph.

    Attributes:
        bound: The call as it was made.
        arrays: The data by path (``"x"``, ``"params.0.w"``).
        weak: The paths of Python floats.
        key: What two calls have in common that run the same code: names, forms, dtypes, ranks and static arguments.
    """

    bound: inspect.BoundArguments
    arrays: dict[str, Array]
    weak: frozenset[str]
    key: Any

    @property
    def sizes(self) -> tuple[int, ...]:
        """All sizes of all arrays, in a row."""
        return tuple(size for array in self.arrays.values() for size in array.shape)


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """A function as a graph.

    Attributes:
        program: The graph.
        result: What the function returned, with the name of an output in place of each tensor.
        shapes: The outputs' shapes as far as they are known.
        ids: The graph's id, by client.
    """

    program: Program
    result: Any
    shapes: dict[str, _values.Shape]
    ids: weakref.WeakKeyDictionary[Any, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """In place of a tensor that the function returned: the name of an output of the graph."""

    name: str


class Kind:
    """The traces for one key: sizes that differed between calls become symbols, so that there are few.

    Sizes that were the same as one another in all calls share a symbol.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []
        self.symbols: list[int | str] = []
        self.trace: Trace | None = None
        self.fixed: OrderedDict[tuple[int, ...], Trace] = OrderedDict()
        self.wants_fixed = False

    def fits(self, sizes: tuple[int, ...]) -> bool:
        """Whether the trace at hand runs arguments of these sizes."""
        if self.trace is None:
            return False
        found: dict[str, int] = {}
        return all(
            size == (found.setdefault(symbol, size) if isinstance(symbol, str) else symbol)
            for symbol, size in zip(self.symbols, sizes, strict=True)
        )

    def widened(self, sizes: tuple[int, ...], names: list[str]) -> list[int | str]:
        """The sizes, with symbols for those that differ from what was seen before."""
        first: dict[tuple[int, ...], str] = {}
        return [
            history[0] if len(set(history)) == 1 else first.setdefault(history, name)
            for history, name in zip(zip(*self.seen, sizes, strict=True), names, strict=True)
        ]

    def keep(self, trace: Trace, sizes: tuple[int, ...], symbols: list[int | str]) -> Trace:
        """From now on use this trace, made for these sizes."""
        self.trace, self.symbols = trace, symbols
        self.seen.append(sizes)
        return trace


class Function:
    """A Python function that runs on the service, as a graph.

    Called with arrays (and Python floats) it traces the Python code once for each combination of dtypes, ranks and
    static arguments, stores the graph, runs it and returns arrays. A size that changes between calls becomes a symbol
    of the graph, and the code is traced once more. Called with tensors that require gradients, or while another
    function is traced, it just runs, as a part of that graph.

    Ints, bools, strings and other arguments that are no numbers of the graph are static: each value has a graph of its
    own.
    """

    def __init__(self, f: Callable[..., Any], *, client: Any = None) -> None:
        self.f = f
        self.client = client
        self._signature = inspect.signature(f)
        self._kinds: dict[Any, Kind] = {}
        self._lock = threading.Lock()
        functools.update_wrapper(self, f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors = [item for _, item in _containers.leaves([args, kwargs]) if isinstance(item, Tensor)]
        if any(one._value.symbolic or one.requires_grad for one in tensors):
            return self.f(*args, **kwargs)
        client = self.client or _evaluation.client_of([one._value for one in tensors])
        result = client._drive(call_flow(client, self, args, kwargs))
        return _containers.rebuild(result, lambda path, leaf: _as_tensor(leaf, client)) if tensors else result

    def __repr__(self) -> str:
        return f"<function {getattr(self.f, '__qualname__', self.f)} of tensors>"

    def document(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The graph that a call with these arguments runs, as a JSON document."""
        return self.trace(self.arguments(args, kwargs)).program.document

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Sort the arguments of a call.

        Raises:
            TypeError: They do not fit the function's signature, or one is neither data nor hashable.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arrays: dict[str, Array] = {}
        weak: set[str] = set()
        key: list[Any] = [_containers.skeleton(dict(bound.arguments))]
        for path, item in _containers.leaves(dict(bound.arguments)):
            if isinstance(item, float) and not isinstance(item, np.generic):
                weak.add(path)
            elif not isinstance(item, Tensor) and not hasattr(item, "__array__"):
                key.append((path, type(item), _hashable(path, item)))
                continue
            arrays[path] = item.numpy() if isinstance(item, Tensor) else as_array(item)
            key.append((path, _dtypes.wire_name(arrays[path].dtype), arrays[path].ndim, path in weak))
        return Arguments(bound, arrays, frozenset(weak), tuple(key))

    def trace(self, arguments: Arguments) -> Trace:
        """The graph for these arguments, traced if there is none yet."""
        with self._lock:
            kind = self._kinds.setdefault(arguments.key, Kind())
            sizes = arguments.sizes
            if not kind.wants_fixed:
                if kind.trace is not None and kind.fits(sizes):
                    return kind.trace
                symbols = kind.widened(sizes, _symbol_names(arguments))
                try:
                    return kind.keep(self._trace(arguments, symbols), sizes, symbols)
                except (TypeError, ValueError):
                    if not any(isinstance(symbol, str) for symbol in symbols):
                        raise
                    # The code may need a size as a number, for a loop, say; if not, it fails again and says why.
            if sizes not in kind.fixed:
                kind.fixed[sizes] = self._trace(arguments, list(sizes))
                kind.wants_fixed = True
                if len(kind.fixed) > KEPT:
                    kind.fixed.popitem(last=False)
            kind.fixed.move_to_end(sizes)
            return kind.fixed[sizes]

    def _trace(self, arguments: Arguments, symbols: list[int | str]) -> Trace:
        rest = iter(symbols)
        inputs = {
            path: Value(
                _dtypes.wire_name(array.dtype), tuple(next(rest) for _ in array.shape), "input", name=path,
                weak=path in arguments.weak, symbolic=True, requires_grad=False,
            )
            for path, array in arguments.arrays.items()
        }  # fmt: skip
        named = dict(arguments.bound.arguments)
        given = _containers.rebuild(named, lambda path, leaf: Tensor(inputs[path]) if path in inputs else leaf)
        call = inspect.BoundArguments(self._signature, OrderedDict(given))
        result = self.f(*call.args, **call.kwargs)
        outputs = [leaf._value for _, leaf in _containers.leaves(result) if isinstance(leaf, Tensor)]
        if not outputs:
            raise TypeError(f"{self!r} returned no tensor: there is nothing to run.")
        name = getattr(self.f, "__name__", "function").strip("<>")
        program = _values.record(outputs, name=name, inputs=list(inputs.values()), bake=True)
        names = iter(program.outputs)
        markers = _containers.rebuild(result, lambda path, x: Output(next(names)) if isinstance(x, Tensor) else x)
        shapes = {name: value.shape for name, value in zip(program.outputs, outputs, strict=True)}
        return Trace(program, markers, shapes, weakref.WeakKeyDictionary())


def _symbol_names(arguments: Arguments) -> list[str]:
    return [f"{path}_{axis}" for path, array in arguments.arrays.items() for axis in range(array.ndim)]


def _hashable(path: str, item: Any) -> Any:
    try:
        hash(item)
    except TypeError:
        raise TypeError(
            f"Argument {path!r} of type {type(item).__name__} is neither an array nor hashable; an argument that is no "
            "array is a part of the graph, and must be comparable."
        ) from None
    return item


def _as_tensor(leaf: Any, client: Any) -> Any:
    return wrap(_values.leaf(leaf, client=client)) if isinstance(leaf, np.ndarray) else leaf


# --- flows ------------------------------------------------------------------------------------------------------------


def call_flow(client: Any, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
    """Run the function."""
    function = as_function(f)
    arguments = function.arguments(args, kwargs)
    trace = function.trace(arguments)
    answer = yield from _ask(client, trace, "run", {}, arguments, "outputs")
    return _result(trace, answer)


def value_and_grad_flow(
    client: Any, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wrt: Names | None, has_aux: bool
) -> Flow[tuple[Any, Any]]:
    """The function's value, and its gradients with respect to arguments, in one run."""
    function = as_function(f)
    arguments = function.arguments(args, kwargs)
    trace = function.trace(arguments)
    scalar = _scalar(function, trace, has_aux)
    targets = _targets(function, trace, arguments, wrt)
    listed = list(dict.fromkeys(path for paths in targets.values() for path in paths))
    body = {"of": scalar.name, "wrt": listed, "fetches": trace.program.outputs}
    answer = yield from _ask(client, trace, "grad", body, arguments, "gradients")
    found = {name: _gradient(arguments, name, paths, answer) for name, paths in targets.items()}
    return _result(trace, answer), found[wrt] if isinstance(wrt, str) else found


def grad_flow(
    client: Any, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wrt: Names | None, has_aux: bool
) -> Flow[Any]:
    """The function's gradients with respect to arguments; with ``has_aux`` a pair of them and the auxiliary result."""
    value, gradients = yield from value_and_grad_flow(client, f, args, kwargs, wrt, has_aux)
    return (gradients, value[1]) if has_aux else gradients


def _ask(client: Any, trace: Trace, what: str, body: dict[str, Any], arguments: Arguments, wanted: str) -> Flow[Answer]:
    """Run the stored graph; store it first where this client has not, or the service has lost it."""
    known = client in trace.ids
    if not known:
        yield from _store(client, trace)
    feeds = {name: arguments.arrays[name] for name in trace.program.document["inputs"]}

    def run() -> Flow[Answer]:
        path = f"/v1/graphs/{trace.ids[client]}/{what}"
        return _requests.ask(wanted, path, body, feeds=feeds, parameters=_changed(trace))

    with _evaluation.located(trace.program):
        try:
            return (yield from run())
        except NotFound:
            if not known:
                raise
            yield from _store(client, trace)
            return (yield from run())


def _store(client: Any, trace: Trace) -> Flow[None]:
    with _evaluation.located(trace.program):
        description = yield from _requests.store(client, trace.program.document)
    trace.ids[client] = description.id


def _changed(trace: Trace) -> dict[str, Array]:
    """Tensors from outside of the function whose data was changed since it was traced."""
    changed = {}
    for name, value in trace.program.leaves.items():
        holder = value.holder() if value.holder is not None else None
        if holder is not None and holder._value is not value:
            changed[name] = holder._value.array()
    return changed


def _result(trace: Trace, answer: Answer) -> Any:
    outputs = answer.outputs
    return _containers.rebuild(
        trace.result, lambda path, leaf: outputs[leaf.name] if isinstance(leaf, Output) else leaf
    )


def _scalar(function: Function, trace: Trace, has_aux: bool) -> Output:
    if has_aux and not (isinstance(trace.result, tuple) and len(trace.result) == 2):
        raise TypeError(
            f"With has_aux=True {function!r} must return a pair: the scalar, and something to hand through."
        )
    scalar = trace.result[0] if has_aux else trace.result
    if not isinstance(scalar, Output):
        raise TypeError(f"{function!r} must return one scalar tensor to have a gradient (has_aux=True for more).")
    shape = trace.shapes[scalar.name]
    if shape is not None and shape != ():
        raise TypeError(f"{function!r} returns a tensor of shape {shape}; only a scalar has a gradient. Use .sum().")
    return scalar


def _targets(function: Function, trace: Trace, arguments: Arguments, wrt: Names | None) -> dict[str, list[str]]:
    """For each of ``wrt`` the paths of its arrays."""
    floats = [path for path, array in arguments.arrays.items() if _dtypes.is_float(_dtypes.wire_name(array.dtype))]
    wanted = _requests.names(wrt) if wrt is not None else list(dict.fromkeys(path.split(".")[0] for path in floats))
    targets = {}
    for name in wanted:
        paths = [path for path in floats if path == name or path.startswith(f"{name}.")]
        if not paths:
            takes = ", ".join(arguments.bound.arguments)
            raise TypeError(f"wrt={name!r} is no argument of {function!r} that holds floats; it takes {takes}.")
        unused = [path for path in paths if path not in trace.program.document["inputs"]]
        if unused:
            raise NotDifferentiable(f"{function!r} does not depend on {', '.join(unused)}.", code="not-differentiable")
        targets[name] = paths
    if not targets:
        raise TypeError(f"{function!r} has no argument of floating point to differentiate with respect to.")
    return targets


def _gradient(arguments: Arguments, name: str, paths: list[str], answer: Answer) -> Any:
    """The gradient in the form of the argument: an array, or a container of arrays (``None`` where it is not float)."""
    argument = arguments.bound.arguments.get(name)
    if name not in arguments.bound.arguments:
        return answer.gradients[paths[0]]  # the path of one array inside of a container
    return _containers.rebuild(argument, lambda path, leaf: answer.gradients.get(path), name)


class Transform:
    """A function made of a function: called with the arguments of that, it drives a flow."""

    def __init__(self, f: Any, flow: Any, drive: Any, client: Any, *options: Any) -> None:
        self.function = as_function(f)
        self._flow, self._run, self._client, self._options = flow, drive, client, options
        functools.update_wrapper(self, self.function.f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self._flow(self._client, self.function, args, kwargs, *self._options))


def as_function(f: Any) -> Function:
    """The `Function` of a callable: the same each time, so that it is traced once."""
    if isinstance(f, Function):
        return f
    if not callable(f):
        raise TypeError(f"A function is wanted, found {type(f).__name__}.")
    found = getattr(f, _KEPT_AS, None)
    if not isinstance(found, Function) or found.f is not f:  # functools.wraps copies attributes
        found = Function(f)
        with contextlib.suppress(AttributeError):  # a bound method, say, that holds no attributes
            setattr(f, _KEPT_AS, found)
    return found


@overload
def function(f: Callable[..., Any], /) -> Function: ...
@overload
def function(*, client: Any = None) -> Callable[[Callable[..., Any]], Function]: ...
def function(f: Callable[..., Any] | None = None, /, *, client: Any = None) -> Any:
    """Make a function run on the service: a decorator.

    Args:
        f: A Python function of arrays, written with operators, NumPy functions, ``graphspec_client.functions`` and
            ``op``; it may return nested tuples, lists and dicts.
        client: What runs it; by default the one of `set_default_client`.
    """
    return Function(f) if f is not None else functools.partial(Function, client=client)

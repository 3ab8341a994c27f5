"""Define, then run: a Python function is traced once for each kind of arguments, stored once, and called often."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, overload

import numpy as np

from graphspec_client import _containers, _dtypes, _evaluation, _inline, _requests, _values
from graphspec_client._codec import Array, as_array
from graphspec_client._exceptions import NotFound
from graphspec_client._requests import Flow, T
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
        ids: The graph's id, by client.
    """

    program: Program
    result: Any
    ids: weakref.WeakKeyDictionary[Any, str]

    @property
    def shapes(self) -> dict[str, _values.Shape]:
        """The outputs' shapes as far as they are known."""
        return {name: value.shape for name, value in self.program.values.items()}

    @property
    def dtypes(self) -> dict[str, str]:
        """The outputs' element types."""
        return {name: value.dtype for name, value in self.program.values.items()}


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
        if any(one._value.symbolic for one in tensors):
            return self.f(*args, **kwargs)
        if any(one.requires_grad for one in tensors):
            with contextlib.suppress(_inline.Wanted):
                return self.f(*args, **kwargs)
            client = self.client if self.client is not None and not self.client.awaits else None
            client = client or _values.client_of([one._value for one in tensors])
            return client._drive(_inline.tracing(client, lambda: self.f(*args, **kwargs)))
        client = self.client or _values.client_of([one._value for one in tensors])
        result = client._drive(self.flow(client, args, kwargs))
        if client.awaits or not tensors:
            return result
        return _containers.rebuild(result, lambda path, leaf: _as_tensor(leaf, client))

    def flow(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
        """What a call with arrays asks of the service."""
        return call_flow(client, self, args, kwargs)

    def __repr__(self) -> str:
        return f"<function {getattr(self.f, '__qualname__', self.f)} of tensors>"

    def document(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The graph that a call with these arguments runs, as a JSON document."""
        arguments = self.arguments(args, kwargs)
        try:
            return self.trace(arguments).program.document
        except _inline.Wanted:
            client = self.client or _values.client_of([])
            trace: Trace = client._drive(traced(client, self, arguments))
            return trace.program.document

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
        return self.recorded(result, list(inputs.values()), bake=True)

    def recorded(self, result: Any, inputs: list[Value], *, bake: bool) -> Trace:
        """The graph that gives what the function returned.

        Raises:
            TypeError: There is no tensor in it.
        """
        outputs = [leaf._value for _, leaf in _containers.leaves(result) if isinstance(leaf, Tensor)]
        if not outputs:
            raise TypeError(f"{self!r} returned no tensor: there is nothing to run.")
        name = getattr(self, "__name__", "function").strip("<>")
        program = _values.record(outputs, name=name, inputs=inputs, bake=bake)
        names = iter(program.outputs)
        markers = _containers.rebuild(result, lambda path, x: Output(next(names)) if isinstance(x, Tensor) else x)
        return Trace(program, markers, weakref.WeakKeyDictionary())


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


def traced(client: Any, function: Function, arguments: Arguments) -> Flow[Trace]:
    """The graph for these arguments, with the derivatives in it fetched by the client."""
    return (yield from _inline.tracing(client, lambda: function.trace(arguments)))


def call_flow(client: Any, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
    """Run the function."""
    function = as_function(f)
    arguments = function.arguments(args, kwargs)
    trace = yield from traced(client, function, arguments)
    answer = yield from ask(client, trace, lambda stored, feeds, parameters: _requests.run_stored(
        stored, feeds, parameters=parameters), arguments)  # fmt: skip
    return result_of(trace, answer.outputs)


@dataclasses.dataclass(frozen=True, slots=True)
class Id:
    """A stored graph, by its id alone."""

    id: str


def ask(
    client: Any, trace: Trace, flow: Callable[[Id, dict[str, Array], dict[str, Array]], Flow[T]], arguments: Arguments
) -> Flow[T]:
    """Ask something of the stored graph; store it first where this client has not, or the service has lost it."""
    known = client in trace.ids
    if not known:
        yield from _store(client, trace)
    feeds = {name: arguments.arrays[name] for name in trace.program.document["inputs"]}

    def run() -> Flow[T]:
        return flow(Id(trace.ids[client]), feeds, _changed(trace))

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


def result_of(trace: Trace, outputs: Mapping[str, Any]) -> Any:
    """What the function returned, with the outputs in it."""
    return _containers.rebuild(
        trace.result, lambda path, leaf: outputs[leaf.name] if isinstance(leaf, Output) else leaf
    )


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

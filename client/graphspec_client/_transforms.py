"""Derivatives of functions, as functions again: called with data they run on the service, in a trace they are nodes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from graphspec_client import _containers, _derivatives, _dtypes, _inline, _values
from graphspec_client._codec import Array, as_array
from graphspec_client._derivatives import VERBS
from graphspec_client._emit import lift
from graphspec_client._exceptions import NotDifferentiable, TraceError
from graphspec_client._function import Arguments, Function, Output, Trace, as_function, ask, result_of, traced
from graphspec_client._parts import Part, Parts
from graphspec_client._requests import Flow
from graphspec_client._tensor import Tensor
from graphspec_client._values import Value

Wrt: TypeAlias = str | int | Sequence[str | int] | None
Of: TypeAlias = str | int | Sequence[str | int] | None


class Transform(Function):
    """A derivative of a function, which is a function again.

    Called with arrays it runs on the service; called while another function is traced, or with tensors that require
    gradients, it is a part of that graph, and can be differentiated in turn.
    """

    def __init__(
        self, f: Any, verb: str, client: Any, *, of: Of, wrt: Wrt, has_aux: bool = False, value: bool = False
    ) -> None:
        self.function = as_function(f)
        if has_aux and of is not None:
            raise TypeError("has_aux=True and of=... both say what is differentiated: give one of them.")
        self.verb, self.has_aux, self.value, self.of, self.wrt = verb, has_aux, value, of, wrt
        self.vectors = VERBS[verb].vectors
        super().__init__(self._body, client=client)
        functools.update_wrapper(self, self.function, updated=())
        self._signature = self.function._signature
        if self.vectors is not None:
            if self.vectors in self._signature.parameters:
                raise TypeError(
                    f"{verb} hands {self.vectors}= over, and {self.function!r} has an argument of that name."
                )
            parameters = list(self._signature.parameters.values())
            last = bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
            extra = inspect.Parameter(self.vectors, inspect.Parameter.KEYWORD_ONLY)
            parameters.insert(len(parameters) - last, extra)
            self._signature = self._signature.replace(parameters=parameters)

    def __repr__(self) -> str:
        return f"<{self.verb} of {self.function!r}>"

    def flow(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
        """What a call with arrays asks of the service."""
        args, kwargs, vectors = self._split(args, kwargs)
        arguments = self.function.arguments(args, kwargs)
        trace = yield from traced(client, self.function, arguments)
        of = self._of(trace.result, trace.shapes, trace.dtypes)
        floats = [path for path, array in arguments.arrays.items() if _dtypes.is_float(_dtypes.wire_name(array.dtype))]
        wrt = self._wrt(arguments.bound, floats, trace.program.document["inputs"])
        outputs = dict(_containers.leaves(trace.result))
        names = {path: outputs[path].name for path in of.paths}
        if self.verb in ("jacobian", "hessian"):
            return (yield from self._matrices(client, trace, arguments, of, wrt, names))
        side, other = (of, wrt) if self.verb == "vjp" else (wrt, of)
        tensors = self._arrays(side.match(vectors, str(self.vectors)), arguments, trace, names) if self.vectors else {}
        fetches = trace.program.outputs if self.value or self.has_aux else list(names.values())
        target = next(iter(names.values())) if VERBS[self.verb].scalar else list(names.values())
        answer = yield from ask(
            client,
            trace,
            lambda stored, feeds, parameters: _derivatives.products(
                stored, self.verb, feeds, target, wrt.paths, tensors or None, parameters, fetches
            ),
            arguments,
        )
        found = wrt.form(answer.__getitem__) if other is not of or self.verb != "jvp" else None
        if self.verb == "jvp":
            found = of.form(lambda path: answer[names[path]])
        return self._answer(found, result_of(trace, answer.outputs) if self.value or self.has_aux else None)

    def _matrices(
        self, client: Any, trace: Trace, arguments: Arguments, of: Parts, wrt: Parts, names: dict[str, str]
    ) -> Flow[Any]:
        scalar = VERBS[self.verb].scalar
        target = next(iter(names.values())) if scalar else list(names.values())
        answer = yield from ask(
            client,
            trace,
            lambda stored, feeds, parameters: _derivatives.matrices(
                stored, self.verb, feeds, target, wrt.paths, parameters, trace.program.outputs if self.has_aux else []
            ),
            arguments,
        )
        rows = wrt if scalar else of
        found = rows.form(lambda y: wrt.form(lambda x: answer[y if scalar else names[y]][x]))
        return self._answer(found, result_of(trace, answer.outputs) if self.has_aux else None)

    def _answer(self, found: Any, result: Any) -> Any:
        if self.value:
            return result, found
        return (found, result[1]) if self.has_aux else found

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        if self.vectors is None:
            return args, kwargs, None
        if self.vectors not in kwargs:
            raise TypeError(f"{self!r} wants {self.vectors}=..., beside the arguments of the function.")
        return args, {key: value for key, value in kwargs.items() if key != self.vectors}, kwargs[self.vectors]

    def _arrays(
        self, given: dict[str, Any], arguments: Arguments, trace: Trace, names: dict[str, str]
    ) -> dict[str, Array]:
        """The vectors by their names on the wire; numbers and lists take the dtype of what they belong to."""
        arrays = {}
        for path, leaf in given.items():
            out = self.verb == "vjp"
            dtype = trace.dtypes[names[path]] if out else _dtypes.wire_name(arguments.arrays[path].dtype)
            array = leaf.numpy() if isinstance(leaf, Tensor) else leaf
            arrays[names[path] if out else path] = as_array(array, dtype)
        return arrays

    # --- what is differentiated, and with respect to what -------------------------------------------------------------

    def _of(self, result: Any, shapes: Mapping[str, _values.Shape], dtypes: Mapping[str, str]) -> Parts:
        function = self.function
        if self.has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError(f"With has_aux=True {function!r} must return a pair: what is differentiated, and more.")
        wanted = ["0"] if self.has_aux else [""] if self.of is None else _names(self.of)
        parts = {}
        for path in wanted:
            try:
                nest = _containers.at(result, path)
            except KeyError:
                has = ", ".join(path for path, _ in _containers.leaves(result) if path) or "one tensor alone"
                raise TypeError(f"of={path!r} is no part of what {function!r} returns; that has {has}.") from None
            leaves = [(at, leaf.name) for at, leaf in _containers.leaves(nest, path) if isinstance(leaf, Output)]
            parts[path] = Part(path, nest, [at for at, name in leaves if _dtypes.is_float(dtypes[name])])
        found = Parts(parts, self.of is None or isinstance(self.of, str | int))
        if not found.paths:
            raise TypeError(f"{function!r} returns no tensor of floating point to differentiate.")
        if VERBS[self.verb].scalar:
            self._check_scalar(found, dict(_containers.leaves(result)), shapes)
        return found

    def _check_scalar(self, of: Parts, outputs: dict[str, Any], shapes: Mapping[str, _values.Shape]) -> None:
        if len(of.paths) != 1:
            raise TypeError(
                f"{self.function!r} must return one scalar tensor to have a gradient (of=... or has_aux=True for more)."
            )
        shape = shapes[outputs[of.paths[0]].name]
        if shape is not None and shape != ():
            raise TypeError(
                f"{self.function!r} returns a tensor of shape {shape}; only a scalar has a gradient. Use .sum(), or "
                "jacobian, vjp or jvp for one that is no scalar (of a gradient: hessian, or hvp)."
            )

    def _wrt(self, bound: inspect.BoundArguments, floats: Sequence[str], used: Mapping[str, Any]) -> Parts:
        function, named = self.function, dict(bound.arguments)
        takes = list(function._signature.parameters)
        if self.wrt is None:
            wanted = list(dict.fromkeys(path.split(".")[0] for path in floats))
            if not wanted:
                raise TypeError(f"{function!r} has no argument of floating point to differentiate with respect to.")
        else:
            given = [self.wrt] if isinstance(self.wrt, str | int) else list(self.wrt)
            wanted = [
                takes[one] if isinstance(one, int) and -len(takes) <= one < len(takes) else str(one) for one in given
            ]
        parts = {}
        for name in wanted:
            paths = [path for path in floats if path == name or path.startswith(f"{name}.")]
            if not paths:
                raise TypeError(
                    f"wrt={name!r} is no argument of {function!r} that holds floats; it takes {', '.join(takes)}."
                )
            unused = [path for path in paths if path not in used]
            if unused:
                raise NotDifferentiable(
                    f"{function!r} does not depend on {', '.join(unused)}.", code="not-differentiable"
                )
            parts[name] = Part(name, _containers.at(named, name), paths)
        return Parts(parts, isinstance(self.wrt, str | int))

    # --- in a trace ---------------------------------------------------------------------------------------------------

    def _body(self, *args: Any, **kwargs: Any) -> Any:
        """The derivative as nodes of the graph that is being recorded."""
        if self.verb in ("jacobian", "hessian"):
            raise TraceError(
                f"{self!r} is whole matrices, computed in several runs, and cannot be a part of another graph: use "
                "vjp, jvp or hvp there."
            )
        args, kwargs, vectors = self._split(args, kwargs)
        bound = self.function._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named = dict(bound.arguments)
        outer = {path: lift(leaf) for path, leaf in _containers.leaves(named) if _is_data(leaf)}
        inner = {
            path: Value(value.dtype, _values.known_shape(value), "input", name=path, weak=value.weak, symbolic=True)
            for path, value in outer.items()
        }
        given = _containers.rebuild(named, lambda path, leaf: Tensor(inner[path]) if path in inner else leaf)
        call = inspect.BoundArguments(self.function._signature, given)
        trace = self.function.recorded(self.function.f(*call.args, **call.kwargs), list(inner.values()), bake=False)
        program = trace.program
        names_of_inputs = {
            path: program.names[id(value)] for path, value in inner.items() if id(value) in program.names
        }
        floats = [path for path, value in inner.items() if _dtypes.is_float(value.dtype)]
        of = self._of(trace.result, trace.shapes, trace.dtypes)
        wrt = self._wrt(bound, floats, names_of_inputs)
        outputs = dict(_containers.leaves(trace.result))
        of_names = {path: outputs[path].name for path in of.paths}
        document = _inline.document_of(
            _inline.Derivative(
                program.document,
                self.verb,
                tuple(of_names.values()),
                tuple(names_of_inputs[path] for path in wrt.paths),
            )
        )
        primals = [program.values[name] for name in program.outputs]
        side = of if self.verb == "vjp" else wrt
        types = {path: program.values[of_names[path]] for path in of.paths} | {path: inner[path] for path in wrt.paths}
        extra = side.match(vectors, str(self.vectors)) if self.vectors else {}
        outside = {id(value): outer[path] for path, value in inner.items()}
        inputs = [outside.get(id(value), value) for value in (program.inputs[n] for n in program.document["inputs"])]
        inputs += [_lifted(extra[path], types[path], path) for path in side.paths if self.vectors]
        answers = of.paths if self.verb == "jvp" else wrt.paths
        like = [*primals, *(types[path] for path in (answers if self.verb != "hvp" else [*answers, *answers]))]
        values = _inline.inline(document, inputs, like)
        results = dict(zip(program.outputs, map(Tensor, values), strict=False))
        products = dict(zip(answers, map(Tensor, values[len(values) - len(answers) :]), strict=True))
        found = (of if self.verb == "jvp" else wrt).form(products.__getitem__)
        return self._answer(found, result_of(trace, results) if self.value or self.has_aux else None)


def _lifted(vector: Any, like: Value, path: str) -> Value:
    value = lift(vector, like.dtype)
    if value.dtype != like.dtype or (
        value.shape is not None and like.shape is not None and len(value.shape) != len(like.shape)
    ):
        raise TypeError(
            f"The vector of {path or 'the result'} is {value.dtype}{value.shape}, not {like.dtype}{like.shape}."
        )
    return value


def _is_data(leaf: Any) -> bool:
    return isinstance(leaf, float | Tensor) or hasattr(leaf, "__array__")


def _names(given: Any) -> list[str]:
    return [str(given)] if isinstance(given, str | int) else [str(one) for one in given]


class Transforms:
    """What a client makes of functions."""

    def _runs(self) -> Any:
        """The client that runs what is made; ``None`` for the default one at the time of a call."""
        return self

    def value_and_grad(self, f: Any, wrt: Wrt = None, *, of: Of = None, has_aux: bool = False) -> Transform:
        """The function that gives ``f``'s value and its gradients, in one run.

        Args:
            f: A function of tensors that returns a scalar; ``@function``, plain, or itself a derivative.
            wrt: Names or positions of arguments; one gives one gradient, several a dict. By default all float
                arguments.
            of: Which part of the result is differentiated, if that is a nest: a name or position in it.
            has_aux: Whether ``f`` returns a pair: the scalar, and something to hand through.
        """
        return Transform(f, "grad", self._runs(), of=of, wrt=wrt, has_aux=has_aux, value=True)

    def grad(self, f: Any, wrt: Wrt = None, *, of: Of = None, has_aux: bool = False) -> Transform:
        """The function that gives ``f``'s gradients; arguments as for ``value_and_grad``."""
        return Transform(f, "grad", self._runs(), of=of, wrt=wrt, has_aux=has_aux)

    def vjp(self, f: Any, wrt: Wrt = None, *, of: Of = None) -> Transform:
        """The function of ``f``'s arguments and ``cotangents=`` that gives the vector-Jacobian products.

        Args:
            f: A function of tensors.
            wrt: Names or positions of arguments; by default all float arguments.
            of: Which parts of the result are differentiated; by default all. The cotangents have their form.
        """
        return Transform(f, "vjp", self._runs(), of=of, wrt=wrt)

    def jvp(self, f: Any, wrt: Wrt = None, *, of: Of = None) -> Transform:
        """The function of ``f``'s arguments and ``tangents=`` that gives the Jacobian-vector products.

        Args:
            f: A function of tensors.
            wrt: Names or positions of arguments; by default all float arguments. The tangents have their form.
            of: Which parts of the result are differentiated; by default all.
        """
        return Transform(f, "jvp", self._runs(), of=of, wrt=wrt)

    def hvp(self, f: Any, wrt: Wrt = None, *, of: Of = None) -> Transform:
        """The function of ``f``'s arguments and ``tangents=`` that gives the product of a scalar's Hessian with these.

        Args:
            f: A function of tensors that returns a scalar.
            wrt: Names or positions of arguments; by default all float arguments. The tangents have their form.
            of: Which part of the result is differentiated, if that is a nest.
        """
        return Transform(f, "hvp", self._runs(), of=of, wrt=wrt)

    def jacobian(self, f: Any, wrt: Wrt = None, *, of: Of = None) -> Transform:
        """The function that gives ``f``'s Jacobians: the result's form, of the arguments' form, of arrays.

        Args:
            f: A function of tensors.
            wrt: Names or positions of arguments; by default all float arguments.
            of: Which parts of the result are differentiated; by default all.
        """
        return Transform(f, "jacobian", self._runs(), of=of, wrt=wrt)

    def hessian(self, f: Any, wrt: Wrt = None, *, of: Of = None) -> Transform:
        """The function that gives the Hessian of a scalar: the arguments' form, of the arguments' form, of arrays.

        Args:
            f: A function of tensors that returns a scalar.
            wrt: Names or positions of arguments; by default all float arguments.
            of: Which part of the result is differentiated, if that is a nest.
        """
        return Transform(f, "hessian", self._runs(), of=of, wrt=wrt)


class _Default(Transforms):
    def _runs(self) -> Any:
        return None


_default = _Default()
grad, value_and_grad = _default.grad, _default.value_and_grad
vjp, jvp, hvp = _default.vjp, _default.jvp, _default.hvp
jacobian, hessian = _default.jacobian, _default.hessian

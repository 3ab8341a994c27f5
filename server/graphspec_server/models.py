"""Models: names for stored graphs, with versions; and a derivative of a model as just another model.

A name has versions, each the id of a stored graph. The id of a stored graph is a name too, with the one version 1.
A name and a suffix (``m.grad``) is the derivative of the model ``m``: it is made of what is known of the graph, is
stored nowhere, and is ready when ``m`` is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from graphspec import NotDifferentiable, ValueInfo, dtypes
from graphspec_server._text import nearest
from graphspec_server.errors import ModelNotReady, RequestError, StorageError, UnknownModel
from graphspec_server.executor import Arrays, Transform
from graphspec_server.records import Record
from graphspec_server.repository import ID, Name, Repository

# What an own input or output of a derivative is called, whose names (`of` or `wrt`) it goes by, and for outputs the
# group of the executor's answer that holds it.
_VECTORS: dict[str, tuple[str, str]] = {
    "vjp": ("cotangent", "of"),
    "jvp": ("tangent", "wrt"),
    "hvp": ("tangent", "wrt"),
}
_DERIVATIVES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "grad": (("grad", "wrt", "gradients"),),
    "vjp": (("vjp", "wrt", "vjp"),),
    "jvp": (("jvp", "of", "jvp"),),
    "hvp": (("grad", "wrt", "gradients"), ("hvp", "wrt", "hvp")),
}
_SCALAR = ("grad", "hvp")

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_RESERVED = {"stats", ".", ".."}
_UNKNOWN = ValueInfo(None, None, "intermediate")


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """One version of a model, or of its derivative.

    Attributes:
        name: What it was asked for by.
        version: Its version.
        versions: All versions of the name, the newest last.
        graph_id: The stored graph.
        transform: ``"run"`` for the graph itself.
    """

    name: str
    version: str
    versions: tuple[str, ...]
    graph_id: str
    transform: Transform


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        of: Names of the values that are differentiated.
        wrt: Names of the values that they are differentiated with respect to.
        inputs: What it must be given, by name.
        parameters: What it may be given beside that.
        outputs: What it gives, in order.
        vectors: For each cotangent or tangent among the inputs the value that it belongs to.
        derivatives: For each derivative among the outputs its group in the executor's answer, and its name there.
        allow_unused: Whether what is not connected has derivatives of zero: when nobody chose it.
    """

    of: tuple[str, ...]
    wrt: tuple[str, ...]
    inputs: Mapping[str, ValueInfo]
    parameters: Mapping[str, ValueInfo]
    outputs: Mapping[str, ValueInfo]
    vectors: Mapping[str, str]
    derivatives: Mapping[str, tuple[str, str]]
    allow_unused: bool

    def pick(self, arrays: Arrays, name: str) -> np.ndarray:
        """An output out of the executor's answer."""
        if name in self.derivatives:
            group, value = self.derivatives[name]
            return arrays.derivatives[group][value]  # type: ignore[no-any-return]
        return arrays.outputs[name]


class Models:
    """The names of a repository; everything here reads or writes files."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def find(self, asked: str, version: str | None = None) -> Model:
        """A model that takes requests.

        Raises:
            UnknownModel: There is no such model, or it has no such version.
            ModelNotReady: It is unloaded.
        """
        base, transform = split(asked)
        name = self._name(base)
        if not name.ready:
            raise ModelNotReady(f"The model {asked!r} is unloaded.", hint="Load it again.")
        versions = _ordered(name.versions)
        version = version or versions[-1]
        if version not in name.versions:
            listed = ", ".join(versions)
            raise UnknownModel(f"The model {asked!r} has no version {version!r}.", expected=listed, found=version)
        return Model(asked, version, versions, name.versions[version], transform)

    def index(self) -> list[tuple[str, str, bool]]:
        """Name, version and readiness of every model; graphs that no name has go by their id."""
        found: list[tuple[str, str, bool]] = []
        named: set[str] = set()
        for text in self._repository.names():
            try:
                name = self._name(text)
            except (UnknownModel, StorageError):  # its graphs are deleted, or its own route tells what is wrong
                continue
            named.update(name.versions.values())
            found += [(text, version, name.ready) for version in _ordered(name.versions)]
        found += [(graph_id, "1", True) for graph_id in self._repository.ids() if graph_id not in named]
        return sorted(found, key=lambda entry: (entry[0], int(entry[1])))

    def assign(self, asked: str, versions: Mapping[str, str]) -> None:
        """Give a name to stored graphs, in place of those that it had; with none, make those ready again.

        Raises:
            UnknownModel: There is no such model.
            UnknownGraph: There is no such graph.
        """
        base, _ = split(asked)
        if not versions:
            self._set_ready(base, True)
            return
        check_name(asked)
        for graph_id in versions.values():
            self._repository.check(graph_id)
        self._repository.update_name(base, lambda _: Name(dict(versions), ready=True))

    def unload(self, asked: str) -> None:
        """Let a name take no more requests; the graphs stay stored.

        Raises:
            UnknownModel: There is no such model.
            RequestError: It is a derivative, which goes with its model.
        """
        base, transform = split(asked)
        if transform != "run":
            raise RequestError(f"A derivative cannot be unloaded by itself; unload {base!r}.", code="derived-model")
        self._set_ready(base, False)

    def _set_ready(self, text: str, ready: bool) -> None:
        known = self._name(text)  # an unknown name gets no file
        if known.ready != ready:
            self._repository.update_name(text, lambda name: dataclasses.replace(name or known, ready=ready))

    def _name(self, text: str) -> Name:
        """A name with the versions whose graphs are stored."""
        name = self._repository.name(text) if _NAME.fullmatch(text) else None
        if name is None and ID.fullmatch(text):
            name = Name({"1": text}, ready=True)
        stored = {v: i for v, i in name.versions.items() if self._repository.has(i)} if name is not None else {}
        if name is None or not stored:
            raise UnknownModel(f"There is no model {text!r}.", hint="Load it, or name a stored graph by its id.")
        return dataclasses.replace(name, versions=stored)


def split(asked: str) -> tuple[str, Transform]:
    """The name of a model, and which derivative of it is meant."""
    base, dot, suffix = asked.rpartition(".")
    for transform in _DERIVATIVES:
        if dot and base and suffix == transform:
            return base, transform  # type: ignore[return-value]
    return asked, "run"


def check_name(name: str) -> None:
    """Refuse what is no name for a model of its own.

    Raises:
        RequestError: It has letters that names do not have, or it means something already.
    """
    if not _NAME.fullmatch(name):
        raise RequestError("This is no name for a model.", code="invalid-name", expected=_NAME.pattern, found=name)
    if split(name)[1] != "run" or name in _RESERVED or ID.fullmatch(name):
        reason = "This name is taken: it is that of a derivative, of a stored graph, or of a route."
        raise RequestError(reason, code="invalid-name", found=name)


def check_version(version: str) -> str:
    """A version as it is written.

    Raises:
        RequestError: It is no number.
    """
    if not _VERSION.fullmatch(version):
        raise RequestError("A version is a number from 1 on.", code="invalid-version", found=version)
    return version


def signature(record: Record, transform: Transform, of: Any = None, wrt: Any = None) -> Signature:
    """What a model, or a derivative of it, takes and gives.

    Args:
        record: What is known of the graph.
        transform: ``"run"``, or the derivative.
        of: Names to differentiate; by default all float outputs, or the one scalar for a gradient.
        wrt: Names to differentiate with respect to; by default all float inputs.

    Raises:
        NotDifferentiable: There is no value that could be meant.
        RequestError: ``of`` or ``wrt`` is given for a model that is no derivative.
    """
    inputs = dict(record.inputs)
    outputs = {name: record.values.get(name, _UNKNOWN) for name in record.outputs}
    if transform == "run":
        if of is not None or wrt is not None:
            raise RequestError("Only derivatives have 'of' and 'wrt'.", code="invalid-field", path="/parameters")
        return Signature((), (), inputs, record.parameters, outputs, {}, {}, False)
    sources = tuple(of) if of is not None else _default_of(record, outputs, transform)
    targets = tuple(wrt) if wrt is not None else tuple(name for name, info in inputs.items() if is_float(info))
    if not targets:
        raise NotDifferentiable("The model has no floating-point input.", code="no-wrt", hint="Name parameters in wrt.")
    for name in (*sources, *targets):
        if name not in record.values:
            hint = nearest(name, record.values)
            raise NotDifferentiable(f"The model has no value {name!r}.", code="unknown-name", hint=hint)
        if record.values[name].dtype is not None and not is_float(record.values[name]):
            reason = f"{name!r} is not floating point, so there is no derivative of it or with respect to it."
            raise NotDifferentiable(reason, code="not-float", found=record.values[name].dtype)
    if transform in _SCALAR and len(sources) != 1:
        raise NotDifferentiable("A gradient is that of one scalar.", code="not-scalar", found=", ".join(sources))
    names = {"of": sources, "wrt": targets}
    for field, given in names.items():
        if len(set(given)) < len(given):
            raise RequestError("A name is given twice.", code="repeated-name", path=f"/parameters/{field}")
    vectors, derivatives = {}, {}
    if transform in _VECTORS:
        word, role = _VECTORS[transform]
        for name in names[role]:
            vector = free_name(f"{name}_{word}", inputs)
            inputs[vector], vectors[vector] = record.values[name], name
    for word, role, group in _DERIVATIVES[transform]:
        for name in names[role]:
            output = free_name(f"{name}_{word}", outputs)
            outputs[output], derivatives[output] = record.values[name], (group, name)
    unused = of is None and wrt is None
    return Signature(sources, targets, inputs, record.parameters, outputs, vectors, derivatives, unused)


def _default_of(record: Record, outputs: Mapping[str, ValueInfo], transform: Transform) -> tuple[str, ...]:
    floats = [name for name, info in outputs.items() if is_float(info)]
    if transform not in _SCALAR:
        if not floats:
            raise NotDifferentiable("The model has no floating-point output.", code="no-of")
        return tuple(floats)
    # Where inference left the shape open, the run will tell whether it is a scalar.
    scalars = [n for n in floats if outputs[n].shape is not None and all(d == 1 for d in outputs[n].shape or ())]
    scalars = scalars or [n for n in floats if outputs[n].shape is None]
    if len(scalars) != 1:
        reason = f"A gradient is that of one scalar, and the model has {len(scalars)} scalar float outputs."
        hint = "Name one in the request parameter 'of', or use the vjp."
        raise NotDifferentiable(reason, code="not-scalar", found=", ".join(scalars) or ", ".join(floats), hint=hint)
    return tuple(scalars)


def is_float(info: ValueInfo) -> bool:
    """Whether a value can be differentiated."""
    return info.dtype in dtypes.BY_NAME and dtypes.BY_NAME[info.dtype].is_float


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number behind it where it is taken."""
    if name not in taken:
        return name
    return next(free for i in range(1, len(taken) + 2) if (free := f"{name}_{i}") not in taken)


def _ordered(versions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=int))

"""What the service does, knowing nothing of HTTP: graphs in, graphs and arrays out.

Methods that load, check, differentiate or run are coroutines: the work itself is done in threads, never on the event
loop.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import onnx
import onnx_ir as ir

import graphspec as gs
from graphspec import (
    FeedError,
    GraphSpecError,
    LoadError,
    Problem,
    Report,
    ValueInfo,
)
from graphspec_server import wire
from graphspec_server._text import pointer
from graphspec_server.analysis import abstract_outputs, orders
from graphspec_server.codec import decode_tensors
from graphspec_server.errors import RequestError, StorageError
from graphspec_server.executor import Arrays, Executor, Feeds, Graph, Transform, Work
from graphspec_server.executor.in_process import BoundedPool, InProcessExecutor
from graphspec_server.executor.sessions import derived
from graphspec_server.memory import check_memory
from graphspec_server.models import Model, Models, Signature, check_name, free_name
from graphspec_server.records import Record, record_of
from graphspec_server.repository import DirectoryRepository, Repository
from graphspec_server.settings import Settings
from graphspec_server.statistics import Statistics

T = TypeVar("T")

Source = bytes | str | dict[str, Any]


class DataPlane:
    """The service behind its protocols.

    Args:
        repository: Where graphs are stored.
        executor: Where graphs run.
        pool: Where graphs are loaded, checked and differentiated.
        max_run_bytes: The largest value that a run may hold, as far as shapes tell.
    """

    def __init__(self, repository: Repository, executor: Executor, pool: BoundedPool, max_run_bytes: int) -> None:
        self._repository = repository
        self._executor = executor
        self._pool = pool
        self._max_run_bytes = max_run_bytes
        self.models = Models(repository)
        self.statistics = Statistics()
        # Content never changes under an id, so what is known of it may be kept; that it is still there is asked.
        self._record = functools.lru_cache(maxsize=256)(self._read_record)
        self._differentiable = functools.lru_cache(maxsize=256)(self._try_derivatives)

    def close(self) -> None:
        """Forget the work that waits, and hold no threads."""
        self._executor.close()
        self._pool.close()

    @property
    def busy(self) -> bool:
        """Whether anything is under way or waiting."""
        return bool(self._executor.pending or self._pool.pending)

    async def call(self, function: Callable[[], T]) -> T:
        """Do something that takes time, away from the event loop."""
        return await self._pool.call(lambda deadline: function())

    async def validate(self, source: Source) -> Report:
        """Every problem of a graph; raises only when it cannot be read."""
        return await self.call(lambda: _read(source)[1])

    async def store(self, source: Source) -> tuple[Record, bool]:
        """Store a valid graph; its record, and whether it is new."""
        return await self.call(lambda: self._store(*load(source)))

    async def derive(self, graph_id: str, request: wire.DeriveRequest) -> tuple[Record, bool]:
        """Store a derivative of a stored graph."""

        def work() -> tuple[Record, bool]:
            _refuse_repeated(request.of_names, request.wrt)
            model = self._load(graph_id)
            asked = Work(
                request.transform, request.of_names, tuple(request.wrt), None, request.allow_unused,
                checkpoint=tuple(request.checkpoint),
            )  # fmt: skip
            made = derived(model, asked, request.seeds)
            return self._store(made, gs.validate(made))

        return await self.call(work)

    async def records(self) -> list[Record]:
        """The records of all stored graphs."""

        def work() -> list[Record]:
            found = []
            for graph_id in self._repository.ids():
                try:
                    found.append(self._record(graph_id))
                except GraphSpecError:  # deleted meanwhile, or unreadable, which its own route tells
                    continue
            return found

        return await self.call(work)

    async def read(self, graph_id: str, form: Literal["onnx", "json", "text"]) -> tuple[Record, bytes]:
        """A stored graph, in the form wanted."""

        def work() -> tuple[Record, bytes]:
            record = self._known(graph_id)
            if form == "onnx":
                return record, self._repository.onnx(graph_id)
            return record, gs.dumps(self._load(graph_id), form)

        return await self.call(work)

    async def delete(self, graph_id: str) -> None:
        """Forget a stored graph."""
        await self.call(lambda: self._repository.delete(graph_id))

    async def run(self, request: wire.RunRequest) -> Arrays:
        """Run a graph that came with the request."""

        def prepare() -> tuple[Graph, Feeds]:
            model, report = load({"graph": request.graph})
            record = record_of(model, report, gs.digest(model), 0)
            return Graph(record.id, lambda: model), self._feeds(record, request)

        graph, feeds = await self.call(prepare)
        return await self._executor.submit(graph, _work(request), feeds)

    async def run_stored(self, graph_id: str, request: wire.StoredRunRequest) -> Arrays:
        """Run a stored graph, with gradients when they are asked for."""
        return await self._submit(graph_id, _work(request), request)

    async def differentiate(self, graph_id: str, transform: Transform, request: wire.DerivativeRequest) -> Arrays:
        """Outputs and derivatives of a stored graph."""
        of = [request.of] if isinstance(request.of, str) else request.of
        return await self._submit(graph_id, _derivative(transform, of, request, request.fetches), request)

    async def model(self, name: str, version: str | None) -> tuple[Model, Record]:
        """A model that takes requests, by its name."""

        def work() -> tuple[Model, Record]:
            model = self.models.find(name, version)
            return model, self._known(model.graph_id)

        return await self.call(work)

    async def infer(
        self,
        model: Model,
        record: Record,
        signature: Signature,
        values: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        seed: int | None = None,
    ) -> Arrays:
        """Run a model, or a derivative of it.

        Args:
            model: What `model` found.
            record: What it said of the graph.
            signature: The names that ``values`` and ``outputs`` go by.
            values: The inputs.
            outputs: The outputs wanted.
            seed: Where random numbers start.
        """
        missing = [name for name in signature.inputs if name not in values]
        if missing:
            raise FeedError(
                problems=[_problem("missing-feed", f"The input {name!r} is missing.", "") for name in missing]
            )
        vectors = {value: values[name] for name, value in signature.vectors.items()}
        own = {name: array for name, array in values.items() if name not in signature.vectors}
        fetches = tuple(name for name in outputs if name not in signature.derivatives)
        work = Work(model.transform, signature.of, signature.wrt, fetches, signature.allow_unused)
        return await self.run_work(model.graph_id, record, work, own, vectors, seed)

    async def run_work(
        self,
        graph_id: str,
        record: Record,
        work: Work,
        values: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray] | None = None,
        seed: int | None = None,
    ) -> Arrays:
        """Run a stored graph on arrays."""
        check_memory(record, values, self._max_run_bytes)
        feeds = Feeds(values, vectors or {}, seed, self._max_run_bytes)
        return await self._executor.submit(Graph(graph_id, lambda: self._load(graph_id)), work, feeds)

    async def second_order(
        self,
        graph_id: str,
        record: Record,
        names: tuple[str, str, str],
        values: Mapping[str, np.ndarray],
        cotangent: np.ndarray,
        tangent: np.ndarray,
    ) -> np.ndarray:
        """The derivative of a vector-Jacobian product along a tangent: ∂/∂along [cotangent · ∂of/∂wrt] · tangent.

        Args:
            graph_id: A stored graph.
            record: What is known of it.
            names: ``of``, ``wrt`` and ``along``.
            values: The inputs.
            cotangent: Of the shape of ``of``.
            tangent: Of the shape of ``along``.
        """
        of, wrt, along = names
        # The product's own names, under which it is differentiated again; no value of the graph may have them.
        seed, product = (free_name(name, record.values) for name in ("second.seed", "second.product"))

        def first() -> ir.Model:
            model = gs.vjp(self._load(graph_id), [of], [wrt], allow_unused=True)
            model.graph.inputs[-1].name, model.graph.outputs[-1].name = seed, product
            return model

        check_memory(record, values, self._max_run_bytes)
        graph = Graph(f"{graph_id} {[of, wrt]}", first)
        work = Work("jvp", (product,), (along,), (), allow_unused=True)
        feeds = Feeds({**values, seed: cotangent}, {along: tangent}, None, self._max_run_bytes)
        arrays = await self._executor.submit(graph, work, feeds)
        return arrays.derivatives["jvp"][product]  # type: ignore[no-any-return]

    async def abstract(
        self, graph_id: str, record: Record, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, ValueInfo]:
        """What the outputs of a graph will be for inputs of these shapes, without a run."""
        return await self.call(lambda: abstract_outputs(self._load(graph_id), record, shapes))

    async def differentiable(self, graph_id: str) -> tuple[bool, bool]:
        """Whether a graph has derivatives of first order, and of second; all float outputs, by all float inputs."""
        return await self.call(lambda: self._differentiable(graph_id))

    async def load_model(self, name: str, files: Mapping[str, bytes], graphs: Mapping[str, str]) -> None:
        """Give a name to graphs, by version: to ONNX that comes with the request, and to graphs that are stored."""

        def work() -> None:
            if files:
                check_name(name)
            loaded = {version: load(data) for version, data in files.items()}
            stored = {version: self._store(*graph)[0].id for version, graph in loaded.items()}
            self.models.assign(name, stored | dict(graphs))

        await self.call(work)

    async def _submit(self, graph_id: str, work: Work, request: wire.RunOptions) -> Arrays:
        def prepare() -> Feeds:
            return self._feeds(self._known(graph_id), request)

        feeds = await self.call(prepare)
        return await self._executor.submit(Graph(graph_id, lambda: self._load(graph_id)), work, feeds)

    def _feeds(self, record: Record, request: wire.RunOptions) -> Feeds:
        """Decode all tensors of a request; every problem of all of them is reported."""
        values, problems = decode_tensors(request.feeds, record.inputs | record.parameters, "feeds")
        overrides, more = decode_tensors(request.parameters, record.parameters, "parameters")
        problems += more
        for name in values.keys() & overrides.keys():
            problems.append(_problem("duplicate-feed", f"{name!r} is fed twice.", pointer("parameters", name)))
        vectors: dict[str, np.ndarray] = {}
        if (given := wire.vectors_of(request)) is not None:
            known = {name: record.values.get(name, ValueInfo(None, None, "intermediate")) for name in given.names}
            vectors, more = decode_tensors(given.tensors, known, given.field)
            problems += more
            for name in known.keys() - given.tensors.keys():
                message = f"{name!r} has no {given.kind}."
                problems.append(_problem(f"missing-{given.kind}", message, pointer(given.field)))
            problems += _check_seeds(given, vectors)
        if problems:
            raise FeedError(problems=problems)
        seeds = given.seeds or 1 if given else 1
        check_memory(record, values, self._max_run_bytes, seeds, [*vectors, *getattr(request, "wrt", ())])
        return Feeds(values | overrides, vectors, request.seed, self._max_run_bytes)

    def _store(self, model: ir.Model, report: Report) -> tuple[Record, bool]:
        report.raise_for_errors()
        data = gs.dumps(model, "onnx")
        record = record_of(model, report, gs.digest(model), len(data))
        return record, self._repository.put(record.id, data, record.to_json())

    def _load(self, graph_id: str) -> ir.Model:
        try:
            return gs.load(self._repository.onnx(graph_id))
        except LoadError as error:  # whoever stored it is not who asks: the fault is the store's
            raise StorageError("The stored graph is damaged.") from error

    def _known(self, graph_id: str) -> Record:
        """The record of a graph that is still stored."""
        self._repository.check(graph_id)
        return self._record(graph_id)

    def _try_derivatives(self, graph_id: str) -> tuple[bool, bool]:
        return orders(self._load(graph_id), self._known(graph_id))

    def _read_record(self, graph_id: str) -> Record:
        data = self._repository.record(graph_id)
        record = None if data is None else Record.from_json(data)
        if record is None or record.id != graph_id:  # lost, or of another version of the service
            model, size = self._load(graph_id), len(self._repository.onnx(graph_id))
            record = record_of(model, gs.validate(model), graph_id, size)
        return record


def create_data_plane(settings: Settings) -> DataPlane:
    """The data plane that the settings describe."""
    seconds, threads = settings.run_seconds, settings.concurrency
    executor = InProcessExecutor(
        threads=threads, queue=settings.max_queue, seconds=seconds, sessions=settings.max_sessions
    )
    pool = BoundedPool(max(2, threads), settings.max_requests, seconds, "graphspec-work")
    return DataPlane(DirectoryRepository(settings.repository), executor, pool, settings.max_run_bytes)


def load(source: Source) -> tuple[ir.Model, Report]:
    """A valid graph from any of the forms that requests give it in; none of them ever reaches the file system.

    Args:
        source: ONNX bytes, ONNX text, or the JSON value: a document, ``{"onnx": base64}``, ``{"text": ...}``, or
            ``{"graph": any of these}``.

    Raises:
        LoadError: It cannot be read as a graph; the problems' paths start at the request.
        ValidationError: The graph breaks a rule; every problem is reported.
    """
    proto, report = _read(source)
    report.raise_for_errors()
    return gs.load(proto), report


def _read(source: Source) -> tuple[onnx.ModelProto, Report]:
    """The graph as far as it can be read without minding what it says, and the report on all that it says."""
    if isinstance(source, bytes):
        proto, path = gs.load_proto(source), ""
    else:
        value, path = _json_form(source)
        proto = gs.load_graph_proto(value, path)
    report = gs.validate(proto)
    _refuse_bytes(report, path)
    below = tuple(dataclasses.replace(problem, path=path + problem.path) for problem in report.problems)
    return proto, dataclasses.replace(report, problems=below)


def _refuse_bytes(report: Report, path: str) -> None:
    """Protobuf hands out names that are not UTF-8 as bytes, which no answer can hold."""
    texts: list[Any] = [part for name, info in report.values.items() for part in (name, *(info.shape or ()))]
    texts += [text for problem in report.problems for text in problem.to_dict().values()]
    if any(isinstance(text, bytes) for text in texts):
        raise LoadError("A name of the graph is not UTF-8.", code="bad-encoding", path=path, expected="UTF-8")


def _json_form(source: str | dict[str, Any]) -> tuple[Any, str]:
    """The JSON value that holds the graph itself, and where in the request it is."""
    if isinstance(source, str):
        return {"text": source}, ""
    return (source["graph"], "/graph") if list(source) == ["graph"] else (source, "")


def _work(request: wire.StoredRunRequest) -> Work:
    if request.grad is None:
        return Work(fetches=None if request.fetches is None else tuple(request.fetches))
    return _derivative("grad", [request.grad.of], request.grad, request.fetches)


def _derivative(
    transform: Transform, of: list[str], asked: wire.GradTarget | wire.JacobianRequest, fetches: list[str] | None
) -> Work:
    _refuse_repeated(of, asked.wrt)
    wanted = None if fetches is None else tuple(fetches)
    seeds = isinstance(asked, wire.Seeds) and asked.seeds is not None
    anew = tuple(asked.checkpoint) if isinstance(asked, wire.Checkpoint) else ()
    return Work(transform, tuple(of), tuple(asked.wrt), wanted, asked.allow_unused, seeds, anew)


def _check_seeds(given: wire.Vectors, vectors: Mapping[str, np.ndarray]) -> Iterator[Problem]:
    """Vectors that do not lead with the number of seeds."""
    for name, array in vectors.items():
        if given.seeds is not None and array.shape[:1] != (given.seeds,):
            yield Problem(
                code="shape-mismatch",
                message=f"The {given.kind}s of {name!r} do not lead with the number of seeds.",
                path=pointer(given.field, name),
                expected=f"a leading dimension of {given.seeds}, before the shape of {name!r}",
                found=f"shape {list(array.shape)}",
            )


def _refuse_repeated(of: Sequence[str], wrt: Sequence[str]) -> None:
    for field, names in (("of", of), ("wrt", wrt)):
        if len(set(names)) < len(names):
            raise RequestError("A name is given twice.", code="repeated-name", path=f"/{field}")


def _problem(code: str, message: str, path: str) -> Problem:
    return Problem(code=code, message=message, path=path)

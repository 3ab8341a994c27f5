"""The plan: a graph as an immutable, straight list of kernel calls with the slots they read, write and free."""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec import dtypes
from graphspec.errors import ExecutionError, GraphSpecError, LimitError, UnsupportedError
from graphspec.inference import array_of
from graphspec.operators import registry
from graphspec.operators.attributes import attributes_of

# The deadline of the run under way; kernels that run subgraphs have no parameter to hand it down by.
DEADLINE: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One kernel call.

    Attributes:
        call: Takes the input arrays (then the captured ones), returns an array or a tuple.
        inputs: Slot of each input; ``None`` where an optional one is left out.
        outputs: Slot of each output; ``None`` where nothing reads it.
        free: Slots that die here.
        node: For messages.
    """

    call: Callable[..., Any]
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    free: tuple[int, ...]
    node: ir.Node


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A compiled graph: safe to run from several threads at once, each run has slots of its own.

    Attributes:
        slots: One entry per value: constants in place, the rest ``None``.
        inputs: Slots to fill, in the order asked for at compile time.
        outputs: Slots of the results.
    """

    slots: tuple[Any, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    steps: tuple[Step, ...]

    def run(self, values: Iterable[Any], deadline: float | None = None) -> list[Any]:
        """Run all steps.

        Args:
            values: One per input of the plan.
            deadline: ``time.monotonic()`` seconds after which no further kernel is started.

        Returns:
            The outputs; they may share memory with the inputs or with constants.

        Raises:
            ExecutionError: A kernel refused its values; the problem names the node.
            LimitError: Past the deadline, or out of memory.
        """
        token = DEADLINE.set(deadline)
        try:
            return self.execute(values, deadline)
        finally:
            DEADLINE.reset(token)

    def execute(self, values: Iterable[Any], deadline: float | None) -> list[Any]:
        """As ``run``, for a subgraph: within a run whose deadline is set."""
        slots = list(self.slots)
        for slot, value in zip(self.inputs, values, strict=True):
            slots[slot] = value
        for step in self.steps:
            if deadline is not None and time.monotonic() > deadline:
                raise too_late(step.node)
            arguments = [None if i is None else slots[i] for i in step.inputs]
            try:
                results = step.call(*arguments)
            except GraphSpecError:
                raise
            except MemoryError as error:
                raise out_of_memory(step.node, arguments) from error
            except Exception as error:  # whatever NumPy raises for values that do not fit becomes ours
                raise refused(step.node, arguments, error) from error
            if type(results) is not tuple:
                results = (results,)
            for written, result in zip(step.outputs, results, strict=False):
                if written is not None:
                    slots[written] = result
            for dead in step.free:
                slots[dead] = None
        return [slots[slot] for slot in self.outputs]


def describe(value: Any) -> str:
    """An argument in a message: dtype and shape."""
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{list(value.shape)}"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, list) else type(value).__name__


def refused(node: ir.Node, arguments: Sequence[Any], error: Exception) -> ExecutionError:
    """The error for a kernel that refused its values."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ExecutionError(
        f"Node {node.name!r} ({node.op_type}) cannot be computed for these values: {reason}",
        node=node.name,
        found=", ".join(describe(a) for a in arguments),
        hint="Check the values and shapes that reach this node.",
    )


def too_late(node: ir.Node) -> LimitError:
    """The error for a deadline that has passed."""
    return LimitError(
        f"The run was stopped at its deadline, before node {node.name!r}.",
        code="deadline",
        node=node.name,
        hint="Ask for less in one run, or for a longer time limit.",
    )


def out_of_memory(node: ir.Node, arguments: Sequence[Any]) -> LimitError:
    """The error for a kernel that found no memory."""
    return LimitError(
        f"Node {node.name!r} ({node.op_type}) needs more memory than there is.",
        code="memory",
        node=node.name,
        found=", ".join(describe(a) for a in arguments),
        hint="Make the tensors smaller.",
    )


class _Compiler:
    def __init__(self, opset_imports: dict[str, int], keep: Callable[[ir.Value], Any]) -> None:
        self.opset_imports = opset_imports
        self.constant_of = keep
        self.slots: list[Any] = []
        self.slot_of: dict[ir.Value, int] = {}

    def slot(self, value: ir.Value) -> int:
        if value not in self.slot_of:
            self.slot_of[value] = len(self.slots)
            self.slots.append(self.constant_of(value))
        return self.slot_of[value]

    def compile(self, nodes: Sequence[ir.Node], inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]) -> Plan:
        input_slots = tuple(self.slot(v) for v in inputs)
        drafts: list[tuple[Callable[..., Any], tuple[int | None, ...], tuple[ir.Value, ...], ir.Node]] = []
        for node in nodes:
            if node.op_type == "Constant" and node.domain == "":
                tensor = ir.convenience.get_const_tensor(node.outputs[0])
                if tensor is not None:
                    self.slot_of[node.outputs[0]] = len(self.slots)
                    self.slots.append(frozen(array_of(tensor)))
                    continue
            call, captured = bound_kernel(node, self.opset_imports)
            read = [*node.inputs, *captured]
            drafts.append((call, tuple(None if v is None else self.slot(v) for v in read), tuple(node.outputs), node))
        output_slots = tuple(self.slot(v) for v in outputs)
        return Plan(tuple(self.slots), input_slots, output_slots, self._steps(drafts, output_slots))

    def _steps(self, drafts: list[Any], output_slots: tuple[int, ...]) -> tuple[Step, ...]:
        """Lay out slots and last uses; what a run only reads (weights) is freed as well, from the run's own list."""
        last: dict[int, int] = {}
        for i, (_, reads, _, _) in enumerate(drafts):
            last.update((slot, i) for slot in reads if slot is not None)
        kept = set(output_slots)
        frees: dict[int, list[int]] = {}
        for slot, i in last.items():
            if slot not in kept:
                frees.setdefault(i, []).append(slot)
        steps = []
        for i, (call, reads, outputs, node) in enumerate(drafts):
            written = [self.slot_of.get(v) for v in outputs]
            used = tuple(s if s is not None and (s in last or s in kept) else None for s in written)
            steps.append(Step(call, reads, used, tuple(frees.get(i, ())), node))
        return tuple(steps)


def bound_kernel(node: ir.Node, opset_imports: dict[str, int]) -> tuple[Callable[..., Any], list[ir.Value]]:
    """The kernel with its attributes bound, and the outer values that its subgraphs capture."""
    entry = find_kernel(node, opset_imports)
    if entry is None:
        raise no_kernel(node, opset_imports)
    attributes = attributes_of(node)
    unknown = [name for name in attributes if name not in entry.attributes]
    if unknown:
        raise UnsupportedError(
            f"{_label(node, opset_imports)} has no attribute {unknown[0]!r}.",
            node=node.name, expected=", ".join(entry.attributes) or "no attributes", found=unknown[0],
        )  # fmt: skip
    if entry.wants_outputs:
        attributes["outputs"] = len(node.outputs)
    graphs = {name: g for name, g in attributes.items() if isinstance(g, ir.Graph)}
    if not graphs:
        return (functools.partial(entry.kernel, **attributes) if attributes else entry.kernel), []
    return _with_graphs(entry.kernel, node, attributes, graphs, opset_imports)


def _with_graphs(
    kernel: Callable[..., Any], node: ir.Node, attributes: dict[str, Any], graphs: dict[str, ir.Graph],
    opset_imports: dict[str, int],
) -> tuple[Callable[..., Any], list[ir.Value]]:  # fmt: skip
    captured: dict[ir.Value, None] = {}
    for graph in graphs.values():
        captured.update((v, None) for v in captured_values(graph))
    outer = list(captured)
    plans = {
        name: compile_graph(graph, opset_imports, [*graph.inputs, *outer], graph.outputs)
        for name, graph in graphs.items()
    }
    count = len(node.inputs)

    def call(*arguments: Any) -> Any:
        own, caught = arguments[:count], arguments[count:]
        bodies = {name: Body(plan, caught, graphs[name].outputs, node) for name, plan in plans.items()}
        return kernel(*own, **{**attributes, **bodies})

    return call, outer


class Body:
    """A subgraph as kernels call it: captured values bound, the run's deadline kept.

    Args:
        plan: The compiled subgraph; its inputs are the subgraph's own, then the captured values.
        captured: Arrays of the captured values.
        outputs: The subgraph's outputs, for their types.
        node: The node that the subgraph belongs to, for messages.
    """

    __slots__ = ("captured", "count", "node", "outputs", "plan")

    def __init__(self, plan: Plan, captured: tuple[Any, ...], outputs: Sequence[ir.Value], node: ir.Node) -> None:
        self.plan = plan
        self.captured = captured
        self.outputs = outputs
        self.count = len(outputs)
        self.node = node

    def __call__(self, *values: Any) -> list[Any]:
        """Run the subgraph."""
        deadline = DEADLINE.get()
        if deadline is not None and time.monotonic() > deadline:
            raise too_late(self.node)
        return self.plan.execute([*values, *self.captured], deadline)

    def empty(self, output: int) -> Any:
        """No instances of an output: its dtype, its shape behind a dimension of 0; 0 too where it is not known."""
        value = self.outputs[output]
        if value.dtype is None:
            raise ValueError(f"the type of output {value.name!r} of the subgraph is not known, and it never ran.")
        dims = () if value.shape is None else value.shape.dims
        shape = [0, *(d if isinstance(d, int) else 0 for d in dims)]
        return np.zeros(shape, dtype=dtypes.of(int(value.dtype)).numpy)


def captured_values(graph: ir.Graph) -> list[ir.Value]:
    """Values of outer graphs that a subgraph, or a subgraph of it, uses."""
    own: set[ir.Value] = set()
    for g in (graph, *graph.subgraphs()):
        own.update(g.inputs)
        own.update(g.initializers.values())
        own.update(v for node in g for v in node.outputs)
    found: dict[ir.Value, None] = {}
    for node in graph.all_nodes():
        found.update((v, None) for v in node.inputs if v is not None and v not in own)
    for g in (graph, *graph.subgraphs()):
        found.update((v, None) for v in g.outputs if v not in own)
    return list(found)


def frozen(array: Any) -> Any:
    """A constant as a read-only array, so that no kernel and no caller can change it."""
    if isinstance(array, np.ndarray) and array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def constant_array(value: ir.Value) -> Any:
    """The array of an initializer, read-only; ``None`` for anything else."""
    tensor = value.const_value if value.producer() is None else None
    return None if tensor is None else frozen(array_of(tensor))


def compile_graph(
    graph: ir.Graph, opset_imports: dict[str, int], inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]
) -> Plan:
    """Compile the part of a graph that ``outputs`` need, with ``inputs`` given at run time."""
    given = set(inputs)

    def constant_of(value: ir.Value) -> Any:
        return None if value in given else constant_array(value)

    return _Compiler(opset_imports, constant_of).compile(needed_nodes(graph, given, outputs), inputs, outputs)


def needed_nodes(graph: ir.Graph, given: set[ir.Value], outputs: Sequence[ir.Value]) -> list[ir.Node]:
    """The nodes that ``outputs`` need where ``given`` is given, in the graph's order."""
    needed = {v for v in outputs if v not in given}
    nodes: list[ir.Node] = []
    for node in reversed(graph):
        if any(v in needed for v in node.outputs):
            nodes.append(node)
            reads = [v for v in node.inputs if v is not None]
            for attribute in node.attributes.values():
                if attribute.type is ir.AttributeType.GRAPH:
                    reads.extend(captured_values(attribute.as_graph()))
                elif attribute.type is ir.AttributeType.GRAPHS:
                    for g in attribute.as_graphs():
                        reads.extend(captured_values(g))
            needed.update(v for v in reads if v not in given)
    nodes.reverse()
    return nodes


def find_kernel(node: ir.Node, opset_imports: dict[str, int]) -> registry.Operator | None:
    """The entry whose kernel computes the node, if there is one."""
    version = opset_imports.get(node.domain)
    return None if version is None else registry.find(node.op_type, node.domain, version)


def has_no_kernel(node: ir.Node, opset: int) -> bool:
    """Whether the node must be computed through its function body."""
    return registry.find(node.op_type, node.domain, opset) is None


def no_kernel(node: ir.Node, opset_imports: dict[str, int]) -> UnsupportedError:
    """The error for an operator that cannot be run."""
    label = _label(node, opset_imports)
    versions = [e.since for e in registry.entries() if (e.domain, e.op_type) == (node.domain, node.op_type)]
    hint = (
        f"It is there from version {min(versions)} on; convert the model upward."
        if versions
        else "See the list of operators for what is there."
    )
    return UnsupportedError(
        f"No kernel for {label}, node {node.name!r}.", code="unknown-kernel", node=node.name, found=label, hint=hint
    )


def _label(node: ir.Node, opset_imports: dict[str, int]) -> str:
    version = opset_imports.get(node.domain)
    return f"{node.domain or 'ai.onnx'}::{node.op_type}" + (f" at opset {version}" if version is not None else "")


def owned(results: list[Any], feeds: Iterable[Any]) -> list[Any]:
    """Results that the caller may keep and change: feeds, views, constants and repeated arrays are copied."""
    seen: set[int] = set()

    def own(result: Any) -> Any:
        if isinstance(result, list):  # a sequence
            return [own(one) for one in result]
        if isinstance(result, np.ndarray) and (
            result.base is not None or not result.flags.writeable or id(result) in seen or not result.flags.owndata
        ):
            return result.copy()
        seen.add(id(result))
        return np.asarray(result) if isinstance(result, np.generic) else result

    for feed in feeds:
        seen.update(map(id, feed) if isinstance(feed, list) else [id(feed)])
    return [own(result) for result in results]

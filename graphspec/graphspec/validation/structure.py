"""The names of a graph: what is defined, what is used, in which order the nodes can run.

Works on protobuf messages, not on ``onnx_ir``: that IR refuses a value defined twice, quietly invents undefined inputs
and forgets what is wrong with outputs, which are just the things to report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

from graphspec.validation import nodes, ordering, schemas, tensors, types
from graphspec.validation.report import Findings, pointer

# A serialised subgraph costs three of protobuf's hundred levels, so that nothing deeper can be read from a file.
MAX_DEPTH = 32

_INT32_MAX = 2**31 - 1

# Nodes named in the message about a cycle.
_NAMED = 40


class Named:
    """An input or output of a block: its name, its declared type if any, where it stands, whether no type is given."""

    __slots__ = ("bare", "name", "path", "type")

    def __init__(self, name: str, type_: onnx.TypeProto | None, path: str, *, bare: bool = False) -> None:
        self.name, self.type, self.path, self.bare = name, type_, path, bare


@dataclasses.dataclass(slots=True)
class Block:
    """A graph, subgraph or function body, with its names resolved.

    Attributes:
        path: JSON pointer of the block.
        nodes: The nodes in the order of the file; ``order`` holds their numbers in an order that can run.
        inputs: The inputs; positional in subgraphs and functions.
        outputs: The outputs.
        parameters: The initializers by name.
        declared: Types that the file declares for values of the block, with the place of the declaration.
        opsets: Versions of the domains in scope.
        attributes: Names that ``ref_attr_name`` may use; ``None`` outside of functions.
        captured: Names used here (or deeper) and defined further out.
        children: Number of a node → its subgraphs with their attribute's name.
        broken: Numbers of the nodes that are malformed, whose types cannot be inferred.
        sorted: Whether the file's order can run.
    """

    path: str
    nodes: Sequence[onnx.NodeProto]
    opsets: Mapping[str, int]
    inputs: list[Named]
    outputs: list[Named]
    parameters: dict[str, onnx.TensorProto | onnx.SparseTensorProto]
    declared: dict[str, tuple[onnx.TypeProto, str]]
    attributes: frozenset[str] | None = None
    order: list[int] = dataclasses.field(default_factory=list)
    captured: set[str] = dataclasses.field(default_factory=set)
    children: dict[int, list[tuple[str, Block]]] = dataclasses.field(default_factory=dict)
    broken: set[int] = dataclasses.field(default_factory=set)
    sorted: bool = True


class Scope:
    """The names visible at one place: those of its block, then those further out."""

    __slots__ = ("names", "parent")

    def __init__(self, parent: Scope | None) -> None:
        self.parent = parent
        self.names: dict[str, int] = {}  # name → number of the node that defines it; -1 for inputs and parameters

    def __contains__(self, name: object) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.parent
        return False

    def __len__(self) -> int:
        return len(self.names) + (0 if self.parent is None else len(self.parent))

    def __iter__(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.parent


def graph_block(
    graph: onnx.GraphProto,
    path: str,
    context: nodes.Context,
    opsets: Mapping[str, int],
    *,
    parent: Scope | None = None,
    depth: int = 0,
    attributes: frozenset[str] | None = None,
) -> Block:
    """Resolve the names of a graph and its subgraphs; every problem goes to ``context.findings``."""
    findings = context.findings
    if not graph.name and (parent is not None or graph.ListFields()):
        findings.add("invalid-name", f"{path}/name", "A graph has no name.", expected="a name", found="an empty one")
    declared = _declarations(graph.value_info, path, findings)
    inputs = [_named(info, f"{path}/inputs/{pointer(info.name)}", findings) for info in graph.input]
    outputs = [_named(info, f"{path}/outputs/{number}", findings) for number, info in enumerate(graph.output)]
    declared.update({place.name: (place.type, place.path) for place in outputs if place.type is not None})
    block = Block(path, graph.node, opsets, inputs, outputs, _parameters(graph, path, findings), declared, attributes)
    _resolve(block, context, Scope(parent), depth)
    return block


def function_block(function: onnx.FunctionProto, path: str, context: nodes.Context) -> Block:
    """Resolve the names of a model-local function."""
    findings = context.findings
    declared = _declarations(function.value_info, path, findings)
    inputs = [Named(name, None, f"{path}/inputs/{number}") for number, name in enumerate(function.input)]
    outputs = [Named(name, None, f"{path}/outputs/{number}") for number, name in enumerate(function.output)]
    opsets = opset_imports(function.opset_import, path, findings)
    attributes = frozenset(function.attribute) | {a.name for a in function.attribute_proto}
    block = Block(path, function.node, opsets, inputs, outputs, {}, declared, attributes)
    _resolve(block, context, Scope(None), 0)
    return block


def _declarations(
    infos: Iterable[onnx.ValueInfoProto], path: str, findings: Findings
) -> dict[str, tuple[onnx.TypeProto, str]]:
    places = [_named(info, f"{path}/value_info/{pointer(info.name)}", findings) for info in infos]
    return {place.name: (place.type, place.path) for place in places if place.type is not None}


def _named(info: onnx.ValueInfoProto, path: str, findings: Findings) -> Named:
    """A declared value; what is wrong with its type is reported, and then as good as not said."""
    given = info.type if info.HasField("type") and info.type.WhichOneof("value") else None
    if given is None:
        return Named(info.name, None, path, bare=True)
    if tensors.check_type(findings, given, path):
        return Named(info.name, given, path)
    known = types.known(given) and given.HasField("tensor_type")
    return Named(info.name, types.with_shape(given, None) if known else None, path)


def opset_imports(imports: Iterable[onnx.OperatorSetIdProto], path: str, findings: Findings) -> dict[str, int]:
    """Domain → version, the default domain under its short name."""
    versions: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.get(domain, entry.version) != entry.version:
            findings.add(
                "duplicate-name",
                f"{path}/opset",
                f"The domain {domain or 'ai.onnx'!r} is imported at two versions.",
                expected="one version",
                found=f"{versions[domain]} and {entry.version}",
                hint="Keep one of the two.",
            )
        versions[domain] = entry.version
        newest = schemas.latest().get(domain)
        if not 1 <= entry.version <= (newest or _INT32_MAX):
            findings.add(
                "unsupported-opset",
                f"{path}/opset" if not domain else f"{path}/opset/{pointer(domain)}",
                f"Version {entry.version} of {domain or 'ai.onnx'} is not known.",
                expected=f"1 to {newest or _INT32_MAX}",
                found=str(entry.version),
            )
            versions[domain] = newest or 1  # so that the nodes can still be checked
    return versions


def _parameters(
    graph: onnx.GraphProto, path: str, findings: Findings
) -> dict[str, onnx.TensorProto | onnx.SparseTensorProto]:
    parameters: dict[str, onnx.TensorProto | onnx.SparseTensorProto] = {}
    found: list[tuple[str, str, onnx.TensorProto | onnx.SparseTensorProto]]
    found = [(t.name, "parameters", t) for t in graph.initializer]
    found += [(s.values.name, "sparse_parameters", s) for s in graph.sparse_initializer]
    for name, member, tensor in found:
        where = f"{path}/{member}/{pointer(name)}"
        if not name:
            findings.add("invalid-name", where, "A parameter has no name.", expected="a name", found="an empty one")
        elif name in parameters:
            findings.add("duplicate-name", where, f"Two parameters are named {name!r}.", hint="Rename one of them.")
        if isinstance(tensor, onnx.TensorProto):
            tensors.check_tensor(findings, tensor, where)
        else:
            tensors.check_sparse(findings, tensor, where)
        parameters.setdefault(name, tensor)
    return parameters


def _resolve(block: Block, context: nodes.Context, scope: Scope, depth: int) -> None:
    findings = context.findings
    needs: list[set[int]] = [set() for _ in block.nodes]
    _define(block, scope, findings)
    undefined: dict[str, list[str]] = {}
    for number, node in enumerate(block.nodes):
        path = f"{block.path}/nodes/{number}"
        if not nodes.check_node(nodes.At(node, number, path), block, context):
            block.broken.add(number)
        for place, name in enumerate(node.input):
            _use(block, scope, name, f"{path}/inputs/{place}", needs[number], undefined)
        for attribute_name, graph, where in _subgraphs(node, path):
            if depth >= MAX_DEPTH:
                findings.add(
                    "too-deep",
                    where,
                    "The subgraphs are nested too deeply.",
                    node=node.name,
                    expected=f"at most {MAX_DEPTH} levels",
                    found="more",
                )
                block.broken.add(number)
                continue
            child = graph_block(
                graph, where, context, block.opsets, parent=scope, depth=depth + 1, attributes=block.attributes
            )
            block.children.setdefault(number, []).append((attribute_name, child))
            for name in child.captured:
                _use(block, scope, name, where, needs[number], undefined)
    for output in block.outputs:
        if output.name not in scope.names and scope.parent is not None and output.name in scope.parent:
            findings.add(
                "undefined-value",
                output.path,
                f"The output {output.name!r} of the subgraph is defined outside of it.",
                expected="a value of the subgraph itself",
                found=output.name,
                hint="Pass it through a node Identity.",
            )
        else:
            _use(block, scope, output.name, output.path, None, undefined)
    _report_undefined(block, scope, undefined, findings)
    _report_order(block, needs, findings)


def _subgraphs(node: onnx.NodeProto, path: str) -> Iterator[tuple[str, onnx.GraphProto, str]]:
    for attribute in node.attribute:
        where = f"{path}/attributes/{pointer(attribute.name)}"
        if attribute.HasField("g"):
            yield attribute.name, attribute.g, where
        for number, graph in enumerate(attribute.graphs):
            yield attribute.name, graph, f"{where}/{number}"


def _define(block: Block, scope: Scope, findings: Findings) -> None:
    seen: set[str] = set()
    for place in block.inputs:
        if not place.name:
            findings.add("invalid-name", place.path, "An input has no name.", expected="a name", found="an empty one")
        elif place.name in seen:
            # One member of the document's inputs cannot tell the two apart: the second is the one that is wrong.
            findings.add("duplicate-name", place.path, f"Two inputs are named {place.name!r}.", hint="Rename one.")
        seen.add(place.name)
        scope.names[place.name] = -1
    for name in block.parameters:
        scope.names[name] = -1
    first_node: dict[str, int] = {}
    for number, node in enumerate(block.nodes):
        if node.name:
            other = first_node.setdefault(node.name, number)
            if other != number:
                findings.add(
                    "duplicate-name",
                    f"{block.path}/nodes/{number}",
                    f"Two nodes are named {node.name!r}: {other} and {number}.",
                    severity="warning",
                    node=node.name,
                    hint="Messages and profiles tell nodes apart by their names.",
                )
        for place_, name in enumerate(node.output):
            if not name:
                continue
            if name in scope:
                findings.add(
                    "duplicate-value",
                    f"{block.path}/nodes/{number}/outputs/{place_}",
                    f"The value {name!r} is defined twice: by {_definer(block, scope, name)} "
                    f"and by {nodes.label(node, number)}.",
                    node=node.name,
                    expected="one definition of each value",
                    found="two",
                    hint="Rename the second one, and its uses.",
                )
            scope.names.setdefault(name, number)


def _definer(block: Block, scope: Scope, name: str) -> str:
    number = scope.names.get(name)
    if number is None:
        return "a graph further out"
    if number >= 0:
        return nodes.label(block.nodes[number], number)
    return "a parameter" if name in block.parameters else "an input"


def _use(
    block: Block, scope: Scope, name: str, path: str, needs: set[int] | None, undefined: dict[str, list[str]]
) -> None:
    if not name and needs is not None:
        return  # an optional input left out
    number = scope.names.get(name)
    if number is None:
        if name and scope.parent is not None and name in scope.parent:
            block.captured.add(name)
        else:
            undefined.setdefault(name, []).append(path)
    elif number >= 0 and needs is not None:
        needs.add(number)


def _report_undefined(block: Block, scope: Scope, undefined: dict[str, list[str]], findings: Findings) -> None:
    for name, uses in undefined.items():
        tail = uses[0].removeprefix(f"{block.path}/nodes/").split("/")[0]
        node = block.nodes[int(tail)] if tail.isdigit() else None
        who = "An output" if node is None else nodes.title(node, int(tail))
        more = f" (and {len(uses) - 1} more)" if len(uses) > 1 else ""
        if not name:
            findings.add("invalid-name", uses[0], "An output has no name.", expected="a name", found="an empty one")
            continue
        findings.add(
            "undefined-value",
            uses[0],
            f"{who}{more} uses the value {name!r}, which nothing defines.",
            node=None if node is None else node.name,
            expected="an input, a parameter or an output of a node",
            found=name,
            hint=findings.nearest(name, scope),
        )


def _report_order(block: Block, needs: list[set[int]], findings: Findings) -> None:
    block.order, cycles = ordering.order(needs)
    for cycle in cycles:
        members = [nodes.label(block.nodes[number], number) for number in cycle]
        names = [block.nodes[number].name or f"node {number}" for number in cycle]
        if len(cycle) > _NAMED:
            for listed in (members, names):
                listed[_NAMED // 2 : -_NAMED // 2] = ["..."]
        findings.add(
            "cycle",
            f"{block.path}/nodes/{cycle[0]}",
            f"Nodes need each other's outputs: {' → '.join([*members, members[0]])}.",
            node=block.nodes[cycle[0]].name,
            expected="a graph without cycles",
            found=f"a cycle of {len(cycle)}: {', '.join(names)}",
            hint="A loop is written with the operators Loop or Scan.",
        )
    block.sorted = block.order == list(range(len(block.nodes)))
    if not block.sorted and not cycles:
        early = next(number for number, wanted in enumerate(needs) if any(other >= number for other in wanted))
        late = min(other for other in needs[early] if other >= early)
        findings.add(
            "not-sorted",
            f"{block.path}/nodes/{early}",
            f"{nodes.title(block.nodes[early], early)} comes before "
            f"{nodes.label(block.nodes[late], late)}, whose output it uses.",
            severity="warning",
            node=block.nodes[early].name,
            expected="every node after those it uses, as ONNX asks",
            found=f"node {early} before node {late}",
            hint="GraphSpec sorts the nodes by itself; other tools refuse this file.",
        )

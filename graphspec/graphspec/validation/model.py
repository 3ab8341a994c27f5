"""``validate``: all checks over a whole model, in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx
import onnx.checker

from graphspec.errors import Severity
from graphspec.validation import nodes, ordering, schemas, source, texts, types
from graphspec.validation.fitting import Known
from graphspec.validation.report import Findings, Kind, Report, ValueInfo, pointer
from graphspec.validation.structure import Block, Named, function_block, graph_block, opset_imports
from graphspec.validation.walk import CALL_BUDGET, MAX_CALL_DEPTH, Env, Walk

_OLDEST_IR, _FIRST_WITH_OPSETS, _FIRST_WITH_FREE_PARAMETERS = 1, 3, 4

# Larger parameters are not handed to onnx.checker: their data was checked here, and a copy would cost their size.
_CHECKED_ELEMENTS = 1024


def validate(source_: Any) -> Report:
    """Report every problem of a graph at once, and what is known of its values.

    Args:
        source_: Anything that ``graphspec.load`` takes; protobuf messages are read as they are, never changed.

    Returns:
        The problems (codes: see docs/validation.md) and the types and shapes of all values that could be inferred.

    Raises:
        LoadError: The source is not a graph that can be read at all.
    """
    return _Validation(source.to_proto(source_)).report()


class _Validation:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.findings = Findings()
        self.values: dict[str, ValueInfo] = {}
        self.unranked = False

    def report(self) -> Report:
        try:
            for path in texts.not_utf8(self.model):
                self.findings.add("invalid-name", path, "A name is not UTF-8.", expected="UTF-8", found="other bytes")
            if not self.findings.errors:  # names that are no text stand in the way of all else
                self._run()
        except Exception as error:  # nothing that a model holds may bring validation down
            self.findings.add("unexpected", "", f"The graph cannot be read to its end: {type(error).__name__}.")
        return Report(tuple(self.findings.problems), self.values)

    def _run(self) -> None:
        model, findings = self.model, self.findings
        opsets = self._check_head()
        functions: dict[nodes.FunctionId, onnx.FunctionProto] = {}
        for number, function in enumerate(model.functions):
            key = nodes.function_id(function)
            if key in functions:
                findings.add(
                    "duplicate-name",
                    f"/functions/{number}",
                    f"Two functions are named {function.name!r} in {function.domain!r}.",
                )
            if not function.name:
                findings.add("invalid-name", f"/functions/{number}", "A function has no name.")
            functions.setdefault(key, function)
        context = nodes.Context(findings, functions)
        main = graph_block(model.graph, "", context, opsets)
        blocks = [function_block(f, f"/functions/{i}", context) for i, f in enumerate(model.functions)]
        by_id: dict[nodes.FunctionId, tuple[onnx.FunctionProto, Block]] = {}
        for function, block in zip(model.functions, blocks, strict=True):
            by_id.setdefault(nodes.function_id(function), (function, block))
        expanded = self._check_recursion(model, blocks, main, by_id)
        readable = _OLDEST_IR <= model.ir_version <= onnx.IR_VERSION
        walk = Walk(findings, by_id, model.ir_version if readable else onnx.IR_VERSION)
        env = self._start(main, walk)
        if expanded is not None:
            walk.block(main, env)
        self._fill_values(main, env)
        self._check_ends(main, env)
        self._check_use(main)
        if not findings.errors:
            self._check_onnx(main, [main, *blocks], env, full=expanded is not None and expanded <= CALL_BUDGET)

    def _check_head(self) -> dict[str, int]:
        model, findings = self.model, self.findings
        if not _OLDEST_IR <= model.ir_version <= onnx.IR_VERSION:
            findings.add(
                "unsupported-ir-version",
                "/model/ir_version",
                "The model's IR version is not one that can be read.",
                expected=f"{_OLDEST_IR} to {onnx.IR_VERSION}",
                found=str(model.ir_version) if model.HasField("ir_version") else "none",
            )
        opsets = opset_imports(model.opset_import, "", findings)
        if not opsets:
            if model.ir_version and model.ir_version < _FIRST_WITH_OPSETS:
                opsets = {"": 1}
            else:
                findings.add(
                    "no-opset-import",
                    "/opset",
                    "The model does not say which version of ONNX's operators it uses.",
                    expected="an opset version",
                    found="none",
                    hint=f"The newest known here is {schemas.latest()['']}.",
                )
                opsets = {"": schemas.latest()[""]}
        if not self.model.HasField("graph"):
            findings.add("no-outputs", "/outputs", "The model has no graph.", expected="a graph", found="nothing")
        return opsets

    def _check_recursion(
        self,
        model: onnx.ModelProto,
        blocks: list[Block],
        main: Block,
        by_id: Mapping[nodes.FunctionId, tuple[onnx.FunctionProto, Block]],
    ) -> int | None:
        """Number of nodes with all calls written out; ``None`` if functions call themselves."""
        number_of = {id(block): number for number, block in enumerate(blocks)}
        calls = [[number_of[id(by_id[c][1])] for c in _calls(block) if c in by_id] for block in blocks]
        sequence, cycles = ordering.order([set(c) for c in calls])
        for cycle in cycles:
            names = [model.functions[number].name for number in [cycle[0], *reversed(cycle[1:])]]
            self.findings.add(
                "function-recursion",
                f"/functions/{cycle[0]}",
                f"Functions call themselves: {' → '.join([*names, names[0]])}.",
                expected="functions that end",
                found="a recursion of " + ", ".join(names),
            )
        if cycles:
            return None
        sizes, depths = [0] * len(blocks), [0] * len(blocks)
        for number in sequence:
            sizes[number] = _size(blocks[number]) + sum(sizes[c] for c in calls[number])
            depths[number] = 1 + max((depths[c] for c in calls[number]), default=0)
            if sizes[number] > CALL_BUDGET or depths[number] > MAX_CALL_DEPTH:
                sizes[number] = CALL_BUDGET + 1  # however much more: ONNX's own recursion must not see it
        return _size(main) + sum(sizes[number_of[id(by_id[c][1])]] for c in _calls(main) if c in by_id)

    def _start(self, main: Block, walk: Walk) -> Env:
        env = Env()
        for place in main.inputs:
            if place.bare:
                self.findings.add(
                    "missing-type",
                    place.path,
                    f"The input {place.name!r} has no type.",
                    expected="an element type and a shape",
                    found="nothing",
                )
            elif place.type is not None and not types.ranked(place.type):
                self._no_rank(place, "input")
            env.values.setdefault(place.name, Known(place.type, f"input {place.name!r}"))
        walk.add_parameters(main, env, overridable=self.model.ir_version >= _FIRST_WITH_FREE_PARAMETERS)
        return env

    def _no_rank(self, place: Named, what: str) -> None:
        self.findings.add(
            "missing-shape",
            place.path,
            f"The number of dimensions of the {what} {place.name!r} is not known.",
            severity="warning",
            expected="a shape, if only of symbolic dimensions",
            found="none",
            hint="GraphSpec does not need it; other tools refuse this file.",
        )
        self.unranked = True

    def _fill_values(self, main: Block, env: Env) -> None:
        inputs = {place.name for place in main.inputs}
        for name, known in env.values.items():
            kind: Kind = "parameter" if name in main.parameters else "input" if name in inputs else "intermediate"
            dtype = types.dtype_text(known.type)
            self.values[name] = ValueInfo(None if dtype == "unknown" else dtype, types.shape_of(known.type), kind)

    def _check_ends(self, main: Block, env: Env) -> None:
        if not main.outputs and self.model.HasField("graph"):
            self.findings.add(
                "no-outputs", "/outputs", "The graph has no outputs.", expected="at least one", found="none"
            )
        seen: dict[str, str] = {}
        for place in main.outputs:
            if place.name and seen.setdefault(place.name, place.path) != place.path:
                self.findings.add(
                    "duplicate-name",
                    place.path,
                    f"The output {place.name!r} is listed twice.",
                    severity="warning",
                    hint="Results are told apart by their names: it comes back once.",
                )
            known = env.values.get(place.name)
            if not self.findings.errors and (known is None or known.type is None or not types.ranked(known.type)):
                self._no_rank(place, "output")
            if known is None or known.type is None or place.type is None:
                continue
            if place.name in {i.name for i in main.inputs} | set(main.parameters):
                what = types.contradiction(place.type, known.type)
                if what is not None:
                    self.findings.add(
                        "output-contradicted",
                        place.path,
                        f"The output {place.name!r} is declared otherwise than the {known.origin}.",
                        expected=types.describe(known.type),
                        found=types.describe(place.type),
                    )

    def _check_use(self, main: Block) -> None:
        findings = self.findings
        used = {name for node in main.nodes for name in node.input} | {place.name for place in main.outputs}
        for children in main.children.values():
            for _, child in children:
                used |= child.captured
        for place in main.inputs:
            if place.name and place.name not in used and place.name not in main.parameters:
                findings.add(
                    "unused-input",
                    place.path,
                    f"Nothing uses the input {place.name!r}.",
                    severity="warning",
                    hint="Remove it, or use it.",
                )
        for name, tensor in main.parameters.items():
            if name and name not in used:
                member = "parameters" if isinstance(tensor, onnx.TensorProto) else "sparse_parameters"
                findings.add(
                    "unused-parameter",
                    f"/{member}/{pointer(name)}",
                    f"Nothing uses the parameter {name!r}.",
                    severity="warning",
                    hint="Remove it, or use it.",
                )
        for number, node in enumerate(main.nodes):
            if not any(name in used for name in node.output if name):
                findings.add(
                    "unused-node",
                    f"/nodes/{number}",
                    f"Nothing uses the outputs of {nodes.label(node, number)}.",
                    severity="warning",
                    node=node.name,
                    hint="Remove it, or make its value an output.",
                )

    def _check_onnx(self, main: Block, blocks: list[Block], env: Env, *, full: bool) -> None:
        """The last net: whatever ``onnx.checker`` finds that nothing above has found."""
        if not all(_sorted_inside(block, outermost=block is main) for block in blocks):
            return  # onnx.checker would stop at the first node out of order
        severity: Severity = "error"
        try:
            light = _light(self.model, main, env)
            onnx.checker.check_model(light)
            # What follows infers once more what was inferred above node by node. Where it alone objects it is mistaken
            # (it expands operators' bodies at opsets that they do not fit), but the user's other tools may object too.
            severity = "warning"
            if full and not self.unranked:
                onnx.checker.check_model(light, full_check=True)
        except Exception as error:  # ValidationError, InferenceError, ValueError of messages beyond 2 GB
            text = " ".join(str(error).split())[:500]
            self.findings.add("onnx-checker", "", f"onnx.checker refuses the model: {text}", severity=severity)


def _calls(block: Block) -> list[nodes.FunctionId]:
    found = [nodes.function_id(node) for node in block.nodes]
    for children in block.children.values():
        for _, child in children:
            found += _calls(child)
    return found


def _size(block: Block) -> int:
    return len(block.nodes) + sum(_size(c) for children in block.children.values() for _, c in children)


def _sorted_inside(block: Block, *, outermost: bool) -> bool:
    if not block.sorted and not outermost:
        return False
    return all(_sorted_inside(c, outermost=False) for children in block.children.values() for _, c in children)


def _light(model: onnx.ModelProto, main: Block, env: Env) -> onnx.ModelProto:
    """A copy in order and without large parameters, which become inputs."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    for entry in model.metadata_props:
        light.metadata_props.add().CopyFrom(entry)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(main.nodes[number] for number in main.order)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    for info in graph.output:
        known = env.values.get(info.name)
        if known is not None and known.type is not None and not types.ranked(info.type):
            info.type.CopyFrom(known.type)
    for info in [*graph.input, *graph.output]:
        if not types.ranked(info.type):  # reported as missing-shape: here it must not hide other faults
            element = types.element_of(info.type) or types.FLOAT
            info.type.CopyFrom(types.tensor_type(element, ()))
    inputs = {info.name for info in graph.input}
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _CHECKED_ELEMENTS:
            graph.initializer.add().CopyFrom(tensor)
        elif tensor.name not in inputs:
            graph.input.append(
                onnx.helper.make_value_info(tensor.name, types.tensor_type(tensor.data_type, tuple(tensor.dims)))
            )
    return light

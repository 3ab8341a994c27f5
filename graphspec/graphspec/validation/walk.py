"""Types and shapes, node after node: every node is inferred alone, so that an error has a place and stays there.

After an error the node's outputs have their declared types, or what their type variables say, or none; what is unknown
is never complained about, so that one error does not become many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx.shape_inference

from graphspec.validation import bodies, constants, fitting, nodes, schemas, shape_rules, types
from graphspec.validation.fitting import Known
from graphspec.validation.report import Findings, pointer
from graphspec.validation.structure import Block, Named

# Nodes inferred inside functions, all calls together. Calls that call twice grow without bound otherwise.
CALL_BUDGET = 100_000
MAX_CALL_DEPTH = 32

Bindings = Mapping[str, onnx.AttributeProto | None]


class Env:
    """Known values by name, block within block."""

    __slots__ = ("parent", "values")

    def __init__(self, parent: Env | None = None) -> None:
        self.parent = parent
        self.values: dict[str, Known] = {}

    def get(self, name: str) -> Known | None:
        """The value visible under a name."""
        env: Env | None = self
        while env is not None:
            if (known := env.values.get(name)) is not None:
                return known
            env = env.parent
        return None


class Walk:
    """Infers the types of a model's values."""

    def __init__(
        self,
        findings: Findings,
        functions: Mapping[nodes.FunctionId, tuple[onnx.FunctionProto, Block]],
        ir_version: int,
    ) -> None:
        self.findings = findings
        self.ir_version = ir_version
        self.calls_left = CALL_BUDGET
        self._functions = functions
        self._call_depth = 0
        self._calls: dict[tuple[object, ...], list[onnx.TypeProto | None]] = {}
        self._imports: dict[int, list[onnx.OperatorSetIdProto]] = {}

    def block(self, block: Block, env: Env, bindings: Bindings | None = None) -> list[onnx.TypeProto | None]:
        """Infer all nodes of a block whose inputs and parameters are in ``env`` already.

        Args:
            block: The block.
            env: Gets the types of the block's values.
            bindings: In a call, the function's attributes.

        Returns:
            The types of the block's outputs.
        """
        for number in block.order:
            self._node(block, number, env, bindings)
        found = [env.get(place.name) for place in block.outputs]
        return [None if known is None else known.type for known in found]

    def add_parameters(self, block: Block, env: Env, *, overridable: bool) -> None:
        """Put the block's initializers into ``env``; those that are inputs as well have data only if asked for."""
        inputs = {place.name for place in block.inputs}
        for name, tensor in block.parameters.items():
            dense = isinstance(tensor, onnx.TensorProto)
            values = tensor if isinstance(tensor, onnx.TensorProto) else tensor.values
            sound = all(size >= 0 for size in tensor.dims)
            proto = types.tensor_type(values.data_type, tuple(tensor.dims) if sound else None)
            data = constants.of_tensor(tensor) if isinstance(tensor, onnx.TensorProto) and dense and sound else None
            declared = env.values.get(name)
            if name in inputs and declared is not None:
                if declared.type is not None and sound:
                    self._compare(declared.type, proto, f"{block.path}/parameters/{pointer(name)}", name)
                fixed = None if overridable else data
                env.values[name] = Known(declared.type or proto, f"parameter {name!r}", fixed)
            else:
                env.values[name] = Known(proto, f"parameter {name!r}", data)

    def _compare(self, declared: onnx.TypeProto, found: onnx.TypeProto, path: str, name: str) -> None:
        what = types.contradiction(declared, found)
        if what is not None:
            self.findings.add(
                "dtype-mismatch" if what == "dtype" else "shape-mismatch",
                path,
                f"The parameter {name!r} and the input of the same name differ in {what}.",
                expected=f"{types.describe(declared)}, as the input says",
                found=types.describe(found),
            )

    # One node

    def _node(self, block: Block, number: int, env: Env, bindings: Bindings | None) -> None:
        node, path = block.nodes[number], f"{block.path}/nodes/{number}"
        origin = nodes.label(node, number)
        outputs: Sequence[onnx.TypeProto | None] = [None] * len(node.output)
        data: constants.Array | None = None
        before = self.findings.errors
        try:
            outputs, data = self._infer(block, number, env, bindings)
        except Exception as error:  # a fuzzed node may upset anything; the others still count
            self.findings.add(
                "inference",
                path,
                f"The types of {origin} cannot be inferred: {type(error).__name__}.",
                node=node.name,
                found=fitting.clean_text(str(error)),
            )
        sound = self.findings.errors == before
        for place, name in enumerate(node.output):
            if not name or name in env.values:
                continue
            proto = outputs[place] if place < len(outputs) else None
            declaration = block.declared.get(name)
            if declaration is not None:
                proto = self._declared(declaration, proto, name, node, number, path, check=sound)
            env.values[name] = Known(proto, origin, data if place == 0 else None)

    def _declared(
        self,
        declaration: tuple[onnx.TypeProto, str],
        inferred: onnx.TypeProto | None,
        name: str,
        node: onnx.NodeProto,
        number: int,
        path: str,
        *,
        check: bool,
    ) -> onnx.TypeProto | None:
        declared, where = declaration
        if inferred is None or not check:
            return declared
        if types.contradiction(declared, inferred) is None:
            return types.merge(declared, inferred)
        self.findings.add(
            "output-contradicted",
            where,
            f"The value {name!r} is declared otherwise than {nodes.label(node, number)} computes it.",
            node=node.name,
            expected=f"{types.describe(inferred)}, as inferred at {path}",
            found=f"{types.describe(declared)}, as declared",
            hint="Correct the declaration, or leave it out.",
        )
        return inferred

    def _infer(
        self, block: Block, number: int, env: Env, bindings: Bindings | None
    ) -> tuple[Sequence[onnx.TypeProto | None], constants.Array | None]:
        node, path = block.nodes[number], f"{block.path}/nodes/{number}"
        known = [env.get(name) if name else None for name in node.input]
        if number in block.broken:
            self._children(block, number, known, env, bindings)
            return [], None
        if bindings is not None:
            node = bodies.bind(node, bindings)
        if (function := self._functions.get(nodes.function_id(node))) is not None:
            return self._call(*function, node, known), None
        domain = schemas.domain_of(node.domain)
        operator = schemas.operator(domain, node.op_type, block.opsets.get(domain, 0))
        if operator is None:
            return [], None
        at = nodes.At(node, number, path)
        variables = fitting.check_types(self.findings, operator, at, known)
        fallback = fitting.fallback(operator, node, variables or {})
        errors = self.findings.errors
        children = self._children(block, number, known, env, bindings)
        if variables is None or self.findings.errors != errors:
            return fallback, None
        inputs = [None if k is None else k.type for k in known]
        data = [None if k is None else k.data for k in known]
        attributes = fitting.attributes_of(node)
        given = shape_rules.Given([types.shape_of(t) for t in inputs], data, attributes, operator.schema.since_version)
        if not domain and not fitting.check_shapes(self.findings, operator, given, at, known):
            return fallback, None
        inferred = self._onnx(operator, block, number, node, known, children)
        if inferred is None:
            return fallback, None
        outputs = [types.merge(guess, proto) for guess, proto in zip(fallback, inferred, strict=True)]
        if domain:
            return outputs, None
        if node.op_type == "Loop" and ("body", 0) in children:
            outputs = bodies.carried(outputs, inputs, children["body", 0])
        if (refine := shape_rules.REFINEMENTS.get(node.op_type)) is not None and outputs[0] is not None:
            refined = refine(given)
            if refined is not None:
                outputs[0] = _refined(outputs[0], refined)
        result = None
        if node.op_type in constants.OPERATORS and outputs:
            result = constants.compute(node.op_type, constants.Arguments(data, inputs, attributes), outputs[0])
        return outputs, result

    # What the ONNX library says

    def _onnx(
        self,
        operator: schemas.Operator,
        block: Block,
        number: int,
        node: onnx.NodeProto,
        known: Sequence[Known | None],
        children: Mapping[tuple[str, int], bodies.Body],
    ) -> list[onnx.TypeProto | None] | None:
        imports = self._imports.get(id(block.opsets))
        if imports is None:
            imports = [onnx.helper.make_opsetid(domain, version) for domain, version in block.opsets.items()]
            self._imports[id(block.opsets)] = imports
        input_types: dict[str, onnx.TypeProto] = {}
        input_data: dict[str, onnx.TensorProto] = {}
        complete = True
        for name, value in zip(node.input, known, strict=True):
            if not name:
                continue
            proto = None if value is None else value.type
            if proto is None or not types.known(proto):
                complete = False
                proto = None
            input_types[name] = onnx.TypeProto() if proto is None else proto
            if value is not None and value.data is not None and value.data.dtype != object:
                input_data[name] = onnx.numpy_helper.from_array(value.data, name)
        stubs = bodies.with_stubs(node, children) if children else node
        complete = complete and all(body.complete for body in children.values())
        try:
            found = onnx.shape_inference.infer_node_outputs(
                operator.schema, stubs, input_types, input_data, opset_imports=imports, ir_version=self.ir_version
            )
        except Exception as error:  # InferenceError, ValidationError, and whatever odd values provoke
            if complete:
                fitting.refused(
                    self.findings,
                    error,
                    nodes.At(block.nodes[number], number, f"{block.path}/nodes/{number}"),
                    operator,
                    known,
                )
            return None
        result = [found.get(name) if name else None for name in node.output]
        return [None if p is None or p.WhichOneof("value") is None else p for p in result]

    # Blocks within the node

    def _children(
        self,
        block: Block,
        number: int,
        known: Sequence[Known | None],
        env: Env,
        bindings: Bindings | None,
    ) -> dict[tuple[str, int], bodies.Body]:
        """Walk the subgraphs of a node; what goes in is what the operator says of its body."""
        result: dict[tuple[str, int], bodies.Body] = {}
        node = block.nodes[number]
        for name, child in block.children.get(number, ()):
            position = sum(1 for key in result if key[0] == name)
            actual = bodies.input_types(node, [None if k is None else k.type for k in known], block.opsets.get("", 0))
            if actual is not None and len(actual) != len(child.inputs) and number not in block.broken:
                self.findings.add(
                    "wrong-number-of-inputs",
                    f"{child.path}/inputs",
                    f"The subgraph {name!r} of {nodes.label(node, number)} has {len(child.inputs)} inputs.",
                    node=node.name,
                    expected=str(len(actual)),
                    found=str(len(child.inputs)),
                )
            inner = Env(env)
            for index, formal in enumerate(child.inputs):
                proto = actual[index] if actual is not None and index < len(actual) else None
                origin = f"input {formal.name!r} of the subgraph {name!r}"
                inner.values[formal.name] = Known(self._bound(formal, proto, node), origin)
            self.add_parameters(child, inner, overridable=False)
            outputs = self.block(child, inner, bindings)
            ins = [inner.values[formal.name].type for formal in child.inputs]
            result[name, position] = bodies.Body(child, ins, outputs)
        return result

    def _bound(self, formal: Named, actual: onnx.TypeProto | None, node: onnx.NodeProto) -> onnx.TypeProto | None:
        if formal.type is None or actual is None:
            return formal.type or actual
        what = types.contradiction(formal.type, actual)
        if what is None:
            return types.merge(formal.type, actual)
        self.findings.add(
            "dtype-mismatch" if what == "dtype" else "shape-mismatch",
            formal.path,
            f"The subgraph's input {formal.name!r} is declared otherwise than what {node.op_type} gives it.",
            node=node.name,
            expected=types.describe(actual),
            found=types.describe(formal.type),
        )
        return formal.type

    def _call(
        self, function: onnx.FunctionProto, body: Block, node: onnx.NodeProto, known: Sequence[Known | None]
    ) -> list[onnx.TypeProto | None]:
        values = {name: value for name, value in zip(function.input, known, strict=False) if value is not None}
        key = (
            id(body),
            tuple(
                (name, "" if v.type is None else v.type.SerializeToString(), None if v.data is None else repr(v.data))
                for name, v in values.items()
            ),
            tuple(attribute.SerializeToString() for attribute in node.attribute),
        )
        if (cached := self._calls.get(key)) is not None:
            return cached
        size = len(body.nodes)
        if self._call_depth >= MAX_CALL_DEPTH or self.calls_left < size:
            self.findings.add(
                "limit",
                body.path,
                f"The calls of function {function.name!r} are too deep or too many to infer all their types.",
                severity="warning",
            )
            return [None] * len(node.output)
        self.calls_left -= size
        bindings: dict[str, onnx.AttributeProto | None] = dict.fromkeys(function.attribute)
        bindings.update({attribute.name: attribute for attribute in function.attribute_proto})
        bindings.update({attribute.name: attribute for attribute in node.attribute})
        env = Env()
        for name in function.input:
            value = values.get(name)
            env.values[name] = Known(
                None if value is None else value.type,
                f"input {name!r} of the function {function.name!r}",
                None if value is None else value.data,
            )
        self._call_depth += 1
        try:
            outputs = self.block(body, env, bindings)[: len(node.output)]
        finally:
            self._call_depth -= 1
        self._calls[key] = outputs
        return outputs


def _refined(proto: onnx.TypeProto, shape: tuple[int | str | None, ...]) -> onnx.TypeProto:
    refined = types.with_shape(proto, shape)
    if types.contradiction(refined, proto) is not None or any(isinstance(s, int) and s < 0 for s in shape):
        return proto
    return types.merge(refined, proto) or proto

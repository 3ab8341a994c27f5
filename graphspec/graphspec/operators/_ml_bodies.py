"""Bodies that ONNX does not give the models of ai.onnx.ml: what they compute, in standard operators and float64.

Kernels are faster; a transform puts a body in the place of a node that it differentiates, so that one set of rules
serves derivatives of any order. Class labels stay with a node of the operator itself: they do not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir

from graphspec.errors import NoGradientRule
from graphspec.operators._scores import NOTHING, PROBIT_A, TRANSFORMS

_ML = "ai.onnx.ml"
# Below this square of 2p - 1 the logarithm of Probit is a series of so many terms, exact to a rounding.
_NEAR, _TERMS = 1e-2, 9


def gives_scores(node: ir.Node) -> bool:
    """Whether something reads the scores of a classifier; its labels do not move."""
    return len(node.outputs) > 1 and (bool(node.outputs[1].uses()) or node.outputs[1].is_graph_output())


class Body:
    """A function body under construction: constants, and lines of ONNX's text.

    Args:
        node: The node it is for; its input is ``X``, the first input of the body.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self._constants: list[onnx.NodeProto] = []
        self._lines: list[str] = []

    def const(self, name: str, values: npt.ArrayLike) -> None:
        """A constant: whole numbers in int64, others in float64."""
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float64)
        tensor = onnx.numpy_helper.from_array(array, name)
        self._constants.append(onnx.helper.make_node("Constant", [], [name], value=tensor))

    def add(self, text: str) -> None:
        """Nodes, as ONNX's text has them."""
        self._lines.append(text)

    def refuse(self, attribute: str, why: str) -> NoGradientRule:
        """The refusal to differentiate the node because of an attribute."""
        return NoGradientRule(
            f"{_ML}::{self.node.op_type} cannot be differentiated at node {self.node.name!r}: "
            f"its attribute {attribute!r} {why}.",
            node=self.node.name,
            found=attribute,
            hint=f"Correct {attribute!r}; the model does not run either.",
        )

    def array(self, attribute: str, values: Sequence[float] | None, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """An attribute's numbers in a shape.

        Raises:
            NoGradientRule: There are more or fewer.
        """
        flat = np.array(values or [], dtype=np.float64)
        if flat.size != np.prod(shape):
            raise self.refuse(attribute, f"has {flat.size} numbers, which are not {' x '.join(map(str, shape))}")
        return flat.reshape(shape)

    def rows(self, features: int) -> None:
        """``x``: the input as rows of so many features, in float64."""
        self.const("x_shape", [-1, features])
        self.add(f"x_double = Cast<to={onnx.TensorProto.DOUBLE}>(X)  x = Reshape(x_double, x_shape)")

    def transform(self, post_transform: str) -> None:
        """``z`` from ``s``, as ``transformed`` has it.

        Raises:
            NoGradientRule: There is no such transform.
        """
        match post_transform:
            case "NONE":
                self.add("z = Identity(s)")
            case "LOGISTIC":
                self.add("z = Sigmoid(s)")
            case "SOFTMAX":
                self.add("z = Softmax<axis=1>(s)")
            case "SOFTMAX_ZERO":
                self._softmax_zero()
            case "PROBIT":
                self._probit()
            case _:
                raise self.refuse("post_transform", f"is none of {', '.join(TRANSFORMS)}")

    def _softmax_zero(self) -> None:
        self.const("nothing", NOTHING)
        self.const("zero", 0.0)
        self.const("one", 1.0)
        self.const("across", [1])
        self.add(
            """s_size = Abs(s)  present = Greater(s_size, nothing)
            s_most = ReduceMax(s, across)  s_less = Sub(s, s_most)  s_all = Exp(s_less)
            raised = Where(present, s_all, zero)  total = ReduceSum(raised, across)
            empty = Equal(total, zero)  divisor = Where(empty, one, total)  z = Div(raised, divisor)"""
        )

    def _probit(self, out: str = "z") -> None:
        """√2 · w · √(r ÷ (√(h² + l) + h)), w = 2s - 1, l = r w²: free of the root of 0 that stands at s = 1/2."""
        for name, value in (("one", 1.0), ("two", 2.0), ("half", 0.5), ("four", 4.0), ("near", _NEAR)):
            self.const(name, value)
        self.const("per_a", 1 / PROBIT_A)
        self.const("shift", 2 / (np.pi * PROBIT_A))
        self.const("root", np.sqrt(2))
        self.add(
            """s_twice = Mul(two, s)  w = Sub(s_twice, one)  u = Mul(w, w)
            s_rest = Sub(one, s)  s_both = Mul(s, s_rest)  v = Mul(four, s_both)
            close = Less(u, near)  v_far = Where(close, half, v)  u_far = Where(close, half, u)
            log_far = Log(v_far)  minus = Neg(log_far)  far = Div(minus, u_far)
            u_near = Where(close, u, near)"""
        )
        # -log(1 - u) / u = 1 + u/2 + u²/3 + ...
        self.const(f"t{_TERMS}", 1 / (_TERMS + 1))
        for i in range(_TERMS - 1, -1, -1):
            self.const(f"c{i}", 1 / (i + 1))
            self.add(f"m{i} = Mul(t{i + 1}, u_near)  t{i} = Add(m{i}, c{i})")
        self.add(
            f"""ratio = Where(close, t0, far)  r = Mul(ratio, per_a)  l = Mul(r, u)
            log_u = Mul(ratio, u)  log_half = Mul(log_u, half)  h = Sub(shift, log_half)
            h_square = Mul(h, h)  inside = Add(h_square, l)  radius = Sqrt(inside)  below = Add(radius, h)
            quotient = Div(r, below)  outer = Sqrt(quotient)  signed = Mul(w, outer)  {out} = Mul(root, signed)"""
        )

    def second_class(self, post_transform: str, complement: bool) -> None:
        """``z`` of two columns from ``s`` of one, as ``second_class`` has it."""
        self.const("sides", [[-1.0, 1.0]])
        self.const("rest", [1.0 if complement else 0.0, 0.0])
        if post_transform == "LOGISTIC":
            self.add("s_two = MatMul(s, sides)  z = Sigmoid(s_two)")
        elif post_transform == "PROBIT":
            self._probit("z_one")
            self.add("z = MatMul(z_one, sides)")
        else:
            self.add("s_two = MatMul(s, sides)  z = Add(s_two, rest)")

    def function(self, result: str = "z") -> onnx.FunctionProto:
        """The body; it gives the result in float32, and before it the labels where the node has two outputs."""
        self.add(f"Z = Cast<to={onnx.TensorProto.FLOAT}>({result})")
        labelled = len(self.node.outputs) > 1
        outputs = "Y, Z" if labelled else "Z"
        text = f'<domain: "{_ML}", opset_import: ["" : 18]> {self.node.op_type} (X) => ({outputs}) {{\n'
        proto = onnx.parser.parse_function(text + "\n".join(self._lines) + "\n}")
        nodes = [*self._constants, *proto.node]
        if labelled:
            again = ir.serde.serialize_node(self.node)
            again.ClearField("output")
            again.input[:], again.output[:] = ["X"], ["Y", "unread"]
            nodes.append(again)
        del proto.node[:]
        proto.node.extend(nodes)
        return proto

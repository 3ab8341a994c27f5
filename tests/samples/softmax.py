"""Samples of the softmax family."""

from __future__ import annotations

from samples.sample import Floats, Sample

F = Floats


def _family(op_type: str, of: tuple[int, ...] = (0,), zero: bool = False) -> list[Sample]:
    apart = op_type == "Hardmax"
    cases: list[tuple[str, tuple[int, ...], dict[str, int]]] = [
        ("vector", (4,), {}),
        ("matrix", (2, 3), {}),
        ("axis0", (3, 2), {"axis": 0}),
        ("axis-2", (2, 3, 2), {"axis": -2}),
        ("one", (2, 1), {}),
        ("no-rows", (0, 3), {}),
    ]
    new = [
        Sample(op_type, (F(shape, apart=apart),), attributes, id=id, of=of, zero=zero)
        for id, shape, attributes in cases
    ]
    # The ONNX reference knows only the new Hardmax, and ONNX Runtime has the old one in float32 alone.
    old = [
        Sample(
            op_type, (F((2, 3, 2), apart=apart),), {"axis": axis}, id=f"opset11-axis{axis}", opset=11,
            of=() if apart else of, zero=zero, forward=not apart,
        )
        for axis in (0, 1, 2)
    ]  # fmt: skip
    return [*new, *old, Sample(op_type, (F((2, 3, 2), apart=apart),), id="opset9", opset=9, of=(), forward=not apart)]


SAMPLES = [*_family("Softmax"), *_family("LogSoftmax"), *_family("Hardmax", zero=True)]

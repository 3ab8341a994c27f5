"""What the suite of counter-examples is made of: own examples, and samples that hold a point already."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

import graphspec as gs
from samples import ALL, Floats, Sample
from samples.build import arrays_of, build, wrt_names


@dataclasses.dataclass(frozen=True)
class Graph:
    """A model of several nodes in ONNX text, with ``T`` for its floating-point type.

    Attributes:
        id: Tells the graphs of one point apart.
        text: The graph, and functions of the domain ``local`` after it.
        of, wrt: Values to differentiate, and with respect to.
        feeds: Per input a ``Floats`` or an array.
        order: 1 needs a reason beside it.
    """

    id: str
    text: str
    of: tuple[str, ...]
    wrt: tuple[str, ...]
    feeds: Mapping[str, Any]
    order: int = 2

    @property
    def label(self) -> str:
        return self.id


@dataclasses.dataclass(frozen=True)
class Held:
    """A claim that one of the samples, which are all checked, is of this operator and has these attributes.

    Attributes:
        op_type: ONNX's name.
        attributes: Some of the sample's attributes.
        wrt: Inputs that the sample is differentiated by.
        id: The sample's own name, where its inputs are the point.
    """

    op_type: str
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    wrt: tuple[int, ...] = ()
    id: str = ""

    def samples(self) -> list[Sample]:
        """Those that hold it; samples without ``of`` are not differentiated."""
        return [s for s in ALL if s.of and s.op_type == self.op_type and self._fits(s)]

    def _fits(self, sample: Sample) -> bool:
        given = all(sample.attributes.get(k) == v for k, v in self.attributes.items())
        named = {f"x{i}" for i in self.wrt} <= set(wrt_names(sample))
        return given and named and self.id in ("", sample.id)


@dataclasses.dataclass(frozen=True)
class Point:
    """One of the things that are easy to forget.

    Attributes:
        name: What it is.
        held: Samples that must exist.
        examples: Checked here.
        more: Checked here too, but slow together: every combination.
    """

    name: str
    held: tuple[Held, ...] = ()
    examples: tuple[Sample | Graph, ...] = ()
    more: tuple[Sample | Graph, ...] = ()


def build_example(example: Sample | Graph) -> tuple[ir.Model, dict[str, Any], list[str], list[str]]:
    """The model, feeds, ``of`` and ``wrt``, in float64 (a narrow sample in float32)."""
    rng = np.random.default_rng(zlib.crc32(example.label.encode()))
    if isinstance(example, Sample):
        dtype = np.float32 if example.narrow else np.float64
        model, feeds = build(example, arrays_of(example, dtype, rng), symbolic=False)
        return model, feeds, [f"y{i}" for i in example.of], wrt_names(example)
    head = '<ir_version: 10, opset_import: ["" : 23, "local" : 1]>\n'
    model = gs.load(head + example.text.replace("T[", "double[").replace("T ", "double "))
    feeds = {k: v.draw(rng, np.float64) if isinstance(v, Floats) else np.asarray(v) for k, v in example.feeds.items()}
    return model, feeds, list(example.of), list(example.wrt)

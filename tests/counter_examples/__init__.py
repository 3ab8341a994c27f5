"""The places where derivatives go wrong, by name: ``POINTS``, one list a family."""

from __future__ import annotations

from counter_examples import control_flow, images, indices, networks, products, windows
from counter_examples.example import Graph, Held, Point, build_example

POINTS = [
    *products.POINTS,
    *indices.POINTS,
    *windows.POINTS,
    *images.POINTS,
    *networks.POINTS,
    *control_flow.POINTS,
]

__all__ = ["POINTS", "Graph", "Held", "Point", "build_example"]

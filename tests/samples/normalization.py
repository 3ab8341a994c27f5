"""Samples of normalizations."""

from __future__ import annotations

from samples.sample import Floats, Sample

F = Floats


def _batch(*shape: int, id: str, training: bool = False, of: tuple[int, ...] = (0,)) -> Sample:
    channels = shape[1] if len(shape) > 1 else 1
    vector = F((channels,))
    return Sample(
        "BatchNormalization", (F(shape), vector, vector, vector, F((channels,), 0.2, 2.0)),
        {"training_mode": int(training), "epsilon": 1e-3, "momentum": 0.8}, id=id, outputs=3 if training else 1, of=of,
        wrt=(0, 1, 2) if training and of == (0,) else (0, 3, 4) if 0 not in of else None,
    )  # fmt: skip


def _batch_old(opset: int, of: tuple[int, ...] = (0,), **attributes: int) -> Sample:
    inputs = (F((2, 3, 2)), F((3,)), F((3,)), F((3,)), F((3,), 0.2, 2.0))
    return Sample("BatchNormalization", inputs, attributes, id=f"opset{opset}", opset=opset, of=of)


def _layer(
    *shape: int, id: str, axis: int = -1, bias: bool = True, outputs: int = 1, of: tuple[int, ...] = (0,)
) -> Sample:
    tail = F(shape[axis:])
    return Sample(
        "LayerNormalization", (F(shape), tail, tail) if bias else (F(shape), tail), {"axis": axis}, id=id,
        outputs=outputs, of=of, forward=outputs == 1,  # ONNX Runtime gives Mean in float64 where ONNX says float32
    )  # fmt: skip


SAMPLES = [
    _batch(2, 3, 2, 2, id="inference"),
    _batch(4, 3, id="matrix"),
    _batch(2, 3, 2, 1, 2, id="5d"),
    _batch(2, 3, 4, id="training", training=True),
    _batch(5, 2, id="training-matrix", training=True),
    _batch(2, 3, 2, 2, id="training-running", training=True, of=(0, 1, 2)),
    _batch(3, 2, 2, id="running-only", training=True, of=(1, 2)),
    _batch_old(14),
    _batch_old(9),
    _batch_old(7, spatial=1),
    _batch_old(6, (), is_test=1),
    Sample("InstanceNormalization", (F((2, 3, 4)), F((3,)), F((3,))), id="3d"),
    Sample("InstanceNormalization", (F((2, 2, 2, 3)), F((2,)), F((2,))), {"epsilon": 1e-2}, id="4d"),
    Sample("InstanceNormalization", (F((2, 3, 4)), F((3,)), F((3,))), id="opset6", opset=6),
    _layer(2, 3, 4, id="last"),
    _layer(2, 3, 4, id="axis1", axis=1),
    _layer(2, 3, 4, id="axis-2", axis=-2),
    _layer(3, 4, id="axis0", axis=0),
    _layer(3, 4, id="no-bias", bias=False),
    _layer(3, 4, id="statistics", outputs=3, of=(0,)),
    Sample("LayerNormalization", (F((2, 3, 4)), F((4,)), F((4,))), id="opset17", opset=17),
    Sample("GroupNormalization", (F((2, 4, 3)), F((4,)), F((4,))), {"num_groups": 2, "stash_type": 11}, id="two"),
    Sample(
        "GroupNormalization",
        (F((2, 4, 2, 2)), F((4,)), F((4,))),
        {"num_groups": 1, "stash_type": 11, "epsilon": 1e-2},
        id="one",
    ),
    Sample("GroupNormalization", (F((2, 4, 3)), F((4,)), F((4,))), {"num_groups": 4, "stash_type": 11}, id="each"),
    Sample("RMSNormalization", (F((2, 3, 4)), F((4,))), id="last"),
    Sample("RMSNormalization", (F((2, 3, 4)), F((3, 4))), {"axis": 1, "epsilon": 1e-2}, id="axis1"),
    # As many instances as channels: the ONNX reference, which answers in float64, mixes the two up.
    Sample("LRN", (F((6, 6, 2, 1)),), {"size": 3}, id="odd"),
    Sample("LRN", (F((4, 4, 2, 1)),), {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 2.0}, id="attributes"),
    Sample("LRN", (F((3, 3, 2, 1)),), {"size": 9, "alpha": 0.5}, id="wider-than-channels"),
    Sample("LRN", (F((3, 3, 1, 2)),), {"size": 1, "alpha": 0.5}, id="one"),
    Sample("LRN", (F((4, 4, 1, 2)),), {"size": 3, "alpha": 0.5}, id="opset9", opset=9),
    # ONNX Runtime refuses even sizes, so their rule is held against differences in test_normalization_corners.py.
    Sample("LRN", (F((5, 5, 1, 2)),), {"size": 4, "alpha": 0.5, "beta": 0.6, "bias": 2.0}, id="even", of=()),
    Sample("LpNormalization", (F((2, 3)),), id="l2"),
    Sample("LpNormalization", (F((2, 3)),), {"p": 1, "axis": 0}, id="l1"),
    Sample("LpNormalization", (F((2, 3, 2)),), {"axis": 1}, id="axis1"),
    Sample("LpNormalization", (F((2, 3)),), id="opset9", opset=9),
    Sample("MeanVarianceNormalization", (F((2, 3, 2, 2)),), {"axes": [0, 2, 3]}, id="channels"),
    Sample("MeanVarianceNormalization", (F((2, 3)),), {"axes": [1]}, id="axis1"),
    Sample("MeanVarianceNormalization", (F((2, 3)),), {"axes": [-1]}, id="opset9", opset=9),
]

"""Samples of the pools."""

from samples.sample import Floats as F
from samples.sample import Sample


def _image(*shape: int) -> F:
    return F(shape, apart=True)


SAMPLES = [
    Sample("MaxPool", (_image(2, 2, 6, 6),), {"kernel_shape": [2, 2], "strides": [2, 2]}, id="apart"),
    Sample("MaxPool", (_image(1, 2, 6, 5),), {"kernel_shape": [3, 2]}, id="overlap"),
    Sample("MaxPool", (_image(1, 2, 6, 5),), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, id="pads"),
    Sample("MaxPool", (_image(1, 1, 6, 7),), {"kernel_shape": [2, 2], "dilations": [2, 3]}, id="dilations"),
    Sample("MaxPool", (_image(1, 1, 6, 7),), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, id="ceil"),
    Sample("MaxPool", (_image(1, 1, 5, 5),), {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}, id="same"),
    Sample("MaxPool", (_image(2, 2, 7),), {"kernel_shape": [3], "strides": [2]}, id="1d"),
    Sample("MaxPool", (_image(1, 2, 3, 4, 3),), {"kernel_shape": [2, 2, 2]}, id="3d"),
    Sample("MaxPool", (_image(1, 2, 4, 5),), {"kernel_shape": [2, 2], "storage_order": 1}, id="columns"),
    Sample("AveragePool", (F((2, 2, 6, 6)),), {"kernel_shape": [2, 2], "strides": [2, 2]}, id="apart"),
    Sample("AveragePool", (F((1, 2, 5, 6)),), {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}, id="pads"),
    Sample("AveragePool", (F((1, 2, 5, 6)),), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "count_include_pad": 1}, id="include"),
    Sample("AveragePool", (F((1, 1, 6, 7)),), {"kernel_shape": [2, 2], "dilations": [2, 3]}, id="dilations"),
    Sample("AveragePool", (F((1, 2, 6, 7)),), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, id="ceil"),
    Sample("AveragePool", (F((1, 2, 6, 7)),), {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 0, 1, 1], "ceil_mode": 1, "count_include_pad": 1}, id="ceil-include"),
    Sample("AveragePool", (F((1, 2, 6, 7)),), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, id="same"),
    Sample("AveragePool", (F((1, 2, 6, 7)),), {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "count_include_pad": 1}, id="same-include"),
    Sample("AveragePool", (F((2, 2, 7)),), {"kernel_shape": [3], "strides": [2]}, id="1d"),
    Sample("AveragePool", (F((1, 1, 3, 4, 3)),), {"kernel_shape": [2, 2, 2]}, id="3d"),
    Sample("LpPool", (F((1, 2, 5, 5), 0.2, 2),), {"kernel_shape": [2, 2], "strides": [1, 2]}, id="l2"),
    Sample("LpPool", (F((1, 2, 5, 5), 0.2, 2),), {"kernel_shape": [3, 2], "p": 3, "pads": [1, 0, 1, 0]}, id="l3"),
    Sample("LpPool", (F((1, 2, 6, 7), 0.2, 2),), {"kernel_shape": [2, 2], "strides": [1, 2], "auto_pad": "SAME_UPPER"}, id="l2-same"),
    # The other two implementations leave out the dilation when they pad; ONNX's own shape inference agrees with us.
    Sample("LpPool", (F((1, 2, 6, 7), 0.2, 2),), {"kernel_shape": [2, 2], "dilations": [2, 3], "auto_pad": "SAME_UPPER"}, id="l2-same-dilated", forward=False),
    Sample("GlobalAveragePool", (F((2, 3, 4, 5)),)),
    Sample("GlobalAveragePool", (F((2, 3, 4)),), id="1d"),
    Sample("GlobalMaxPool", (_image(2, 3, 4, 5),)),
    Sample("GlobalLpPool", (F((2, 2, 3, 4), 0.3, 3),), id="l2", opset=18),
    Sample("GlobalLpPool", (F((2, 2, 3, 4), 0.3, 3),), {"p": 3}, id="l3", opset=18),
]  # fmt: skip

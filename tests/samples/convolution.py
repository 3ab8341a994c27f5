"""Samples of the convolutions."""

from samples.sample import Floats as F
from samples.sample import Sample

SAMPLES = [
    Sample("Conv", (F((2, 3, 5, 6)), F((4, 3, 3, 2))), id="plain"),
    Sample("Conv", (F((2, 3, 5, 6)), F((4, 3, 3, 3)), F((4,))), {"pads": [1, 1, 1, 1]}, id="bias-pads"),
    Sample("Conv", (F((1, 2, 7, 6)), F((3, 2, 3, 2))), {"strides": [2, 3], "pads": [0, 1, 2, 0]}, id="strides"),
    Sample("Conv", (F((1, 2, 8, 7)), F((3, 2, 2, 3))), {"dilations": [3, 2], "strides": [2, 1]}, id="dilations"),
    Sample("Conv", (F((2, 4, 5, 5)), F((6, 2, 3, 3))), {"group": 2, "pads": [1, 0, 0, 1]}, id="groups"),
    Sample("Conv", (F((2, 3, 5, 5)), F((3, 1, 3, 3)), F((3,))), {"group": 3, "strides": [2, 2]}, id="depthwise"),
    Sample("Conv", (F((2, 2, 4, 4)), F((4, 1, 2, 2))), {"group": 2}, id="depth-multiplier"),
    Sample("Conv", (F((2, 3, 4, 5)), F((4, 3, 1, 1)), F((4,))), {"kernel_shape": [1, 1]}, id="pointwise"),
    Sample("Conv", (F((1, 2, 5, 6)), F((2, 2, 3, 3))), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, id="same-upper"),
    Sample("Conv", (F((1, 2, 5, 6)), F((2, 2, 2, 3))), {"auto_pad": "SAME_LOWER", "strides": [1, 2]}, id="same-lower"),
    Sample("Conv", (F((1, 2, 5, 6)), F((2, 2, 2, 3))), {"auto_pad": "VALID", "strides": [2, 2]}, id="valid"),
    Sample("Conv", (F((2, 2, 9)), F((3, 2, 4)), F((3,))), {"strides": [2], "pads": [1, 2]}, id="1d"),
    Sample("Conv", (F((1, 2, 4, 4, 5)), F((2, 2, 2, 3, 2))), {"pads": [1, 0, 1, 0, 1, 1], "strides": [2, 1, 2]}, id="3d"),
    Sample("Conv", (F((1, 1, 7, 7)), F((1, 1, 2, 2))), {"strides": [4, 3]}, id="gaps"),
    Sample("ConvTranspose", (F((1, 2, 3, 4)), F((2, 3, 3, 2))), id="plain"),
    Sample("ConvTranspose", (F((2, 2, 3, 3)), F((2, 2, 3, 3)), F((2,))), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, id="bias"),
    Sample("ConvTranspose", (F((1, 2, 3, 3)), F((2, 1, 3, 3))), {"strides": [3, 2], "output_padding": [2, 1]}, id="output-padding"),
    Sample("ConvTranspose", (F((1, 4, 3, 3)), F((4, 2, 2, 2))), {"group": 2, "dilations": [2, 1]}, id="groups"),
    Sample("ConvTranspose", (F((1, 2, 5)), F((2, 2, 3))), {"strides": [2], "pads": [1, 0]}, id="1d"),
    Sample("ConvTranspose", (F((1, 1, 2, 3, 2)), F((1, 2, 2, 2, 2))), {"strides": [2, 1, 2]}, id="3d"),
    Sample("ConvTranspose", (F((1, 1, 3, 3)), F((1, 2, 3, 3))), {"auto_pad": "VALID", "strides": [2, 2]}, id="valid"),
]  # fmt: skip

"""Step 4: SqueezeNet and ResNet-50 as ONNX files; what they answer, and the gradient of their top logit by pixel."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from scipy import ndimage
from sklearn.datasets import load_digits
from tqdm import tqdm

from graphspec_client import Client
from steps.checks import check, largest_difference
from steps.plots import saliency_picture
from steps.weights import with_random_weights

MEAN, SPREAD = 0.45, 0.225  # of ImageNet's pixels, about; these networks expect images shifted and scaled so
NETWORKS = {"SqueezeNet": ("squeezenet", 3), "ResNet-50": ("resnet50", 4)}  # file, and which image of the data set


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one network did.

    Attributes:
        picture: What it saw, (224, 224) in [0, 1].
        gradient: Of the top logit with respect to the pixels, (3, 224, 224).
        logit: Which one.
        off: The output's largest difference from ONNX Runtime's.
        slope_off: The gradient's distance from a central difference on ONNX Runtime, relative.
        seconds: For output and gradient together.
    """

    picture: np.ndarray
    gradient: np.ndarray
    logit: int
    off: float
    slope_off: float
    seconds: float


def picture(index: int) -> np.ndarray:
    """An image of the digits data set, 8 × 8 and a margin, scaled up to 224 × 224, in [0, 1].

    It gets a little grain: on a perfectly even background the entries of a max pool's windows tie, and where they tie
    a gradient is one of several that no difference quotient need agree with.
    """
    image = ndimage.zoom(np.pad(load_digits().images[index] / 16, 1), 22.4, order=1)
    grain = np.random.default_rng(index).random(image.shape)
    scaled: np.ndarray = np.clip(image, 0, 1) * 0.98 + grain * 0.02
    return scaled


def pixels(image: np.ndarray) -> np.ndarray:
    """The picture as the networks take it: (1, 3, 224, 224), float32."""
    return ((np.stack([image] * 3)[None] - MEAN) / SPREAD).astype(np.float32)


def examine(client: Client, network: str, image: np.ndarray) -> Finding:
    """Run a network on the service and on ONNX Runtime, and differentiate its top logit."""
    model = with_random_weights(network, seed=0)
    data, logits, output = model.graph.input[0].name, model.graph.node[-1].input[0], model.graph.output[0].name
    handle = client.load(model.SerializeToString())

    start = time.perf_counter()
    feeds = {data: pixels(image)}
    answer = handle.run(feeds, fetches=[output, logits])
    top = int(answer[logits].argmax())
    one_hot = np.zeros_like(answer[logits])
    one_hot.flat[top] = 1
    gradient = handle.vjp(feeds, of=[logits], wrt=[data], cotangents={logits: one_hot}).vjp[data]
    seconds = time.perf_counter() - start

    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(logits))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected, there = session.run([output, logits], feeds)
    off = max(largest_difference(answer[output], expected), largest_difference(answer[logits], there))

    # Uphill by the gradient, the logit must rise by the gradient's length.
    length = float(np.linalg.norm(gradient))
    step = 3e-3 * (gradient / length).astype(np.float32)
    ends = [float(session.run([logits], {data: feeds[data] + sign * step})[0].flat[top]) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * float(np.linalg.norm(step)))
    return Finding(image, gradient[0], top, off, abs(slope / length - 1), seconds)


def run(client: Client, path: Path, networks: tuple[str, ...] = tuple(NETWORKS)) -> str:
    """Examine the networks and save the saliency picture.

    Returns:
        The line for the demo.

    Raises:
        CheckError: An output differs from ONNX Runtime's, or a gradient from a central difference.
    """
    found = {}
    for name in tqdm(networks, desc="4 networks", unit=" network", leave=False):
        file, index = NETWORKS[name]
        found[name] = examine(client, file, picture(index))
        check(f"{name}'s difference from ONNX Runtime", found[name].off, at_most=1e-4)
        check(f"{name}'s gradient against a central difference", found[name].slope_off, at_most=1e-2)
    saliency_picture(path, {n: (f.picture, f.gradient, f"logit {f.logit}") for n, f in found.items()})
    return "; ".join(
        f"{name} within {f.off:.0e} of ONNX Runtime, gradient of logit {f.logit} by pixel within {f.slope_off:.2%} of "
        f"a central difference ({f.seconds:.1f} s)"
        for name, f in found.items()
    )

"""The demo's steps, cut down to seconds, against a real service; and that they notice when a figure is wrong."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import demo
from graphspec_client import Client
from steps import digits, export, first_graph, vision
from steps.checks import CheckError, check, largest_difference
from steps.service import running_service
from steps.weights import with_random_weights

README = Path(__file__).resolve().parent.parent / "README.md"
SHOWN = README.read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
PNG = b"\x89PNG\r\n\x1a\n"


def shape_of(text: str) -> str:
    """The text with its figures blotted out, to compare what the README shows with what is printed."""
    return re.sub(r"\d[\d.e+-]*", "#", text)


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    with running_service(tmp_path_factory.mktemp("service")) as url, Client(url, timeout=60) as connected:
        yield connected


@pytest.fixture(scope="module")
def trained(client, tmp_path_factory) -> tuple[digits.Network, str, bytes]:
    path = tmp_path_factory.mktemp("pictures") / "digits.png"
    network, line = digits.run(client, path, epochs=3, at_least=90)
    return network, line, path.read_bytes()


def test_step_1_prints_the_figures(client):
    line = first_graph.run(client)
    assert "= 4.546487, gradient (-1.171437, 0.909297)" in line
    assert "= 38, gradients [4. 5. 6.] and [1. 2. 3.]" in line
    assert f"1 {line}\n" in SHOWN


def test_step_2_learns_from_the_service_s_gradients(trained):
    network, line, picture = trained
    assert "69 gradients" in line
    assert shape_of(line) in shape_of(SHOWN)
    assert picture.startswith(PNG)
    start = digits.initial_parameters(np.random.default_rng(digits.SEED))
    assert all(np.abs(network.parameters[name] - start[name]).max() > 1e-3 for name in start)


def test_step_2_fails_when_too_many_digits_are_wrong(client):
    with pytest.raises(CheckError, match=r"held-out accuracy in percent is .* at least 99\.99"):
        digits.run(client, None, epochs=1, at_least=99.99)


def test_step_3_agrees_with_onnx_runtime(client, trained, tmp_path):
    path = tmp_path / "gradient.onnx"
    line = export.run(client, trained[0], path)
    assert "largest difference of 4 gradients" in line
    assert shape_of(line.removeprefix(path.name)) in shape_of(SHOWN)
    assert [o.name for o in onnx.load(path).graph.output][-4:] == ["w1_grad", "b1_grad", "w2_grad", "b2_grad"]


def test_step_3_notices_a_wrong_gradient(client, trained, tmp_path, monkeypatch):
    real = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "run", lambda self, *args: [1.001 * a + 1e-4 for a in real(self, *args)]
    )
    with pytest.raises(CheckError, match="difference from ONNX Runtime"):
        export.run(client, trained[0], tmp_path / "gradient.onnx")


def test_step_4_on_the_smaller_network(client, tmp_path):
    line = vision.run(client, tmp_path / "saliency.png", networks=("SqueezeNet",))
    assert line.startswith("SqueezeNet within ")
    assert shape_of(line) in shape_of(SHOWN)
    assert (tmp_path / "saliency.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("name", ["squeezenet", "resnet50"])
def test_random_weights_tell_images_apart(name):
    """As shipped, each weight is the same constant and any image gives the same answer."""
    model = with_random_weights(name, seed=0)
    assert [i.name for i in model.graph.input] == [{"squeezenet": "data_0", "resnet50": "gpu_0/data_0"}[name]]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    first, second = (
        session.run(None, {model.graph.input[0].name: vision.pixels(vision.picture(i))})[0] for i in (3, 4)
    )
    assert np.abs(first - second).max() > 1e-3
    assert first.max() < 0.9, "a saturated softmax hides every difference"
    assert with_random_weights(name, seed=0) == model


@pytest.mark.parametrize("found", [np.nan, np.inf, 1.5, -0.5])
def test_a_figure_out_of_bounds_is_noticed(found):
    with pytest.raises(CheckError, match="the figure is"):
        check("the figure", found, at_least=0, at_most=1)
    assert check("the figure", 1.0, at_least=0, at_most=1) == 1.0


def test_a_broadcast_does_not_hide_a_wrong_shape():
    with pytest.raises(CheckError, match="shapes differ"):
        largest_difference(np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("step", ["first_graph", "digits", "export", "vision"])
def test_a_failed_check_of_any_step_ends_the_demo(step, tmp_path, monkeypatch, capsys):
    def fail(*_: object) -> str:
        raise CheckError("the figure is wrong")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "running_service", lambda *_, **__: contextlib.nullcontext("http://127.0.0.1:1"))
    for name, line in {"first_graph": "", "digits": (None, ""), "export": "", "vision": ""}.items():
        monkeypatch.setattr(getattr(demo, name), "run", fail if name == step else lambda *_, line=line: line)
    assert demo.main() == 1
    assert "CHECK FAILED: the figure is wrong" in capsys.readouterr().err

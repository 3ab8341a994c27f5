"""The models of the ONNX wheel's backend suite."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx

#: Kind of case, and how many there are.
COUNTS = {"node": 1884, "simple": 23, "pytorch-converted": 82, "pytorch-operator": 35, "real": 9}


def backend_models(kind: str) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Name and model of every case of the ONNX wheel's backend suite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their expected outputs with overflows and divisions by zero
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind=kind)
    for case in cases:
        if case.model is not None:
            yield case.name, case.model
        elif case.model_dir is not None:
            yield case.name, onnx.load(Path(case.model_dir, "model.onnx"), load_external_data=False)
        else:  # the large models, with their weights left out
            yield case.name, onnx.load(Path(onnx.__file__).parents[1] / case.url)

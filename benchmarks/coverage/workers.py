"""One system's gradients: run in that system's own environment, which has numpy and onnx but no GraphSpec.

``python workers.py SYSTEM DIRECTORY FIRST`` takes the cases of a directory from number FIRST on, and prints a line of
JSON for each: the number, and what came of it. A crash ends the process; the caller goes on behind it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx


class RefusedError(Exception):
    """The system says that it cannot, in its own words."""


class NoKernelError(Exception):
    """The derivative is there, and ONNX Runtime cannot run it in this type."""


def graphspec(model, feeds, wrt):
    import graphspec as gs

    try:
        derived = gs.grad(gs.load(model), "loss", wrt)
    except gs.GraphSpecError as error:
        raise RefusedError(str(error)) from error
    session = gs.Session(derived)
    names = [o.name for o in derived.graph.outputs][-len(wrt) :]
    found = session.run(feeds, fetches=["loss", *names])
    return found["loss"], [found[n] for n in names]


def onnx_ad(model, feeds, wrt, reference=False):
    import onnxruntime
    from onnx_ad import UnsupportedOperator, reverse

    try:
        derived = reverse(model, inputs=wrt, outputs=["loss"], layout="onnx")
    except (UnsupportedOperator, NotImplementedError) as error:
        raise RefusedError(str(error)) from error
    except (ValueError, KeyError) as error:
        if "not" in str(error):  # it says of a parameter that it is no input
            raise RefusedError(str(error)) from error
        raise
    if reference:
        from onnx.reference import ReferenceEvaluator

        run, known = ReferenceEvaluator(derived).run, [i.name for i in derived.graph.input]
    else:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        # The manual asks for it in float64.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            session = onnxruntime.InferenceSession(derived.SerializeToString(), options)
        except Exception as error:
            raise NoKernelError(str(error)) from error
        run, known = session.run, [i.name for i in session.get_inputs()]
    seed = next(n for n in known if n.startswith("adj_"))
    dtype = np.float64 if any(f.dtype == np.float64 for f in feeds.values()) else np.float32
    given = {k: v for k, v in {**feeds, seed: np.ones(1, dtype)}.items() if k in known}
    found = run(["loss", *(f"adj_{x}" for x in wrt)], given)
    return found[0], [np.asarray(g)[..., 0] for g in found[1:]]


def ort_training(model, feeds, wrt):
    import onnxruntime
    from onnxruntime.capi._pybind_state import GradientGraphBuilder

    onnxruntime.set_default_logger_severity(4)
    try:
        builder = GradientGraphBuilder(model.SerializeToString(), {"loss"}, set(wrt), "loss")
        builder.build()
        derived = onnx.load_from_string(builder.get_model())
    except Exception as error:
        raise RefusedError(str(error)) from error
    have = {o.name for o in derived.graph.output}
    missing = [x for x in wrt if f"{x}_grad" not in have]
    if missing:
        raise RefusedError(f"no gradient for {missing}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(derived.SerializeToString(), options, providers=["CPUExecutionProvider"])
    known = {i.name for i in session.get_inputs()}
    found = session.run(["loss", *(f"{x}_grad" for x in wrt)], {k: v for k, v in feeds.items() if k in known})
    return found[0], found[1:]


def jax(model, feeds, wrt):
    import jax as library
    from jaxonnxruntime import config
    from jaxonnxruntime.call_onnx import call_onnx_model

    library.config.update("jax_enable_x64", True)
    config.update("jaxort_only_allow_initializers_as_static_args", False)
    moving = {x: library.numpy.asarray(feeds[x]) for x in wrt if x in feeds}
    try:
        function, parameters = call_onnx_model(model, feeds)
    except NotImplementedError as error:
        raise RefusedError(f"no importer: {error}") from error
    except Exception as error:
        raise RefusedError(f"the importer fails: {type(error).__name__}: {error}") from error
    weights = {x: parameters[x] for x in wrt if x in parameters}

    def loss(values):
        inner = {k: values.get(k, v) for k, v in feeds.items()}
        return function({k: values.get(k, v) for k, v in parameters.items()}, inner)[0]

    value, found = library.value_and_grad(loss)({**moving, **weights})
    return value, [found[x] for x in wrt]


SYSTEMS = {"graphspec": graphspec, "onnx-ad": onnx_ad, "ort-training": ort_training, "jax": jax}


def answer(system, case):
    """What one system makes of one case: gradients as lists, or why there are none.

    In float64 where ONNX has it. Where ONNX Runtime has no kernel for what onnx-ad derives, ONNX's reference runs it,
    and where that cannot, ONNX Runtime in float32. The training build of ONNX Runtime has its kernels in float32.
    """
    function = SYSTEMS[system]
    wide = (case / "wide.onnx").exists() and system != "ort-training"
    try:
        try:
            return _answer(function, case, "wide" if wide else "narrow")
        except NoKernelError:
            pass
        try:
            return _answer(lambda *given: onnx_ad(*given, reference=True), case, "wide" if wide else "narrow")
        except Exception:  # what the reference cannot run either
            return _answer(function, case, "narrow")
    except RefusedError as error:
        return {"kind": "refused", "says": _first(error)}
    except Exception as error:
        return {"kind": "error", "says": f"{type(error).__name__}: {_first(error)}"}


def _answer(function, case, kind):
    model = onnx.load(case / f"{kind}.onnx")
    about = json.loads((case / "case.json").read_text(encoding="utf-8"))
    stored = np.load(case / "feeds.npz")
    types = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    feeds = {name: stored[name].astype(types[name]) for name in stored.files}
    loss, gradients = function(model, feeds, about["wrt"])
    arrays = [np.asarray(g, np.float64) for g in gradients]
    return {
        "kind": "gradients", "loss": float(np.asarray(loss).reshape(-1)[0]), "wide": kind == "wide",
        "gradients": [{"shape": a.shape, "data": a.reshape(-1).tolist()} for a in arrays],
    }  # fmt: skip


def _first(error):
    """The message without the names of functions that C++ puts before it."""
    words = " ".join(str(error).split())
    return words.rpartition(" was false. ")[2][:160]


if __name__ == "__main__":
    system, directory, first = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    for case in sorted(directory.iterdir())[first:]:
        out.write(json.dumps({"case": case.name, **answer(system, case)}) + "\n")
        out.flush()

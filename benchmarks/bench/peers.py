"""One competitor at one workload: run in that competitor's own environment, where GraphSpec may be missing.

``python peers.py SYSTEM FOLDER KIND`` computes once and writes the numbers to ``SYSTEM.npz`` in the folder, prints a
line of JSON with the versions, and then takes turns: for each number read it makes so many calls, and prints the CPU
seconds that they took together.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

BINARY = {"Mul", "Add", "Sub"}


class Task:
    """What a folder holds: arrays by name, and how they are used."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        with np.load(folder / "feeds.npz") as feeds, np.load(folder / "weights.npz") as weights:
            self.feeds, self.weights = dict(feeds), dict(weights)
        self.wrt, self.ending, self.name = self.about["wrt"], self.about["ending"], self.about["peers"]
        self.sizes = self.about["sizes"]
        self.model = str(folder / f"{kind}.onnx")


def graphspec(task):
    import graphspec as gs

    session = gs.Session(gs.load(task.model))
    feeds = {name: task.feeds[name] for name in session.inputs}
    return lambda: session.run(feeds), lambda found: list(found.values())


def ort(task):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(task.model, options, providers=["CPUExecutionProvider"])
    feeds = {i.name: task.feeds[i.name] for i in session.get_inputs()}
    return lambda: session.run(None, feeds), list


def reference(task):
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(task.model)
    feeds = {name: task.feeds[name] for name in session.input_names}
    return lambda: session.run(None, feeds), list


# --- PyTorch, eager -------------------------------------------------------------------------------------------------


def torch(task):
    import torch as t

    t.set_num_threads(1)
    given = {n: t.from_numpy(v) for n, v in {**task.feeds, **task.weights}.items()}
    if task.name == "lstm":
        given |= _torch_lstm_weights(t, given)
    names = ["w_ih", "w_hh", "b_ih", "b_hh"] if task.name == "lstm" else task.wrt
    value = TORCH[task.name](t, given, task)
    if task.kind == "forward":

        def forward():
            with t.no_grad():
                return value()

        return forward, lambda found: [found.numpy()]
    leaves = [given[n].requires_grad_() for n in names]
    ends = {
        "none": lambda v: v,
        "sum": lambda v: v.sum(),
        "squares": lambda v: (v * v).mean(),
        "cross-entropy": lambda v: t.nn.functional.cross_entropy(v, given["t"]),
    }
    end = ends[task.ending]

    def gradient():
        loss = end(value())
        return [loss, *t.autograd.grad(loss, leaves)]

    def arrays(found):
        found = [f.detach().numpy() for f in found]
        return [found[0], *_onnx_lstm_weights(*found[1:])] if task.name == "lstm" else found

    return gradient, arrays


# ONNX has the gates of an LSTM as input, output, forget, cell; PyTorch as input, forget, cell, output.
TO_TORCH, FROM_TORCH = [0, 2, 3, 1], [0, 3, 1, 2]


def _gates(array, order):
    quarters = np.split(array, 4)
    return np.concatenate([quarters[i] for i in order])


def _torch_lstm_weights(t, given):
    first, second = np.split(given["B"].numpy()[0], 2)
    parts = {"w_ih": given["W"].numpy()[0], "w_hh": given["R"].numpy()[0], "b_ih": first, "b_hh": second}
    return {n: t.from_numpy(_gates(a, TO_TORCH)) for n, a in parts.items()}


def _onnx_lstm_weights(*found):
    w, r, first, second = (_gates(f, FROM_TORCH) for f in found)
    return w[None], r[None], np.concatenate([first, second])[None]


def _torch_perceptron(t, p, task):
    f = t.nn.functional

    def value():
        hidden = t.relu(t.addmm(p["b1"], p["x"], p["w1"]))
        hidden = t.relu(t.addmm(p["b2"], hidden, p["w2"]))
        return f.cross_entropy(t.addmm(p["b3"], hidden, p["w3"]), p["t"])

    return value


def _torch_transformer(t, p, task):
    f, heads = t.nn.functional, task.sizes["heads"]

    def value():
        x = p["x"]
        n, s, d = x.shape
        normal = f.layer_norm(x, (d,), p["g1"], p["c1"])
        qkv = normal @ p["wqkv"] + p["bqkv"]
        q, k, v = (z.view(n, s, heads, d // heads).transpose(1, 2) for z in qkv.split(d, dim=-1))
        attended = f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, s, d)
        x = x + (attended @ p["wo"] + p["bo"])
        normal = f.layer_norm(x, (d,), p["g2"], p["c2"])
        return x + (f.gelu(normal @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])

    return value


def _torch_convolutions(t, p, task):
    f = t.nn.functional

    def value():
        x = p["x"]
        for i in "123":
            x = f.conv2d(x, p["w" + i], p["b" + i], padding=1)
            x = f.batch_norm(x, p["m" + i], p["v" + i], p["g" + i], p["c" + i])
            x = f.max_pool2d(t.relu(x), 2)
        return t.addmm(p["b"], x.flatten(1), p["w"])

    return value


def _torch_lstm(t, p, task):
    start = t.zeros(1, p["x"].shape[1], task.sizes["h"])
    weights = [p[n] for n in ("w_ih", "w_hh", "b_ih", "b_hh")]
    training = task.kind == "gradient"
    return lambda: t._VF.lstm(p["x"], (start, start), weights, True, 1, 0.0, training, False, False)[0]


def _torch_chain(t, p, task):
    calls = {n: getattr(t, n.lower()) for n in set(task.about["steps"])}
    return lambda: _chained(p["x"], p["w"], task.about["steps"], calls)


def _chained(x, w, steps, calls):
    for step in steps:
        x = calls[step](x, w) if step in BINARY else calls[step](x)
    return x


def _torch_graph(t, p, task):
    import torch_graph

    call = torch_graph.function(task.about["nodes"], task.weights)
    (image,) = task.feeds
    return lambda: call(image, p[image])


TORCH = {
    "graph": _torch_graph,
    "relu_sum": lambda t, p, task: lambda: t.relu(p["x"] * p["y"] + 2).sum(),
    "sine": lambda t, p, task: lambda: (p["x"] + p["y"]) * t.sin(p["x"]),
    "perceptron": _torch_perceptron,
    "transformer": _torch_transformer,
    "convolutions": _torch_convolutions,
    "lstm": _torch_lstm,
    "chain": _torch_chain,
}


# --- JAX and HIPS autograd: the same functions of NumPy's interface, with what each adds to it -----------------------


def jax(task):
    import jax as j

    class Lib:
        np, erf, sigmoid = j.numpy, staticmethod(j.scipy.special.erf), staticmethod(j.nn.sigmoid)
        relu, logsumexp, scan = (
            staticmethod(j.nn.relu),
            staticmethod(j.scipy.special.logsumexp),
            staticmethod(_jax_scan),
        )
        lax = j.lax

    given = {n: j.numpy.asarray(v) for n, v in {**task.feeds, **task.weights}.items()}
    value, loss = _functions(Lib, task)
    point = {n: given.pop(n) for n in task.wrt} if task.kind == "gradient" else {}
    run = j.jit(j.value_and_grad(loss) if point else value)
    call = lambda: j.block_until_ready(run(point, given))  # noqa: E731
    return call, lambda found: _listed(found, task)


def _jax_scan(step, state, xs):
    import jax as j

    return j.lax.scan(step, state, xs)[1]


def autograd(task):
    import autograd as a
    import autograd.numpy as anp
    import autograd.scipy.special as special

    def scan(step, state, xs):
        rows = []
        for x in xs:
            state, row = step(state, x)
            rows.append(row)
        return anp.stack(rows)

    class Lib:
        np, erf, logsumexp = anp, staticmethod(special.erf), staticmethod(special.logsumexp)

    Lib.scan = staticmethod(scan)
    Lib.relu = staticmethod(lambda x: anp.maximum(x, np.float32(0)))
    Lib.sigmoid = staticmethod(lambda x: 1 / (1 + anp.exp(-x)))
    if task.name == "convolutions":
        raise NotImplementedError("it has no convolution of images")
    value, loss = _functions(Lib, task)
    given = {**task.feeds, **task.weights}
    if task.kind == "forward":
        return lambda: value({}, given), lambda found: [np.asarray(found)]
    point = {n: given.pop(n) for n in task.wrt}
    run = a.value_and_grad(loss)
    return lambda: run(point, given), lambda found: _listed(found, task)


def _listed(found, task):
    if task.kind == "forward":
        return [np.asarray(found)]
    return [np.asarray(found[0]), *(np.asarray(found[1][n]) for n in task.wrt)]


def _functions(lib, task):
    plain = LIKE_NUMPY[task.name](lib, task)
    ends = {
        "": None,
        "none": lambda v, p: v,
        "sum": lambda v, p: lib.np.sum(v),
        "squares": lambda v, p: lib.np.mean(v * v),
        "cross-entropy": lambda v, p: _cross_entropy(lib, v, p["t"]),
    }
    end = ends[task.ending]

    def value(point, rest):
        return plain({**rest, **point})

    def loss(point, rest):
        p = {**rest, **point}
        return end(plain(p), p)

    return value, loss


def _cross_entropy(lib, scores, t):
    chosen = scores[np.arange(scores.shape[0]), t]
    return lib.np.mean(lib.logsumexp(scores, axis=1) - chosen)


def _perceptron(lib, task):
    def value(p):
        hidden = lib.relu(p["x"] @ p["w1"] + p["b1"])
        hidden = lib.relu(hidden @ p["w2"] + p["b2"])
        return _cross_entropy(lib, hidden @ p["w3"] + p["b3"], p["t"])

    return value


def _transformer(lib, task):
    np_, heads, half = lib.np, task.sizes["heads"], np.float32(0.5)

    def normal(x, scale, bias):
        centred = x - np_.mean(x, -1, keepdims=True)
        return centred / np_.sqrt(np_.mean(centred * centred, -1, keepdims=True) + np.float32(1e-5)) * scale + bias

    def value(p):
        x = p["x"]
        n, s, d = x.shape
        qkv = normal(x, p["g1"], p["c1"]) @ p["wqkv"] + p["bqkv"]
        parts = [qkv[..., i * d : (i + 1) * d] for i in range(3)]
        q, k, v = (np_.transpose(np_.reshape(z, (n, s, heads, d // heads)), (0, 2, 1, 3)) for z in parts)
        scores = q @ np_.transpose(k, (0, 1, 3, 2)) * np.float32((d // heads) ** -0.5)
        e = np_.exp(scores - np_.max(scores, -1, keepdims=True))
        o = (e / np_.sum(e, -1, keepdims=True)) @ v
        x = x + np_.reshape(np_.transpose(o, (0, 2, 1, 3)), (n, s, d)) @ p["wo"] + p["bo"]
        m = normal(x, p["g2"], p["c2"]) @ p["w1"] + p["b1"]
        m = half * m * (1 + lib.erf(m * np.float32(0.5**0.5)))
        return x + m @ p["w2"] + p["b2"]

    return value


def _convolutions(lib, task):
    lax, np_ = lib.lax, lib.np

    def value(p):
        x = p["x"]
        for i in "123":
            scale = p["g" + i] / np_.sqrt(p["v" + i] + np.float32(1e-5))
            x = lax.conv_general_dilated(x, p["w" + i], (1, 1), "SAME") + p["b" + i][:, None, None]
            x = (x - p["m" + i][:, None, None]) * scale[:, None, None] + p["c" + i][:, None, None]
            x = lax.reduce_window(lib.relu(x), -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return np_.reshape(x, (x.shape[0], -1)) @ p["w"] + p["b"]

    return value


def _lstm(lib, task):
    np_, size = lib.np, task.sizes["h"]

    def value(p):
        weights, recurrent = np_.transpose(p["W"][0]), np_.transpose(p["R"][0])
        bias = p["B"][0, : 4 * size] + p["B"][0, 4 * size :]

        def step(state, x):
            h, c = state
            gates = x + h @ recurrent
            i, o, f, g = (gates[:, k * size : (k + 1) * size] for k in range(4))
            c = lib.sigmoid(f) * c + lib.sigmoid(i) * np_.tanh(g)
            h = lib.sigmoid(o) * np_.tanh(c)
            return (h, c), h

        start = np.zeros((p["x"].shape[1], size), np.float32)
        return lib.scan(step, (start, start), p["x"] @ weights + bias)

    return value


def _chain(lib, task):
    np_ = lib.np
    names = {"Mul": "multiply", "Add": "add", "Sub": "subtract"}
    calls = {s: getattr(np_, names.get(s, s.lower()), None) for s in set(task.about["steps"])}
    calls |= {"Relu": lib.relu, "Sigmoid": lib.sigmoid}
    return lambda p: _chained(p["x"], p["w"], task.about["steps"], calls)


LIKE_NUMPY = {
    "relu_sum": lambda lib, task: lambda p: lib.np.sum(lib.relu(p["x"] * p["y"] + np.float32(2))),
    "sine": lambda lib, task: lambda p: (p["x"] + p["y"]) * lib.np.sin(p["x"]),
    "perceptron": _perceptron,
    "transformer": _transformer,
    "convolutions": _convolutions,
    "lstm": _lstm,
    "chain": _chain,
}
SYSTEMS = {f.__name__: f for f in (graphspec, ort, reference, torch, jax, autograd)}


def main(system, folder, kind):
    """Compute, say so, and take turns until there is nothing more to read."""
    task = Task(Path(folder), kind)
    call, arrays = SYSTEMS[system](task)
    start = time.process_time()
    found = arrays(call())
    np.savez(task.folder / f"{system}.npz", *found)
    if time.process_time() - start < 3:  # past the first calls nothing is compiled any more
        for _ in range(3):
            call()
    print(json.dumps({"ready": system}), flush=True)
    for line in sys.stdin:
        calls = range(int(line))
        start = time.process_time()
        for _ in calls:
            call()
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Workloads side by side: GraphSpec and its peers, each in a process of its own, by turns: ``make bench`` runs it.

Times are CPU seconds of one thread. The competitors' numbers are compared before any is timed. It writes
``results.json`` beside this file, the table in ``docs/performance.md``, and ``bench.png`` where matplotlib is there.

    python benchmarks/bench/run.py [--work W2 W3] [--peers torch ort] [--venvs DIRECTORY] [--turns 7] [--seconds 0.1]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import graphspec as gs
from bench import page, workloads
from environments import VENVS, environment

WORKER = Path(__file__).resolve().parent / "peers.py"
# What is installed for each; those with nothing run in the environment that runs this script, which has them.
PACKAGES: dict[str, tuple[str, ...]] = {
    "graphspec": (),
    "torch": ("torch==2.13.0", "numpy==2.4.6"),
    "ort": (),
    "jax": ("jax==0.10.2", "numpy==2.4.6"),
    "autograd": ("autograd==1.9.1", "scipy==1.17.1", "numpy==2.4.6"),
    "reference": (),
}
DISTRIBUTIONS = {"ort": "onnxruntime", "reference": "onnx"}
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")} | {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
GRAPHS = ("graphspec", "torch", "ort", "reference")  # those that have the networks of the ONNX wheel
SLOW = 2.0  # seconds: a competitor whose single call takes longer gets one turn


class FailedError(Exception):
    """A competitor's process ended, in its own words."""


class Competitor:
    """A process that has computed the numbers once and waits for its turns."""

    def __init__(self, system: str, python: str, folder: Path, kind: str) -> None:
        self.system, self.calls = system, 1
        self.times: list[float] = []
        self._log = (folder / f"{system}.log").open("w+")
        self._process = subprocess.Popen(
            [python, str(WORKER), system, str(folder), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=os.environ | ONE_THREAD,
        )  # fmt: skip

    def ready(self, folder: Path) -> list[np.ndarray]:
        """The numbers that it computed."""
        self._answer()
        with np.load(folder / f"{self.system}.npz") as found:
            return [found[name] for name in found.files]

    def settle(self, seconds: float) -> None:
        """Find how many calls fill a turn."""
        once = self._timed(1)
        self.calls = max(1, int(seconds / max(once, 1e-7)))
        if self.calls > 1:  # a single short call says little
            self.calls = max(1, int(seconds * self.calls / max(self._timed(self.calls), 1e-7)))

    def turn(self) -> None:
        """Make the calls of one turn, unless they are slow and have been made."""
        if not self.times or self.times[0] < SLOW:
            self.times.append(self._timed(self.calls) / self.calls)

    def close(self) -> None:
        """Let the process end."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _timed(self, calls: int) -> float:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{calls}\n")
            self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            said = self._log.read().strip().splitlines() or [f"it ended with {self._process.returncode}"]
            raise FailedError(said[-1][:120])
        return line


def main() -> None:
    """Build the workloads, ask every competitor, write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers = [p for p in PACKAGES if p != "graphspec"]
    parser.add_argument("--work", nargs="+", default=list(workloads.WORKLOADS), choices=list(workloads.WORKLOADS))
    parser.add_argument("--peers", nargs="*", default=peers, choices=peers)
    parser.add_argument("--venvs", type=Path, default=VENVS / "bench", help="where the environments are made")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one turn, at least one call")
    parser.add_argument("--dry", action="store_true", help="print the rows, and write nothing")
    parser.add_argument("--page", action="store_true", help="write the page from results.json, and run nothing")
    options = parser.parse_args()
    if options.page:
        page.write(page.stored())
        return
    systems = ["graphspec", *options.peers]
    pythons = {s: environment(s, PACKAGES[s], options.venvs) for s in systems}
    stored = page.stored()
    results: dict[str, Any] = {
        "machine": page.machine(),
        "limits": limits(),
        "versions": stored.get("versions", {}) | {s: version(pythons[s], s) for s in systems},
        "turns": options.turns,
        "rows": dict(stored.get("rows", {})),
    }
    for name in options.work:
        workload = workloads.WORKLOADS[name]
        with tempfile.TemporaryDirectory() as folder:
            for kind in write(workload, Path(folder)):
                racing = {s: p for s, p in pythons.items() if workload.peers != "graph" or s in GRAPHS}
                row = race(racing, Path(folder), kind, options.turns, options.seconds)
                merged = results["rows"].get(f"{name} {kind}", {"seconds": {}, "failed": {}})
                for part in ("seconds", "failed"):
                    kept = {s: v for s, v in merged[part].items() if s not in systems}
                    merged[part] = kept | row[part]
                results["rows"][f"{name} {kind}"] = merged
                print(f"{name} {kind}: {page.said(row)}", flush=True)
    if not options.dry:
        page.write(results)


def write(workload: workloads.Workload, folder: Path, *, tiny: bool = False) -> list[str]:
    """Put the graphs, the arrays and what a worker must know into a folder; the kinds of runs there are."""
    built = workloads.build(workload, tiny=tiny)
    kinds = ["forward"]
    onnx.save(built.forward, folder / "forward.onnx")
    if built.loss is not None:
        kinds.append("gradient")
        gs.save(gs.grad(gs.load(built.loss), "loss", built.wrt), folder / "gradient.onnx")
    np.savez(folder / "feeds.npz", **built.feeds)  # type: ignore[arg-type]
    np.savez(folder / "weights.npz", **built.weights)  # type: ignore[arg-type]
    sizes = dict(workload.sizes) | (dict(workload.tiny) if tiny else {})
    steps = [n.op_type for n in built.forward.graph.node] if workload.peers == "chain" else []
    about = {"peers": workload.peers, "ending": workload.ending, "wrt": built.wrt, "sizes": sizes, "steps": steps}
    about["nodes"] = [
        (n.op_type, list(n.input), n.output[0], {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute})
        for n in (built.forward.graph.node if workload.peers == "graph" else ())
    ]
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    return kinds


def race(pythons: dict[str, str], folder: Path, kind: str, turns: int, seconds: float) -> dict[str, Any]:
    """Median seconds of a call for each competitor, and what those said that could not."""
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        racing, found = [], {}
        for system, python in pythons.items():
            competitor = Competitor(system, python, folder, kind)
            stack.callback(competitor.close)
            try:
                found[system] = competitor.ready(folder)
                racing.append(competitor)
            except FailedError as error:
                if system == "graphspec":
                    raise
                failed[system] = str(error)
        failed |= check(found)
        racing = [c for c in racing if c.system not in failed]
        for competitor in racing:
            competitor.settle(seconds)
        for _ in range(turns):
            for competitor in racing:
                competitor.turn()
        return {"seconds": {c.system: statistics.median(c.times) for c in racing}, "failed": failed}


def check(found: dict[str, Sequence[np.ndarray]]) -> dict[str, str]:
    """Who computed other numbers than GraphSpec, in float32; an error where those that did not are fewer."""
    others: dict[str, str] = {}
    for system, arrays in found.items():
        for i, (ours, theirs) in enumerate(zip(found["graphspec"], arrays, strict=True)):
            scale = max(float(np.abs(ours).max()), 1e-6)
            off = float(np.abs(np.reshape(theirs, ours.shape) - ours).max()) / scale
            if not off <= 1e-3:
                others[system] = f"output {i} differs from GraphSpec's by {off:.1e} of its largest element"
                break
    if 2 * len(others) > len(found) - 1:
        raise FailedError(f"The numbers are not the same: {others}")
    return others


def version(python: str, system: str) -> str:
    """The package that competes, as installed."""
    name = DISTRIBUTIONS.get(system, system)
    code = f"from importlib.metadata import version; print('{name}', version('{name}'))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def limits() -> dict[str, float]:
    """What NumPy gets out of this machine on one thread, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(WORKER.parents[1])!r})\n"
         f"sys.path.insert(0, {str(WORKER.parents[2] / 'examples')!r})\n"
         "import json; from bench import run; print(json.dumps(run.measured()))"],
        check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured() -> dict[str, float]:
    """GEMM in GFLOP/s, copies in GB/s read and written, and one call of a ufunc in nanoseconds."""
    n, big = 1024, 1 << 24
    a, b, c = (np.ones((n, n), np.float32) for _ in range(3))
    source, target = np.ones(big, np.float32), np.empty(big, np.float32)
    x, y = np.ones(3, np.float32), np.empty(3, np.float32)
    return {
        "gemm_gflops": 2 * n**3 / min(_seconds(lambda: np.matmul(a, b, out=c), 3)) / 1e9,
        "copy_gb_s": 8 * big / min(_seconds(lambda: np.copyto(target, source), 3)) / 1e9,
        "ufunc_ns": min(_seconds(lambda: np.add(x, x, out=y), 20000)) * 1e9,
    }


def _seconds(call: Any, calls: int) -> Iterator[float]:
    for _ in range(7):
        start = time.process_time()
        for _ in range(calls):
            call()
        yield (time.process_time() - start) / calls


if __name__ == "__main__":
    main()

"""Which system gives which derivative, and which of them are right: ``make coverage-table`` runs it.

Every case (see ``cases.py``) goes to GraphSpec, onnx-ad, ONNX Runtime's training build and JAX (through
jaxonnxruntime), each in an environment of its own and in a process of its own, so that a crash is a row. It writes
``results.json`` beside this file, ``docs/coverage.md``, and the table in ``docs/derivatives.md``.

    python benchmarks/coverage/run.py [--systems jax onnx-ad] [--venvs DIRECTORY] [--operators Det OneHot]
"""

from __future__ import annotations

import argparse
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import cases as all_cases
import page

from environments import VENVS, environment

HERE = Path(__file__).resolve().parent
# What is installed for each; GraphSpec runs in the environment that runs this script.
PACKAGES = {
    "graphspec": (),
    "onnx-ad": ("onnx-ad==0.3.0", "onnxruntime==1.32.0", "onnx==1.23.2"),
    "ort-training": ("onnxruntime-training==1.19.2", "numpy<2", "onnx==1.16.2"),
    # jaxonnxruntime imports absl and etils without asking for them.
    "jax": ("jax==0.10.2", "jaxonnxruntime==0.3.0", "onnx==1.16.2", "absl-py", "etils"),
}
SECONDS = 60  # for one case
# Deviation allowed, relative to the largest element of the gradient (at least 1): in float64, and in float32.
CLOSE = {True: 1e-6, False: 2e-3}


def main() -> None:
    """Solve the cases, ask every system, write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--venvs", type=Path, default=VENVS, help="where the environments are made")
    parser.add_argument("--operators", nargs="+", help="these alone, printed and not written")
    parser.add_argument("--missing", action="store_true", help="ask only for what results.json has not")
    options = parser.parse_args()
    cases = all_cases.cases(set(options.operators) if options.operators else None)
    print(f"{len(cases)} cases of {len({c.op_type for c in cases})} operators")
    stored = json.loads(page.RESULTS.read_text(encoding="utf-8")) if page.RESULTS.exists() else {"systems": {}}
    systems = {name: s for name, s in stored["systems"].items() if name not in options.systems}
    verdicts = {c.id: dict(stored.get("cases", {}).get(c.id, {}).get("verdicts", {})) for c in cases}
    for system in options.systems:
        python = environment(system, PACKAGES[system], options.venvs)
        systems[system] = versions(python, system)
        asked = [c for c in cases if not options.missing or system not in verdicts[c.id]]
        with tempfile.TemporaryDirectory() as folder:
            write(asked, Path(folder))
            answers = ask(python, system, Path(folder), len(asked))
        for case, answer in zip(asked, answers, strict=True):
            verdicts[case.id][system] = judged(case, answer)
        print(f"{system}: {page.counted(verdicts, system)}", flush=True)
    results = {
        "onnx": onnx.__version__,
        "systems": {name: systems[name] for name in PACKAGES if name in systems},
        "cases": {c.id: {"operator": c.op_type, "moves": c.moves, "verdicts": verdicts[c.id]} for c in cases},
    }
    if options.operators:
        print(json.dumps(results["cases"], indent=1))
        return
    page.RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if all(set(PACKAGES) <= set(v) for v in verdicts.values()):
        page.write(results)


def write(cases: list[all_cases.Case], folder: Path) -> None:
    """A folder a case, numbered."""
    for i, case in enumerate(cases):
        own = folder / f"{i:04d}"
        own.mkdir()
        onnx.save(case.model, own / "narrow.onnx")
        if case.wide is not None:
            onnx.save(case.wide, own / "wide.onnx")
        np.savez(own / "feeds.npz", **case.feeds)  # type: ignore[arg-type]
        (own / "case.json").write_text(json.dumps({"id": case.id, "wrt": case.wrt}), encoding="utf-8")


def versions(python: str, system: str) -> str:
    """The packages that were asked, as installed."""
    name = PACKAGES[system][0].split("==")[0] if PACKAGES[system] else "graphspec"
    names = ["jax", "jaxonnxruntime"] if system == "jax" else [name]
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def ask(python: str, system: str, folder: Path, count: int) -> list[dict[str, Any]]:
    """What a system answers to each case; a process that dies or hangs is an answer too, and the next takes over."""
    answers: list[dict[str, Any]] = []
    command = [python, str(HERE / "workers.py"), system, str(folder)]
    if nice := shutil.which("nice"):
        command = [nice, "-n", "10", *command]
    while len(answers) < count:
        process = subprocess.Popen(
            [*command, str(len(answers))], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
        while len(answers) < count:
            try:
                line = lines.get(timeout=SECONDS)
            except queue.Empty:
                process.kill()
                answers.append({"kind": "error", "says": f"no answer in {SECONDS} s"})
                break
            if not line:
                answers.append({"kind": "error", "says": f"the process ended with {process.wait()}"})
                break
            answers.append(json.loads(line))
        process.kill()
        process.wait()
    return answers


def _forward(stream: Any, lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def judged(case: all_cases.Case, answer: dict[str, Any]) -> dict[str, Any]:
    """right, wrong, zero, NaN, other value, refused or error; with what there is to say of it."""
    if answer["kind"] != "gradients":
        return {"is": answer["kind"], "says": answer["says"]}
    close = CLOSE[bool(answer["wide"]) and case.wide is not None]
    if not abs(answer["loss"] - case.loss) <= close * max(1.0, abs(case.loss)) * 10:
        return {"is": "other value", "says": f"the loss is {answer['loss']:.6g}, not {case.loss:.6g}"}
    worst, what = 0.0, "right"
    for name, given in zip(case.wrt, answer["gradients"], strict=True):
        expected = case.gradients[name]
        found = np.array([np.nan if v is None else v for v in given["data"]], np.float64)
        if found.size == expected.size == 1:
            found = found.reshape(expected.shape)  # a shape of [1] for [] is no other gradient
        elif list(given["shape"]) != list(expected.shape):
            return {"is": "wrong", "says": f"d/d{name} has shape {given['shape']}, not {list(expected.shape)}"}
        found = found.reshape(expected.shape)
        if not np.isfinite(found).all():
            return {"is": "NaN", "says": f"d/d{name} is not finite"}
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        deviation = float(np.abs(found - expected).max(initial=0)) / scale
        if deviation > close and deviation > worst:
            worst = deviation
            what = "zero" if not found.any() else "wrong"
            says = f"d/d{name} is zero" if what == "zero" else f"d/d{name} is off by {deviation:.2g}"
    return {"is": what} if what == "right" else {"is": what, "says": says}


if __name__ == "__main__":
    main()

"""From ``results.json`` to the table in ``docs/performance.md``; nothing is run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.workloads import WORKLOADS

RESULTS = Path(__file__).resolve().parent / "results.json"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
PLOT = PAGE.with_name("performance.png")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
PEERS = {"torch": "PyTorch", "ort": "ONNX Runtime", "jax": "JAX", "autograd": "autograd", "reference": "reference"}
TIE = (0.9, 1.1)  # a ratio within these of its target counts as a tie
# What ONNX Runtime takes for our gradient graphs over what PyTorch takes, as it is aimed at.
ON_RUNTIME = {"W2": 0.8, "W3": 0.95, "W4": 0.95, "W5": 1.1}


def stored() -> dict[str, Any]:
    """The results as they were last measured."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def write(results: Mapping[str, Any]) -> None:
    """Keep the results, and put the tables where they belong."""
    rows = {key: results["rows"][key] for key in _keys() if key in results["rows"]}
    results = {**results, "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + block(results) + rest.split(END)[1], encoding="utf-8")
    with contextlib.suppress(ImportError):
        plot(results)


def _keys() -> Iterator[str]:
    for name in WORKLOADS:
        yield from (f"{name} forward", f"{name} gradient")


def block(results: Mapping[str, Any]) -> str:
    """All that is between the marks of the page."""
    parts = [described(results), table(results), failures(results), runtime_table(results), misses(results)]
    return f"{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}"


def described(results: Mapping[str, Any]) -> str:
    """The machine, its limits and the versions."""
    machine, limits = results["machine"], results["limits"]
    versions = ", ".join(results["versions"].values())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, NumPy "
        f"{machine['numpy']} with {machine['blas']}; {versions}.\n\n"
        "| limit of this machine, one thread | |\n| --- | ---: |\n"
        f"| matrix product, 1024 × 1024, float32 | {limits['gemm_gflops']:.0f} GFLOP/s |\n"
        f"| copy, 64 MB, read and written | {limits['copy_gb_s']:.1f} GB/s |\n"
        f"| `np.add` of 3 floats with `out=` | {limits['ufunc_ns']:.0f} ns |"
    )


def table(results: Mapping[str, Any]) -> str:
    """A row for each workload and kind of run: our time, and the ratios with their targets."""
    lines = [
        "| workload | run | GraphSpec | " + " | ".join(PEERS.values()) + " |",
        "| --- | --- | ---: |" + " ---: |" * len(PEERS),
    ]
    for key, row in results["rows"].items():
        name, kind = key.split()
        ours = row["seconds"].get("graphspec")
        cells = [_cell(row, peer, target(name, kind, peer)) for peer in PEERS]
        lines.append(f"| {name} | {kind} | {_duration(ours)} | " + " | ".join(cells) + " |")
    names = "\n".join(f"* {name}: {workload.title}" for name, workload in WORKLOADS.items())
    return "\n".join(lines) + "\n\n" + names


def runtime_table(results: Mapping[str, Any]) -> str:
    """Our gradient graphs on ONNX Runtime against PyTorch."""
    lines = ["| our gradient graph on ONNX Runtime | ONNX Runtime / PyTorch | target |", "| --- | ---: | ---: |"]
    for name, bar in ON_RUNTIME.items():
        seconds = results["rows"].get(f"{name} gradient", {"seconds": {}})["seconds"]
        if {"ort", "torch"} <= set(seconds):
            ratio = seconds["ort"] / seconds["torch"]
            lines.append(f"| {name} | {ratio:.2f} {_verdict(ratio, bar)} | {bar:g} |")
    return "\n".join(lines)


def failures(results: Mapping[str, Any]) -> str:
    """Who cannot, in its own words."""
    lines = [
        f"* {key}, {PEERS[peer]}: `{why}`"
        for key, row in results["rows"].items()
        for peer, why in row["failed"].items()
    ]
    return "\n".join(["What those that cannot say, or how their numbers differ:", "", *lines])


def misses(results: Mapping[str, Any]) -> str:
    """The targets that are not reached, the farthest first."""
    found = []
    counts = {"met": 0, "tie": 0, "missed": 0}
    for key, row in results["rows"].items():
        for peer in PEERS:
            bar = target(*key.split(), peer)
            if bar is not None and {"graphspec", peer} <= set(row["seconds"]):
                ratio = row["seconds"]["graphspec"] / row["seconds"][peer]
                counts[_verdict(ratio, bar)] += 1
                if _verdict(ratio, bar) == "missed":
                    found.append((ratio / bar, f"{key} against {PEERS[peer]}: {ratio / bar:.1f} times the target"))
    lines = [f"* {text}" for _, text in sorted(found, reverse=True)]
    head = (
        f"Of {sum(counts.values())} targets {counts['met']} are met, {counts['tie']} tie, {counts['missed']} are missed"
    )
    return head + (":\n\n" + "\n".join(lines) if lines else ".")


def target(name: str, kind: str, peer: str) -> float | None:
    """Our time over a peer's that is aimed at."""
    return WORKLOADS[name].targets.get(kind, {}).get(peer)


def _cell(row: Mapping[str, Any], peer: str, bar: float | None) -> str:
    if peer in row["seconds"] and "graphspec" in row["seconds"]:
        ratio = row["seconds"]["graphspec"] / row["seconds"][peer]
        text = f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.2g}"
        return text if bar is None else f"{text} (target {bar:g}, {_verdict(ratio, bar)})"
    return "cannot" if peer in row["failed"] else "–"


def _verdict(ratio: float, bar: float) -> str:
    return "met" if ratio <= TIE[0] * bar else "tie" if ratio <= TIE[1] * bar else "missed"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def said(row: Mapping[str, Any]) -> str:
    """A row as a line for the terminal."""
    times = [f"{system} {_duration(seconds)}" for system, seconds in row["seconds"].items()]
    return ", ".join(times + [f"{system} failed ({why})" for system, why in row["failed"].items()])


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    names = [p.split(":")[1].strip() for p in _cpuinfo() if p.startswith("model name")]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        config: Any = np.show_config("dicts")
    blas = config["Build Dependencies"]["blas"]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def plot(results: Mapping[str, Any]) -> None:
    """The ratios as bars, on a logarithmic scale; it needs matplotlib."""
    import matplotlib.figure

    rows = results["rows"]
    figure = matplotlib.figure.Figure(figsize=(10, 0.35 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    peers = [p for p in PEERS if p != "reference"]
    for i, peer in enumerate(peers):
        points = [
            (n - 0.3 + 0.2 * i, row["seconds"]["graphspec"] / row["seconds"][peer])
            for n, row in enumerate(rows.values())
            if {"graphspec", peer} <= set(row["seconds"])
        ]
        axes.barh([y for y, _ in points], [x for _, x in points], height=0.2, label=PEERS[peer])
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("GraphSpec's time / theirs (left of 1: GraphSpec is faster)")
    axes.legend()
    figure.savefig(PLOT, dpi=80, metadata={"Software": None})

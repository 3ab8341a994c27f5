"""The main job, end to end: values and gradients over HTTP, on real images. Run it by ``make demo``.

It starts the service as a process of its own on a free loopback port, talks to it through the client, prints one line a
step and ends with status 1 if a check fails. What it makes lies in ``demo_output/``.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from graphspec_client import Client
from steps import digits, export, first_graph, vision
from steps.checks import CheckError
from steps.service import running_service

OUTPUT = Path("demo_output")
MAX_BODY = 300_000_000  # bytes; ResNet-50 with its weights has 102 million


def main() -> int:
    """Run the four steps; 0 if every check held."""
    start = time.perf_counter()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    with running_service(OUTPUT, max_body_bytes=str(MAX_BODY)) as url, Client(url, timeout=120) as client:
        print(f"The service runs on {url}; pictures and graphs go to {OUTPUT}/", flush=True)
        try:
            print("1", first_graph.run(client), flush=True)
            network, line = digits.run(client, OUTPUT / "digits.png")
            print("2", line, flush=True)
            print("3", export.run(client, network, OUTPUT / "digits_gradient.onnx"), flush=True)
            print("4", vision.run(client, OUTPUT / "saliency.png"), flush=True)
        except CheckError as failure:
            print(f"CHECK FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"All checks passed, in {time.perf_counter() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Who may import whom, as data; the test walks the imports of every module, those inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "graphspec" / "graphspec"
SERVER = ROOT / "server" / "graphspec_server"
CLIENT = ROOT / "client" / "graphspec_client"

BASE = {"errors", "dtypes", "inference"}
GRAPHS = BASE | {"interchange", "validation"}

# A part of the library (a module, or a folder with all in it) and the other parts that it may import.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "dtypes": {"errors"},
    "inference": {"errors", "dtypes"},
    "interchange": BASE,
    "validation": BASE | {"interchange"},
    "operators": BASE,
    "optimize": GRAPHS | {"operators"},
    "derivatives": GRAPHS | {"operators", "optimize"},
    "runtime": GRAPHS | {"operators", "optimize"},
    "backend": GRAPHS | {"operators", "runtime"},
    "training": GRAPHS | {"runtime"},
    "jacobians": GRAPHS | {"optimize", "derivatives", "runtime"},
    "testing": GRAPHS | {"operators", "optimize", "derivatives", "runtime"},
    "__init__": GRAPHS
    | {"operators", "optimize", "derivatives", "runtime", "backend", "training", "jacobians", "testing"},
}

# The client's modules in storeys; a module may import those below its own storey, and within it those before it.
CLIENT_STOREYS: dict[str, str] = {
    "data": "_exceptions _dtypes _codec _bulk _containers _sources _answers",
    "wire": "_requests _derivatives _verbs _inprocess",
    "values": "_current _values _shapes _emit",
    "operations": "_elementwise _reductions _shaping _indexing _linalg _numpy",
    "tensor": "_inline _evaluation _tensor functions",
    "functions": "_function _parts _transforms",
    "clients": "_base _client _async_client _default __init__",
}
CLIENT_ORDER = [module for storey in CLIENT_STOREYS.values() for module in storey.split()]

# Names that a distribution may not import at all, wherever in it.
NETWORK = {"fastapi", "starlette", "uvicorn", "httpx", "http", "urllib", "socket"}
FORBIDDEN = {
    LIBRARY: {"graphspec_server", "graphspec_client"} | NETWORK,
    SERVER: {"graphspec_client", "httpx"},
    CLIENT: {"graphspec", "graphspec_server", "onnx", "onnx_ir", "pydantic", "fastapi", "starlette"},
}

ERROR_STATUSES = {int(s) for s in HTTPStatus if s >= 400}


def modules(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def every_module() -> list[Path]:
    return [path for package in FORBIDDEN for path in modules(package)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{alias.name}") for alias in node.names)


def part_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def layer_violations(part: str, source: str) -> list[str]:
    """Imports that the table does not allow to a module of ``part``."""
    found = []
    for line, name in imports(source):
        first, *rest = name.split(".")
        if first != "graphspec":
            continue
        target = rest[0] if rest else "__init__"
        if target not in LAYERS:  # `from graphspec import load`: the public face, which stands above everything
            target = "__init__"
        if target != part and target not in LAYERS[part]:
            found.append(f"line {line}: {part} imports {name}")
    return found


def client_violations(module: str, source: str) -> list[str]:
    """Imports of the client's modules that stand above this one, or beside it and later."""
    below = CLIENT_ORDER[: CLIENT_ORDER.index(module)]
    found = []
    for line, name in imports(source):
        first, *rest = name.split(".")
        if first == "graphspec_client" and (not rest or rest[0] not in below):
            found.append(f"line {line}: {module} imports {name}")
    return found


def surface_violations(source: str, public: set[str]) -> list[str]:
    """Uses of graphspec beyond its public names: deep imports, and attributes of the module that are not listed."""
    tree = ast.parse(source)
    found, aliases = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "graphspec":
                    aliases.add(alias.asname or "graphspec")
                elif alias.name.startswith("graphspec."):
                    found.append(f"line {node.lineno}: import {alias.name}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "graphspec":
            bad = [a.name for a in node.names if node.module != "graphspec" or a.name not in public]
            found += [f"line {node.lineno}: from {node.module} import {name}" for name in bad]
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    uses = [n for n in attributes if isinstance(n.value, ast.Name) and n.value.id in aliases and n.attr not in public]
    return found + [f"line {node.lineno}: graphspec.{node.attr}" for node in uses]


def status_violations(source: str) -> list[str]:
    """Error statuses written as numbers, or by the names of `http` and Starlette."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in ERROR_STATUSES:
            found.append(f"line {node.lineno}: {node.value}")
        elif isinstance(node, ast.Attribute) and node.attr.startswith(("HTTP_4", "HTTP_5", "HTTPStatus")):
            found.append(f"line {node.lineno}: {node.attr}")
    return found + [f"line {line}: {name}" for line, name in imports(source) if name == "http.HTTPStatus"]


def test_every_part_of_the_library_has_its_place_in_the_table():
    assert {part_of(path) for path in modules(LIBRARY)} <= set(LAYERS)


def test_the_table_itself_has_no_cycle():
    placed: set[str] = set()
    while len(placed) < len(LAYERS):
        free = {part for part, below in LAYERS.items() if part not in placed and below <= placed}
        assert free, f"cycle among {set(LAYERS) - placed}"
        placed |= free


@pytest.mark.parametrize("path", modules(LIBRARY), ids=name_of)
def test_the_library_keeps_its_layers(path):
    assert layer_violations(part_of(path), path.read_text(encoding="utf-8")) == []


def test_every_module_of_the_client_has_its_place():
    assert sorted(path.stem for path in modules(CLIENT)) == sorted(CLIENT_ORDER)


@pytest.mark.parametrize("path", modules(CLIENT), ids=name_of)
def test_the_client_keeps_its_layers(path):
    assert client_violations(path.stem, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", modules(SERVER), ids=name_of)
def test_the_server_sees_only_public_names(path):
    import graphspec

    assert surface_violations(path.read_text(encoding="utf-8"), set(graphspec.__all__)) == []


@pytest.mark.parametrize("path", modules(SERVER), ids=name_of)
def test_error_statuses_live_in_one_file(path):
    if path == SERVER / "errors.py":
        pytest.skip("the one file where they live")
    assert status_violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", every_module(), ids=name_of)
def test_forbidden_imports(path):
    package = next(p for p in FORBIDDEN if path.is_relative_to(p))
    first = {name.split(".")[0] for _, name in imports(path.read_text(encoding="utf-8"))}
    assert first & FORBIDDEN[package] == set()


def layers_of(part: str) -> Callable[[str], list[str]]:
    return lambda source: layer_violations(part, source)


def client_layers_of(module: str) -> Callable[[str], list[str]]:
    return lambda source: client_violations(module, source)


def surface_of_load(source: str) -> list[str]:
    return surface_violations(source, {"load"})


@pytest.mark.parametrize(
    ("check", "source", "found"),
    [
        pytest.param(layers_of("operators"), "from graphspec.runtime import Session", 1, id="up"),
        pytest.param(layers_of("runtime"), "import graphspec.derivatives.reverse", 1, id="sibling"),
        pytest.param(layers_of("runtime"), "def f():\n    from graphspec import load", 1, id="face"),
        pytest.param(layers_of("runtime"), "from graphspec import errors", 0, id="down"),
        pytest.param(layers_of("runtime"), "from graphspec.runtime.plan import Plan", 0, id="own"),
        pytest.param(
            client_layers_of("_values"), "def f():\n    from graphspec_client._tensor import x", 1, id="client-up"
        ),
        pytest.param(client_layers_of("_tensor"), "from graphspec_client import Client", 1, id="client-face"),
        pytest.param(client_layers_of("_tensor"), "from graphspec_client import _values", 0, id="client-down"),
        pytest.param(surface_of_load, "from graphspec.runtime import Session", 1, id="deep"),
        pytest.param(surface_of_load, "import graphspec as gs\ngs.runtime", 1, id="attribute"),
        pytest.param(surface_of_load, "import graphspec as gs\ngs.load", 0, id="public"),
        pytest.param(status_violations, "raise HTTPException(404)", 1, id="number"),
        pytest.param(status_violations, "status.HTTP_422_UNPROCESSABLE_CONTENT", 1, id="constant"),
        pytest.param(status_violations, "from http import HTTPStatus", 1, id="enum"),
        pytest.param(status_violations, "JSONResponse(body, status_code=201); n = 512", 0, id="success"),
    ],
)
def test_the_checks_can_fail(check, source, found):
    assert len(check(source)) == found

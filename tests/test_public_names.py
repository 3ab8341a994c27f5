"""What `import graphspec as gs` offers: listed, documented and typed, and no more than that."""

from __future__ import annotations

import inspect
import types

import pytest

import graphspec as gs
import graphspec_client
from graphspec import errors

# Section by section: sources and sinks, checks, runs, derivatives, and what the library can say of itself.
SURFACE = {
    "load", "save", "dumps", "to_document", "from_document", "json_schema", "digest",
    "validate", "check_feeds", "Problem", "Report", "ValueInfo",
    "Session", "Training",
    "grad", "vjp", "jvp", "hvp", "jacobian", "hessian", "Jacobian", "Hessian",
    "operators",
}  # fmt: skip
ERRORS = {name for name, thing in vars(errors).items() if inspect.isclass(thing) and issubclass(thing, Exception)}
CLIENT_SURFACE = {"AsyncClient", "Client", "function", "tensor"}
PACKAGES = [pytest.param(gs, id="graphspec"), pytest.param(graphspec_client, id="client")]


def public_names(module: types.ModuleType) -> set[str]:
    """Names without underscore that are no submodule; `annotations` is the future import's mark."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }


def listed() -> list:
    return [
        pytest.param(getattr(module, name), id=f"{module.__name__}.{name}")
        for module in (gs, graphspec_client)
        for name in sorted(module.__all__)
    ]


def functions_of(thing: object) -> list:
    """The function itself, or a class's own public methods and constructor."""
    if inspect.isfunction(thing):
        return [thing]
    if not inspect.isclass(thing):
        return []
    names = [n for n in vars(thing) if not n.startswith("_") or n == "__init__"]
    return [vars(thing)[n] for n in names if inspect.isfunction(vars(thing)[n])]


@pytest.mark.parametrize("module", PACKAGES)
def test_the_list_is_the_namespace(module):
    submodules = {name for name in module.__all__ if isinstance(getattr(module, name), types.ModuleType)}
    assert set(module.__all__) - submodules == public_names(module) - {"__version__"}
    assert len(module.__all__) == len(set(module.__all__))


def test_the_design_s_names_are_there():
    assert (SURFACE | ERRORS) - set(gs.__all__) == set()
    assert CLIENT_SURFACE - set(graphspec_client.__all__) == set()


@pytest.mark.parametrize("thing", listed())
def test_everything_is_documented(thing):
    assert inspect.getdoc(thing)
    for function in functions_of(thing):
        if function.__name__ != "__init__":
            assert inspect.getdoc(function), f"{function.__qualname__} has no docstring"


@pytest.mark.parametrize("thing", listed())
def test_everything_is_annotated(thing):
    for function in functions_of(thing):
        signature = inspect.signature(function)
        parameters = [p for p in signature.parameters.values() if p.name not in {"self", "cls"}]
        bare = [p.name for p in parameters if p.annotation is p.empty]
        assert bare == [], f"{function.__qualname__}: {bare}"
        assert signature.return_annotation is not signature.empty, f"{function.__qualname__} has no return annotation"

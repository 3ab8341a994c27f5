"""docs/client.md: its examples run and print what stands under them, and its lists are those of the tables."""

from __future__ import annotations

import contextlib
import io
import operator
import re

import numpy as np
import pytest

from graphspec_client import _numpy, functions, set_default_client

BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(root):
    return (root / "docs" / "client.md").read_text(encoding="utf-8")


def test_the_examples_print_what_stands_under_them(page, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    blocks = [(kind, text.replace("http://127.0.0.1:8000", server)) for kind, text in BLOCK.findall(page)]
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    try:
        for (_, code), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "docs/client.md", "exec"), namespace)
            assert printed.getvalue() == expected
    finally:
        namespace["client"].close()
        set_default_client(None)


def test_the_lists_are_those_of_the_tables(page):
    part = page.split("### What a tensor understands")[1].split("* Methods")[0]
    names = " ".join(re.findall(r"`np\.([a-z0-9_.\s]+)`", part)).split()
    assert {operator.attrgetter(name)(np) for name in names} == {*_numpy.UFUNCS, *_numpy.FUNCTIONS}


def test_functions_named_exist(page):
    for name in re.findall(r"functions\.(\w+)", page):
        assert name in functions.__all__

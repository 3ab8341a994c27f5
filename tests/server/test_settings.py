"""Where settings come from, and which addresses ask for keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from graphspec_server.__main__ import main
from graphspec_server.settings import Settings, default_repository, read_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    import os

    for name in [n for n in os.environ if n.startswith("GRAPHSPEC_")]:
        monkeypatch.delenv(name)


def test_the_command_line_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("GRAPHSPEC_PORT", "8001")
    monkeypatch.setenv("GRAPHSPEC_HOST", "::1")
    settings = read_settings(["--port", "8002", "--workers", "3", "--repository", "here"])
    assert (settings.port, settings.host, settings.workers) == (8002, "::1", 3)
    assert settings.repository == Path("here")


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("MAX_BODY_BYTES", "1MiB", "max_body_bytes", 2**20),
        ("MAX_BODY_BYTES", "1000", "max_body_bytes", 1000),
        ("RUN_SECONDS", "0.5", "run_seconds", 0.5),
        ("ALLOW_ANONYMOUS", "1", "allow_anonymous", True),
        ("ALLOW_UPLOADS", "0", "allow_uploads", False),
        ("CORS_ORIGINS", "https://a.example,*", "cors_origins", ("https://a.example", "*")),
        ("MAX_QUEUE", "0", "max_queue", 0),
    ],
)
def test_every_option_is_a_variable(monkeypatch, variable, text, field, value):
    monkeypatch.setenv(f"GRAPHSPEC_{variable}", text)
    assert getattr(read_settings([]), field) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [("PORT", "65536"), ("PORT", "http"), ("RUN_SECONDS", "0"), ("RUN_SECONDS", "nan"), ("WORKERS", "-1")],
)
def test_values_out_of_range_are_refused(monkeypatch, variable, text):
    monkeypatch.setenv(f"GRAPHSPEC_{variable}", text)
    with pytest.raises(ValidationError):
        read_settings([])


ONE, TWO = "one:read:" + "0a" * 32, "two:read+run:" + "1b" * 32


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param(ONE, [ONE], id="one"),
        pytest.param(f"{ONE}, {TWO}", [ONE, TWO], id="two"),
        pytest.param(f"\n{ONE}\n{TWO}\n", [ONE, TWO], id="lines"),
        pytest.param(" ,", [], id="none"),
    ],
)
def test_keys_are_separated_by_commas(monkeypatch, text, keys):
    monkeypatch.setenv("GRAPHSPEC_API_KEYS", text)
    for settings in (read_settings([]), read_settings(["--api-keys", text])):
        assert [key.to_setting() for key in settings.api_keys] == keys
        assert not any(key.rpartition(":")[2] in repr(settings) for key in keys)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hunter2", id="in-clear"),
        pytest.param("hunter2:read", id="no-digest"),
        pytest.param("hunter2:read:" + "0" * 63, id="short"),
        pytest.param("hunter2:read:" + "G" * 64, id="not-hex"),
        pytest.param("hunter2::" + "0" * 64, id="no-scope"),
        pytest.param("a:root:" + "0" * 64, id="unknown-scope"),
        pytest.param(f"{ONE},{ONE}", id="twice"),
        pytest.param('[{"name": "hunter2"}]', id="json"),
    ],
)
def test_bad_keys_are_refused_and_not_repeated(capsys, monkeypatch, text):
    """A key in clear by mistake is told to nobody."""
    monkeypatch.setenv("GRAPHSPEC_API_KEYS", text)
    assert main([]) == 2
    said = capsys.readouterr()
    assert "api_keys: " in said.err
    assert "hunter2" not in said.err + said.out


@pytest.mark.parametrize("text", ["example.org", "https://example.org/", "https://*.example.org/x", "https://a@b"])
def test_origins_are_origins(monkeypatch, text):
    monkeypatch.setenv("GRAPHSPEC_CORS_ORIGINS", text)
    with pytest.raises(ValidationError, match="no origin"):
        read_settings([])


@pytest.mark.parametrize(
    ("host", "more", "exposed"),
    [
        ("127.0.0.1", {}, False),
        ("127.3.2.1", {}, False),
        ("::1", {}, False),
        ("localhost", {}, False),
        ("0.0.0.0", {}, True),
        ("::", {}, True),
        ("example.org", {}, True),
        ("0.0.0.0", {"api_keys": "key:run:" + "0" * 64}, False),
        ("0.0.0.0", {"api_keys": ","}, True),
        ("0.0.0.0", {"allow_anonymous": True}, False),
    ],
)
def test_only_loopback_is_open(host, more, exposed):
    assert Settings(host=host, **more).exposed_without_keys is exposed


def test_the_repository_is_in_the_user_s_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_repository() == tmp_path / "graphspec" / "graphs"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    assert default_repository() == tmp_path / "me" / ".local" / "share" / "graphspec" / "graphs"


def test_a_user_without_a_home_gets_a_folder_here(monkeypatch):
    def homeless():
        raise RuntimeError

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_repository() == Path("graphs")

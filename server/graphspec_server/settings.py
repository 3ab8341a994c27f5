"""Everything an operator can set: each field is a command line option and a variable ``GRAPHSPEC_...``."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from graphspec_server.keys import ApiKey

_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s,?#@]+")


def default_repository() -> Path:
    """Where a user's data goes by the XDG rules: ``~/.local/share/graphspec/graphs`` unless set otherwise."""
    base = os.environ.get("XDG_DATA_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "share") / "graphspec" / "graphs"
    except RuntimeError:  # a user without a home directory, as in some containers
        return Path("graphs")


class Settings(BaseSettings):
    """The service's settings; the environment fills in what the command line leaves open."""

    model_config = SettingsConfigDict(
        env_prefix="GRAPHSPEC_",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_prog_name="graphspec-server",
        cli_avoid_json=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; any other than loopback needs API keys."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""

    workers: int = Field(default=0, ge=0, le=256)
    """Graphs that run at once, each in a thread of its own; 0 for one per processor."""

    repository: Path = Field(default_factory=default_repository)
    """Directory of the stored graphs; made when it is not there."""

    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = ()
    """Entries of the keys that are let in, separated by commas: `graphspec-server new-key NAME` makes one."""

    allow_anonymous: bool = False
    """Serve without keys on an address other than loopback; where keys are set, they are asked for nevertheless."""

    allow_uploads: bool = True
    """Take graphs from clients, to store or to run; without, only what is stored is served."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may read answers, separated by commas: `https://app.example.org`, or `*` for all."""

    max_body_bytes: ByteSize = Field(default=ByteSize(64 * 2**20), gt=0)
    """Largest request body."""

    max_run_bytes: ByteSize = Field(default=ByteSize(4 * 2**30), gt=0)
    """Largest single value that a run may hold, as far as its shapes tell beforehand."""

    run_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Time that a run may take, waiting and compiling included."""

    body_seconds: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Time that a client may take to send its request's body."""

    max_queue: int = Field(default=64, ge=0)
    """Runs that may wait for a worker; more are refused."""

    max_requests: int = Field(default=256, ge=1)
    """Requests in progress, whatever they do; more are refused."""

    max_sessions: int = Field(default=64, ge=1)
    """Compiled graphs that are kept."""

    grace_seconds: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    """Time that running requests have to finish when the service is asked to stop."""

    log_level: Literal["critical", "error", "warning", "info", "debug"] = "warning"
    """Least severe message that is logged."""

    access_log: bool = False
    """Log every request."""

    @field_validator("api_keys", mode="before")
    @classmethod
    def _read_keys(cls, value: Any) -> Any:
        """Keys come as one text from the environment."""
        keys = tuple(ApiKey.from_setting(entry) if isinstance(entry, str) else entry for entry in _split(value))
        if len({key.name for key in keys}) < len(keys):
            raise ValueError("two keys have the same name")
        return keys

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _read_origins(cls, value: Any) -> Any:
        """Browsers compare origins letter by letter, so one with a path would never match."""
        origins = _split(value)
        if bad := next((origin for origin in origins if not _ORIGIN.fullmatch(origin)), None):
            raise ValueError(f"{bad!r} is no origin: scheme://host or scheme://host:port, without a path")
        return origins

    @property
    def concurrency(self) -> int:
        """Graphs that run at once."""
        return self.workers or os.cpu_count() or 1

    @property
    def exposed_without_keys(self) -> bool:
        """Whether strangers could reach the service and nobody said that they may."""
        return not (self.api_keys or self.allow_anonymous or is_loopback(self.host))


def _split(value: Any) -> tuple[Any, ...]:
    """Entries of one text, separated by commas or white space."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else tuple(value)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from the command line (``sys.argv`` by default), then the environment, then the defaults.

    Raises:
        pydantic.ValidationError: A value is not of its kind or out of its range.
        SystemExit: The command line is malformed, or asked for help.
    """
    return Settings(_cli_parse_args=True if arguments is None else list(arguments))

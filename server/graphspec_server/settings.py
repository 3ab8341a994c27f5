"""Everything an operator can set: each field is a command line option and a variable ``GRAPHSPEC_...``."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


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

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that are let in, separated by commas; better in the environment than on the command line."""

    allow_anonymous: bool = False
    """Serve without keys on an address other than loopback."""

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
    def _split_keys(cls, value: Any) -> Any:
        """Keys come as one text from the environment; empty ones would let in an empty bearer token."""
        if isinstance(value, str):
            value = value.split(",")
        keys = [key.get_secret_value() if isinstance(key, SecretStr) else key for key in value]
        return tuple(key.strip() for key in keys if key.strip())

    @property
    def concurrency(self) -> int:
        """Graphs that run at once."""
        return self.workers or os.cpu_count() or 1

    @property
    def exposed_without_keys(self) -> bool:
        """Whether strangers could reach the service and nobody said that they may."""
        return not (self.api_keys or self.allow_anonymous or is_loopback(self.host))


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

"""The command ``graphspec-server``."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn
from pydantic import ValidationError

from graphspec import GraphSpecError
from graphspec_server import keys
from graphspec_server.app import create_app
from graphspec_server.dataplane import DataPlane, create_data_plane
from graphspec_server.settings import Settings, read_settings

_REFUSED = (
    "graphspec-server: {host} is not a loopback address, so others could reach the service. Set GRAPHSPEC_API_KEYS "
    "(`graphspec-server new-key NAME` makes one), or GRAPHSPEC_ALLOW_ANONYMOUS=1 to let everybody in."
)


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"graphspec-server: listening on {_url(sockets[0])}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop, or make a key; gives the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["new-key"]:
        return keys.main(given[1:])
    try:
        settings = read_settings(given)
    except ValidationError as error:
        for detail in error.errors():
            print(f"graphspec-server: {'.'.join(map(str, detail['loc']))}: {detail['msg']}", file=sys.stderr)
        return 2
    if settings.exposed_without_keys:
        print(_REFUSED.format(host=settings.host), file=sys.stderr)
        return 2
    try:
        plane = create_data_plane(settings)
        listener = _bind(settings)
    except (GraphSpecError, OSError) as error:
        print(f"graphspec-server: {error}", file=sys.stderr)
        return 1
    return _serve(settings, plane, listener)


def _serve(settings: Settings, plane: DataPlane, listener: socket.socket) -> int:
    # uvicorn raises the signal that stopped it once more when it is done; by then there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        create_app(settings, plane),
        log_level=settings.log_level,
        log_config=None,
        access_log=settings.access_log,
        timeout_graceful_shutdown=round(settings.grace_seconds),
        server_header=False,
    )
    _Server(config).run(sockets=[listener])
    if plane.busy:  # a kernel cannot be stopped, and must not keep the process
        logging.getLogger(__name__).warning("Stopped while graphs were running.")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns off Nagle's algorithm, which costs 40 ms an answer, only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error
    listener.listen(2048)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())

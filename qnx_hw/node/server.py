"""Serving the HTTP API inside the node's own event loop; signals stay with the node."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from qnx_hw.api.teller import Teller
from qnx_hw.errors import ConfigError
from qnx_hw.node.certificate_watch import kept_fresh
from qnx_hw.node.peer_link import split_address

STOP_DEADLINE_S = 1.0


def bind(address: str, *, or_free_port: bool = False) -> socket.socket:
    """Take a listening address now, so that a clash is told in words; maybe another port of it."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        if or_free_port and port:
            return bind(f"{address.rpartition(':')[0]}:0")
        raise ConfigError(f"cannot serve the API at {address}: {error.strerror}") from error
    taken.listen(64)
    return taken


@asynccontextmanager
async def serving(
    app: ASGIApp, taken: socket.socket, tell: Teller, tls: tuple[Path, Path] | None = None
) -> AsyncIterator[None]:
    """Serve `app` on a bound socket while the context lasts; `tls` is (certificate, key)."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        limit_concurrency=200,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    config.load()
    server = _Server(config)
    async with AsyncExitStack() as stack:
        if tls is not None and config.ssl is not None:
            await stack.enter_async_context(kept_fresh(tell, "api", tls, config.ssl))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        serve = tasks.create_task(server.serve(sockets=[taken]), name="http")
        try:
            yield
        finally:
            server.should_exit = True
            await asyncio.wait([serve], timeout=STOP_DEADLINE_S + 1.0)
            serve.cancel()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the command line handles them for the whole process."""
        yield

"""The HTTP door: an ASGI application served by uvicorn on the agent's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

from bellwire.agents.inference.kserve.errors import KserveListenError

CONNECTIONS_MAX: Final = 256  # and requests at once; beyond, 503 by uvicorn itself
BACKLOG: Final = 128
KEEP_ALIVE_SECONDS: Final = 30
STOP_GRACE_SECONDS: Final = 1  # for answers under way; a batch takes milliseconds


class _Server(uvicorn.Server):
    """Leaves the signals of the process to the agent, and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpDoor:
    """Serves an application until closed."""

    def __init__(self, app: Starlette, address: str) -> None:
        """Prepare.

        Args:
            app: What answers.
            address: HOST:PORT; port 0 = any.
        """
        self._address = address
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_GRACE_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Serve; return HOST:PORT with the port that was taken.

        Raises:
            KserveListenError: The address cannot be served.
        """
        listener = _listener(self._address)
        host, port = listener.getsockname()[:2]
        self._task = asyncio.create_task(self._server.serve([listener]), name=f"http {port}")
        await self._server.serving.wait()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def close(self) -> None:
        """Take no more requests and answer those under way, for a second at most."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG)
    except (OSError, ValueError, OverflowError) as error:
        raise KserveListenError(address, str(error)) from error

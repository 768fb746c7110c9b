"""The HTTP door: an ASGI application served by uvicorn on the agent's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

from bellwire.agents.inference.kserve.address import Address, listener
from bellwire.agents.inference.kserve.http_protocol import (
    HEAD_SECONDS_MAX,
    HttpConfig,
    HttpProtocol,
)

CONNECTIONS_MAX: Final = 256  # and requests at once; beyond, 503 by uvicorn itself
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

    def __init__(
        self, app: Starlette, address: str, head_seconds_max: float = HEAD_SECONDS_MAX
    ) -> None:
        """Prepare.

        Args:
            app: What answers.
            address: HOST:PORT; port 0 = any.
            head_seconds_max: A connection whose request head has not come by then is closed.
        """
        self._address = address
        config = HttpConfig(
            app,
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_GRACE_SECONDS,
        )
        config.head_seconds_max = head_seconds_max
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Serve; return HOST:PORT with the port that was taken.

        Raises:
            KserveListenError: The address cannot be served.
        """
        listening = listener(self._address)
        served = Address(*listening.getsockname()[:2])
        name = f"http {served.port}"
        self._task = asyncio.create_task(self._server.serve([listening]), name=name)
        await self._server.serving.wait()
        return str(served)

    async def close(self) -> None:
        """Take no more requests and answer those under way, for a second at most."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None

"""HTTP/1.1 as uvicorn speaks it, with a bound on how long a connection may say nothing."""

from __future__ import annotations

import asyncio
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS_MAX: Final = (
    5.0  # A head is one packet, and a connection without one takes another's place; CLOSE.
)


class HttpConfig(uvicorn.Config):
    """A configuration that says how long a head may take.

    Attributes:
        head_seconds_max: See `HttpProtocol`.
    """

    head_seconds_max = HEAD_SECONDS_MAX


class HttpProtocol(H11Protocol):
    """Closes a connection whose request head has not come in time.

    uvicorn itself bounds only the silence after an answer: until the first head, and in the middle of any, a
    connection could stay for ever, and there are few of them. The body has its own bound (`rest.BODY_SECONDS_MAX`).
    """

    _head_timer: asyncio.TimerHandle | None = None

    @property
    def head_seconds_max(self) -> float:
        """From the connection, or from the first byte of a later head, to the end of the head; in seconds."""
        config = self.config
        return config.head_seconds_max if isinstance(config, HttpConfig) else HEAD_SECONDS_MAX

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what has come, and wait for the rest where it is less than a head."""
        super().data_received(data)
        self._await_head()

    def on_response_complete(self) -> None:
        """Wait for the rest of a head that came in parts behind the request that was answered."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_waiting()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds_max, self.transport.close)

    def _stop_waiting(self) -> None:
        timer, self._head_timer = self._head_timer, None
        if timer is not None:
            timer.cancel()

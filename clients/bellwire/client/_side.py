"""The seam between a link, which does the I/O, and what it carries."""

from __future__ import annotations

from typing import Protocol, TypeVar

import grpc

from bellwire.wire.errors import BellwireError

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Side(Protocol[RequestT, ResponseT]):
    """The state machine behind a link. Every method but `prepare` is plain computing.

    Attributes:
        final_errors: Errors that end the link although they could be tried again.
        retried_errors: Errors worth another try although the request itself is refused.
    """

    final_errors: tuple[type[BellwireError], ...]
    retried_errors: tuple[type[BellwireError], ...]

    async def prepare(self) -> None:
        """Get ready for a new stream; an error counts as a failed attempt."""

    def open_call(self) -> grpc.aio.StreamStreamCall[RequestT, ResponseT]:
        """Begin the RPC."""

    def start_frame(self) -> RequestT:
        """Return the first frame."""

    def heartbeat_frame(self) -> RequestT:
        """Return the frame that says "still here"."""

    def on_response(self, response: ResponseT, now: float) -> bool:
        """Take a frame; True when there may be something to send now. An error ends the stream."""
        ...

    def next_frame(self, now: float) -> RequestT | None:
        """Return the next frame to send, or None when there is none now."""

    def has_more(self) -> bool:
        """Tell whether `next_frame`, which just returned one, or `wake_at` need be asked before a wake."""

    def wake_at(self, now: float) -> float | None:
        """Return when `next_frame` should be asked again though nothing happened."""

    def is_finished(self) -> bool:
        """Tell whether the stream may be half-closed: the peer drains, and nothing is outstanding."""

    def reconnect_after(self) -> float:
        """Return the seconds the peer asked to wait before the next stream."""

    def on_lost(self) -> None:
        """Forget the stream; called after each one."""

    def on_failed(self, error: BellwireError) -> None:
        """Give up: there will be no further stream."""

"""A channel whose bidirectional streams go over the socket lane, and everything else over gRPC."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

import grpc

from bellwire.transport.lane.address import connect_lane
from bellwire.transport.lane.call import SocketCall
from bellwire.transport.lane.connection import FrameConnection

__all__ = ["SocketChannel"]


class SocketChannel(grpc.aio.Channel):
    """Opens a connection for each stream; falls back to gRPC where the lane does not take it.

    That is where nobody listens, or descriptors are used up on this side. Where a connection ends without a
    single answer, as when they are used up on the other side, the next stream goes over gRPC.

    Args:
        grpc_channel: Carries unary RPCs and server streams, and tells whether the coordinator is reachable.
        path: Of the lane's socket.
        frame_bytes_max: Longest frame taken.
    """

    def __init__(self, grpc_channel: grpc.aio.Channel, path: str, *, frame_bytes_max: int) -> None:
        self._grpc = grpc_channel
        self._path = path
        self._frame_bytes_max = frame_bytes_max
        self._calls: set[SocketCall] = set()
        self._in_doubt = False

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a unary RPC."""
        return self._grpc.unary_unary(*arguments, **named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a server stream."""
        return self._grpc.unary_stream(*arguments, **named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a client stream."""
        return self._grpc.stream_unary(*arguments, **named)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """Return the callable of a bidirectional RPC."""

        def call(**options: Any) -> Any:
            sock = None if self._in_doubt else connect_lane(self._path)
            self._in_doubt = False
            if sock is None:
                other = self._grpc.stream_stream(method, request_serializer, response_deserializer)
                return other(**options)
            connect = partial(self._connect, sock)
            opened = SocketCall(method, connect, request_serializer, response_deserializer)
            self._calls.add(opened)
            opened.add_done_callback(partial(self._ended, sock))
            return opened

        return call

    async def _connect(self, sock: socket.socket) -> FrameConnection:
        loop = asyncio.get_running_loop()
        make = partial(FrameConnection, self._frame_bytes_max)
        _, connection = await loop.create_unix_connection(make, sock=sock)
        return connection

    def _ended(self, sock: socket.socket, call: SocketCall) -> None:
        if not call.is_opened:
            sock.close()  # Nobody else knows of it.
        self._calls.discard(call)
        self._in_doubt = call.is_unanswered

    async def close(self, grace: float | None = None) -> None:
        """End every stream."""
        for call in tuple(self._calls):
            call.cancel()
        await self._grpc.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the gRPC channel."""
        return self._grpc.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait for one of the gRPC channel."""
        await self._grpc.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait for the gRPC channel."""
        await self._grpc.channel_ready()

    async def __aenter__(self) -> SocketChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

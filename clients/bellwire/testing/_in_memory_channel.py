"""A channel whose other end is a coordinator in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from bellwire.testing._in_memory_call import InMemoryStream, rpc_error, unary
from bellwire.testing._in_memory_context import Rpc


class InMemoryServer(grpc.aio.Server):
    """Collects handlers, and finds them by method."""

    def __init__(self) -> None:
        self._generic: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """Serve what the handlers serve."""
        self._generic += generic_rpc_handlers

    def rpc(self, method: str) -> Rpc | None:
        """Return how "/package.Service/Method" is run."""
        details: Any = _Details(method)
        for handler in self._generic:
            found: Any = handler.service(details)
            if found is not None:
                behavior = found.unary_unary or found.unary_stream or found.stream_stream
                # As in gRPC: without a deserializer the servicer gets the bytes themselves.
                parse = found.request_deserializer or bytes
                return Rpc(behavior, parse, found.response_serializer or bytes)
        return None

    def add_insecure_port(self, address: str) -> int:
        """There are no ports in memory."""
        raise NotImplementedError(address)

    def add_secure_port(self, address: str, server_credentials: Any) -> int:
        """There are no ports in memory."""
        raise NotImplementedError(address)

    async def start(self) -> None:
        """It always serves."""

    async def stop(self, grace: float | None) -> None:
        """Channels end their own RPCs."""

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """It never ends by itself."""
        raise NotImplementedError


class _Details:
    """grpc.HandlerCallDetails, without its abstractness."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = method


class InMemoryChannel(grpc.aio.Channel):
    """Runs RPCs against an `InMemoryServer`; frames are serialized both ways, as on a line."""

    def __init__(self, server: InMemoryServer) -> None:
        self._server = server
        self._streams: set[InMemoryStream] = set()

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """Return the callable of a unary RPC."""

        async def call(request: Any, *, timeout: float | None = None, **_: Any) -> Any:  # noqa: ASYNC109
            response = await unary(self._rpc(method), request_serializer(request), timeout)
            return response_deserializer(response)

        return call

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """Return the callable of a bidirectional RPC."""

        def call(**_: Any) -> InMemoryStream:
            return self._opened(
                InMemoryStream(self._rpc(method), request_serializer, response_deserializer)
            )

        return call

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """Return the callable of a server stream."""

        def call(request: Any, **_: Any) -> InMemoryStream:
            rpc = self._rpc(method)
            parsed = rpc.parse(request_serializer(request))
            return self._opened(
                InMemoryStream(rpc, request_serializer, response_deserializer, parsed)
            )

        return call

    def _opened(self, stream: InMemoryStream) -> InMemoryStream:
        self._streams.add(stream)
        stream.task.add_done_callback(lambda _: self._streams.discard(stream))
        return stream

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Any:
        """Return the callable of a client stream: no client of ours opens one."""
        return _refusing(method)

    def disconnect(self) -> None:
        """End every stream as a broken connection does."""
        for stream in tuple(self._streams):
            stream.disconnect()

    async def close(self, grace: float | None = None) -> None:
        """End every stream and wait for its servicer."""
        tasks = [stream.task for stream in self._streams]
        for stream in tuple(self._streams):
            stream.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def channel_ready(self) -> None:
        """It always is."""

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """It is always ready."""
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Its state never changes."""
        await asyncio.Event().wait()

    async def __aenter__(self) -> InMemoryChannel:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _rpc(self, method: str) -> Rpc:
        rpc = self._server.rpc(method)
        if rpc is None:
            raise rpc_error(grpc.StatusCode.UNIMPLEMENTED, f"Method not found: {method}")
        return rpc


def _refusing(method: str) -> Callable[..., NoReturn]:
    def call(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(method)

    return call

"""A stretch of the log again: an asynchronous iterator of what was, with nothing to settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, Self

import grpc

from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE
from bellwire.bus.v1.subscriber_pb2 import (
    Disposition,
    ReplayRequest,
    ReplayResponse,
    StartPosition,
)
from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceStub
from bellwire.client._inbox import DELIVERY_LIMITS
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.policy.backoff import Backoff
from bellwire.transport.channel import ChannelPool
from bellwire.transport.movable import OWNER_PAUSE_SECONDS
from bellwire.transport.status import error_from_rpc
from bellwire.wire.batch import open_batch
from bellwire.wire.errors import ClosedError, NotOwnerError, PeerError

if TYPE_CHECKING:
    from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceAsyncStub

__all__ = ["Replay"]

CODECS: Final = (CODEC_NONE, CODEC_LZ4_BLOCK)


class Replay:
    """Brings a stretch of the log; made by `Client.replay`, begun by the first look at it.

    Every batch is marked `replayed` and settled already. The iteration ends where the stretch does. The
    server sends no more than its connection holds, so a slow reader slows the replay down. A lost
    connection ends it with `PeerError`: go on with another one from behind the last message.
    """

    def __init__(
        self,
        pool: ChannelPool,
        request: ReplayRequest,
        on_close: Callable[[Replay], None] | None = None,
        owner_seconds: float = 5.0,
    ) -> None:
        self._pool = pool
        self._request = request
        self._where = f"replay of {', '.join(request.topics)!r} from {pool.address}"
        self._call: grpc.aio.UnaryStreamCall[ReplayRequest, ReplayResponse] | None = None
        self._owner_seconds = owner_seconds
        self._closed = False
        self._on_close = on_close

    async def __aenter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[ReceivedMessage]:
        async for batch in self.batches():
            for message in batch:
                yield message

    async def batches(self) -> AsyncIterator[Batch]:
        """Return the deliveries whole: as they were published, or with a pace what shares a time.

        Raises:
            OffsetOutOfRangeError: The start is outside the log, or retention overtook the replay.
            UnknownTopicError: No topic matches.
            PeerError: The connection was lost.
        """
        pauses = Backoff(*OWNER_PAUSE_SECONDS)
        until = asyncio.get_running_loop().time() + self._owner_seconds
        heard = False
        while True:
            place = self._pool.address
            try:
                response = await self._read(self._begin())
            except NotOwnerError as error:
                # Only at its begin: later somebody else may have another stretch.
                foreign = self._pool.is_foreign(error)
                if heard or foreign or asyncio.get_running_loop().time() >= until:
                    await self.close()
                    raise
                self._pool.refused(place, error)
                self._call = None
                await asyncio.sleep(pauses.next_delay())
                continue
            if response is None:
                break
            heard = True
            yield _opened(response)
        await self.close()

    async def close(self) -> None:
        """End it early; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._call is not None:
            self._call.cancel()
        if self._on_close is not None:
            self._on_close(self)

    def _begin(self) -> grpc.aio.UnaryStreamCall[ReplayRequest, ReplayResponse]:
        if self._closed:
            raise ClosedError(f"{self._where} is over: open a new one")
        if self._call is None:
            stub: SubscriberServiceAsyncStub = SubscriberServiceStub(self._pool.next())
            self._call = stub.Replay(self._request)
        return self._call

    async def _read(
        self, call: grpc.aio.UnaryStreamCall[ReplayRequest, ReplayResponse]
    ) -> ReplayResponse | None:
        """Return the next response; None at the end, or when it was closed meanwhile."""
        try:
            response = await call.read()
        except grpc.aio.AioRpcError as error:
            found = error_from_rpc(error, self._where)
            if not isinstance(found, NotOwnerError):
                await self.close()
            raise found from None
        except asyncio.CancelledError:
            # gRPC raises this also in the reader of a call that was cancelled, by `close` or with its
            # channel; that is no cancellation of whoever reads.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            if self._closed:
                return None
            raise PeerError(f"{self._where}: the call was cancelled") from None
        return None if response is grpc.aio.EOF else response  # type: ignore[return-value]  # no EOF


class _Nobody:
    """Settles nothing: a replay leaves no trace."""

    def settle(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> None:
        """Nobody waits for it."""


_NOBODY: Final = _Nobody()


def _opened(response: ReplayResponse) -> Batch:
    delivery = response.delivery
    header = delivery.batch.header
    batch = Batch(
        open_batch(delivery.batch, DELIVERY_LIMITS),
        header.topic,
        header.partition,
        delivery.first_offset,
        _NOBODY,
        replayed=True,
        principal=delivery.principal,
        admitted_time_unix_nano=delivery.admitted_time_unix_nano,
    )
    batch.open = 0
    return batch


def replay_request(
    topics: tuple[str, ...], start: StartPosition | None, until_time_unix_nano: int, speed: float
) -> ReplayRequest:
    """Return the request; its field `from` is a word of Python's."""
    request = ReplayRequest(
        topics=topics,
        until_time_unix_nano=until_time_unix_nano,
        speed=speed,
        accepted_codecs=CODECS,
    )
    if start is not None:
        getattr(request, "from").CopyFrom(start)
    return request

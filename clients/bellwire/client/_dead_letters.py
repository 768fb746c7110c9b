"""Dead letters: listed, redriven and purged page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from bellwire.admin.v1.dead_letter_pb2 import (
    DeadLetter,
    DeadLetterFilter,
    ListDeadLettersRequest,
    PurgeDeadLettersRequest,
    PurgeDeadLettersResponse,
    RedriveDeadLettersRequest,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.dead_letter_pb2_grpc import DeadLetterServiceStub
from bellwire.client._unary import read, request
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import CapacityError

if TYPE_CHECKING:
    from bellwire.admin.v1.dead_letter_pb2_grpc import DeadLetterServiceAsyncStub

REDRIVE_PAGE: Final = 1_000  # The most the contract redrives in one call, all in one transaction.
ROOM_SECONDS: Final = (
    1.0  # Between two tries while the topic has no room, when the peer names no delay.
)

Progress = Callable[[RedriveDeadLettersResponse], None]


class DeadLetters:
    """Requests to the dead letter service."""

    def __init__(self, pool: ChannelPool) -> None:
        self._pool = pool

    async def list(
        self, topic: str, filter: DeadLetterFilter | None, page_size: int, seconds: float
    ) -> AsyncIterator[DeadLetter]:
        """Yield dead letters, oldest first; the next page is asked for when it is needed."""
        token = ""
        while True:
            page = await read(
                self._stub().ListDeadLetters,
                ListDeadLettersRequest(
                    topic=topic, page_size=page_size, page_token=token, filter=filter
                ),
                seconds,
                f"the dead letters of topic {topic!r} at {self._pool.address}",
            )
            for letter in page.dead_letters:
                yield letter
            token = page.next_page_token
            if not token:
                return

    async def redrive(
        self, message: RedriveDeadLettersRequest, seconds: float
    ) -> RedriveDeadLettersResponse:
        """Redrive one page."""
        return await request(
            self._stub().RedriveDeadLetters,
            message,
            seconds,
            f"redriving dead letters of topic {message.topic!r} at {self._pool.address}",
        )

    async def redrive_all(
        self,
        topic: str,
        filter: DeadLetterFilter | None,
        limit: int | None,
        on_progress: Progress | None,
        seconds: float,
    ) -> RedriveDeadLettersResponse:
        """Redrive page after page; what is given up anew meanwhile stays."""
        total = RedriveDeadLettersResponse()
        while limit is None or total.messages < limit:
            room = REDRIVE_PAGE if limit is None else min(REDRIVE_PAGE, limit - total.messages)
            page = await self._redrive_patiently(
                RedriveDeadLettersRequest(
                    topic=topic, max_messages=room, filter=filter, up_to_id=total.up_to_id
                ),
                seconds,
            )
            total.messages += page.messages
            total.remaining_messages = page.remaining_messages
            total.up_to_id = page.up_to_id
            total.positions.extend(page.positions)
            if on_progress is not None:
                on_progress(total)
            if not (page.messages and page.remaining_messages):
                break
        return total

    async def _redrive_patiently(
        self, message: RedriveDeadLettersRequest, seconds: float
    ) -> RedriveDeadLettersResponse:
        """Redrive one page; where the topic has no room, wait for its readers at most `seconds`."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while True:
            try:
                return await self.redrive(message, seconds)
            except CapacityError as error:
                delay = error.retry_delay_seconds or ROOM_SECONDS
                if clock() + delay > deadline:
                    raise
            await asyncio.sleep(delay)

    async def purge(
        self, message: PurgeDeadLettersRequest, seconds: float
    ) -> PurgeDeadLettersResponse:
        """Delete dead letters."""
        return await request(
            self._stub().PurgeDeadLetters,
            message,
            seconds,
            f"purging dead letters of topic {message.topic!r} at {self._pool.address}",
        )

    def _stub(self) -> DeadLetterServiceAsyncStub:
        stub: DeadLetterServiceAsyncStub = DeadLetterServiceStub(self._pool.first())
        return stub

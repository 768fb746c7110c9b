"""DeadLetterService: lists, redrives and purges what was given up."""

from __future__ import annotations

import asyncio
from typing import Final

from bellwire.admin.v1 import dead_letter_pb2 as pb
from bellwire.bus.v1.message_pb2 import Message, Position, PositionRange
from bellwire.coordinator.core.dead_letters import redriven_batches
from bellwire.coordinator.core.topic import Topic
from bellwire.coordinator.log.records import DeadLetterRecord
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.coordinator.services.once import durable, once
from bellwire.coordinator.state import CoordinatorState
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import CallerError, CapacityError
from bellwire.wire.topic import check_topic_name

SERVICE: Final = "bellwire.admin.v1.DeadLetterService"
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000
PAGE_BYTES_MAX: Final = 3 << 20  # Stays below gRPC's default receive limit of 4 MiB.
IDS_MAX: Final = 1_000
LETTER_ID_MAX: Final = (1 << 63) - 1  # What the store can count to.


class DeadLetterService:
    """What was rejected or never accepted."""

    def __init__(self, state: CoordinatorState) -> None:
        self._state = state
        self._line = asyncio.Lock()  # What one call has chosen, another must not choose too.

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: ServicerContext
    ) -> pb.ListDeadLettersResponse:
        """List dead letters of a topic in the order they were given up."""
        limit = request.page_size or PAGE_DEFAULT
        if not 1 <= limit <= PAGE_MAX:
            raise CallerError(f"page_size is {limit}, 1 to {PAGE_MAX} are allowed")
        after = _after(request.page_token)
        query = _query(request.topic, request.filter, after_id=after, limit=limit)
        found = await self._find(query)
        page: list[DeadLetterRecord] = []
        size = 0
        for letter in found:
            size += len(letter.message)
            if page and size > PAGE_BYTES_MAX:
                break
            page.append(letter)
        more = len(page) < len(found) or len(found) == limit
        return pb.ListDeadLettersResponse(
            dead_letters=map(_to_wire, page),
            next_page_token=str(page[-1].id) if page and more else "",
        )

    async def RedriveDeadLetters(
        self, request: pb.RedriveDeadLettersRequest, context: ServicerContext
    ) -> pb.RedriveDeadLettersResponse:
        """Append dead letters to their topic again, for the subscription that gave them up."""
        limit = request.max_messages or PAGE_MAX
        if limit > PAGE_MAX:
            raise CallerError(f"max_messages is {limit}, limit is {PAGE_MAX}: call again for more")

        async def carry_out() -> pb.RedriveDeadLettersResponse:
            async with self._line:
                return await redrive()

        async def redrive() -> pb.RedriveDeadLettersResponse:
            query = _query(request.topic, request.filter, up_to_id=request.up_to_id, limit=limit)
            total, greatest = await self._count(query)
            up_to_id = request.up_to_id or greatest
            answer = pb.RedriveDeadLettersResponse(up_to_id=up_to_id)
            if request.dry_run or not total:
                answer.messages = min(total, limit)
                answer.remaining_messages = total - answer.messages
                return answer
            topic = self._state.bus.existing_topic(request.topic)
            query = _query(request.topic, request.filter, up_to_id=up_to_id, limit=limit)
            letters = await self._find(query)
            answer.positions.extend(self._redrive(topic, letters))
            answer.messages = sum(r.last_offset - r.first_offset + 1 for r in answer.positions)
            answer.remaining_messages = total - answer.messages
            return answer

        rpc = f"{SERVICE}/RedriveDeadLetters"
        return await once(self._state, rpc, request, pb.RedriveDeadLettersResponse, carry_out)

    async def PurgeDeadLetters(
        self, request: pb.PurgeDeadLettersRequest, context: ServicerContext
    ) -> pb.PurgeDeadLettersResponse:
        """Delete dead letters."""

        async def carry_out() -> pb.PurgeDeadLettersResponse:
            async with self._line:
                return await purge()

        async def purge() -> pb.PurgeDeadLettersResponse:
            query = _query(request.topic, request.filter)
            total, greatest = await self._count(query)
            if request.dry_run:
                return pb.PurgeDeadLettersResponse(messages=total)
            self._state.engine.journal.check_writable()
            purged = 0
            while True:
                query = _query(request.topic, request.filter, up_to_id=greatest, limit=PAGE_MAX)
                letters = await self._find(query) if greatest else []
                if not letters:
                    return pb.PurgeDeadLettersResponse(messages=purged)
                self._state.engine.dead_letters.remove(letters)
                purged += len(letters)
                await durable(self._state.engine.journal.barrier())

        rpc = f"{SERVICE}/PurgeDeadLetters"
        return await once(self._state, rpc, request, pb.PurgeDeadLettersResponse, carry_out)

    def _redrive(self, topic: Topic, letters: list[DeadLetterRecord]) -> list[PositionRange]:
        """Append what finds room and remove it from the dead letters, all in one group."""
        engine = self._state.engine
        engine.journal.check_writable()
        positions: list[PositionRange] = []
        for redriven in redriven_batches(letters, len(topic.partitions)):
            partition = topic.partition(redriven.batch.header.partition)
            worker = engine.workers.owner(partition)
            position = worker.append_now(partition, redriven.batch, ())
            if position is None:
                if positions:
                    break  # The rest next time.
                raise CapacityError(
                    f"topic {topic.name!r} has no room for what is redriven: its subscribers must read on",
                    retry_delay_seconds=1.0,
                )
            engine.dead_letters.remove(redriven.letters)
            positions.append(position)
        return positions

    async def _find(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Query the store once it holds everything given up so far."""
        self._state.bus.check_ours(query.topic)
        await durable(self._state.engine.journal.barrier())
        return await self._state.committer.read(lambda: self._state.store.dead_letters(query))

    async def _count(self, query: DeadLetterQuery) -> tuple[int, int]:
        self._state.bus.check_ours(query.topic)
        await durable(self._state.engine.journal.barrier())
        return await self._state.committer.read(lambda: self._state.store.count_dead_letters(query))


def _query(
    topic: str,
    wanted: pb.DeadLetterFilter,
    *,
    after_id: int = 0,
    up_to_id: int = 0,
    limit: int = PAGE_MAX,
) -> DeadLetterQuery:
    if len(wanted.ids) > IDS_MAX:
        raise CallerError(f"filter names {len(wanted.ids)} ids, limit is {IDS_MAX}")
    return DeadLetterQuery(
        topic=check_topic_name(topic),
        after_id=after_id,
        up_to_id=min(up_to_id, LETTER_ID_MAX),
        limit=limit,
        subscription=wanted.subscription,
        reason_contains=wanted.reason_contains,
        key=wanted.key,
        ids=tuple(wanted.ids),
        before_time_ns=wanted.before_time_unix_nano,
    )


def _after(token: str) -> int:
    if not token:
        return 0
    if not token.isdecimal() or len(token) > len(str(LETTER_ID_MAX)) or int(token) > LETTER_ID_MAX:
        raise CallerError(f"page_token {token!r} is not one this server gave: begin without one")
    return int(token)


def _to_wire(letter: DeadLetterRecord) -> pb.DeadLetter:
    return pb.DeadLetter(
        message=Message.FromString(letter.message),
        position=Position(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            log_id=letter.log_id,
        ),
        reason=letter.reason,
        attempts=letter.attempts,
        subscription=letter.subscription,
        id=letter.id,
        time_unix_nano=letter.time_ns,
        cause=pb.DeadLetterCause.ValueType(letter.cause),
    )

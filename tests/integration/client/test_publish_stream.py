"""The client's publish stream against a coordinator that behaves, and one that does not."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from bellwire.bus.v1.message_pb2 import PositionRange, Window
from bellwire.bus.v1.publisher_pb2 import (
    PublishAck,
    PublishDraining,
    PublishStreamResponse,
)
from bellwire.client import (
    BufferFullError,
    CallerError,
    CapacityError,
    ClientSettings,
    ClosedError,
    InternalError,
    Message,
    PublishResult,
    UnknownTopicError,
    new_message,
)
from bellwire.client.settings import PublishSettings
from bellwire.wire.batch import open_batch
from bellwire.wire.errors import SequenceGapError

pytestmark = pytest.mark.integration

QUICK = ClientSettings(reconnect_first_seconds=0.001, reconnect_max_seconds=0.01)


def quick(**publish: int) -> ClientSettings:
    return ClientSettings(
        reconnect_first_seconds=0.001,
        reconnect_max_seconds=0.01,
        publish=PublishSettings(**publish),
    )


def numbered(count: int, key: str = "") -> list[Message]:
    return [new_message(data=str(n).encode(), key=key) for n in range(count)]


def payloads(frame) -> list[list[bytes]]:
    return [[m.data for m in open_batch(batch)] for batch in frame.batches]


async def test_a_lone_message_leaves_at_once_and_the_next_ones_gather(script) -> None:
    frames = []
    gathered = asyncio.Event()

    async def publish(line) -> None:
        await line.start_publish()
        first = await line.batches()
        frames.append(first)
        await gathered.wait()
        offset = await line.acknowledge(first)
        while (frame := await line.batches()) is not None:
            frames.append(frame)
            offset = await line.acknowledge(frame, offset)

    script.publish = publish
    async with script.client(quick(frames_in_flight_max=1)) as client:
        publisher = client.publisher()
        first = await publisher.enqueue("bars", new_message(data=b"first"))
        while not frames:  # noqa: ASYNC110 - the server has no event to hand out
            await asyncio.sleep(0)
        rest = [await publisher.enqueue("bars", m) for m in numbered(50)]
        gathered.set()
        await asyncio.gather(first, *rest)
    assert payloads(frames[0]) == [[b"first"]]
    assert payloads(frames[1]) == [[str(n).encode() for n in range(50)]]


async def test_frames_hold_no_more_than_they_may(script) -> None:
    frames = []

    async def publish(line) -> None:
        await line.start_publish()
        offset = 0
        while (frame := await line.batches()) is not None:
            frames.append(frame)
            offset = await line.acknowledge(frame, offset)

    script.publish = publish
    async with script.client(quick(batch_messages_max=10, frame_batches_max=4)) as client:
        await client.publisher().publish_many("bars", numbered(1_000))
    assert sum(len(batch) for frame in frames for batch in payloads(frame)) == 1_000
    assert max(len(frame.batches) for frame in frames) == 4
    assert max(len(batch) for frame in frames for batch in payloads(frame)) == 10
    assert [frame.frame_sequence for frame in frames] == list(range(1, len(frames) + 1))
    sequences = [batch.header.base_sequence for frame in frames for batch in frame.batches]
    assert sequences == list(range(0, 1_000, 10))


async def test_the_coordinators_window_is_never_exceeded_and_may_grow(script) -> None:
    most = 0

    async def publish(line) -> None:
        nonlocal most
        await line.start_publish(window=Window(messages=10, bytes=1 << 20))
        held, offset, limit = [], 0, 10
        unanswered = 0
        while True:
            frame = await line.batches()
            if frame is None:
                return
            held.append(frame)
            unanswered += sum(batch.header.message_count for batch in frame.batches)
            most = max(most, unanswered)
            assert unanswered <= limit
            if unanswered == limit or offset + unanswered == 200:
                for one in held:
                    offset = await line.acknowledge(one, offset)
                held, unanswered = [], 0
                if offset >= 100:
                    limit = 30
                    await line.write(
                        PublishStreamResponse(window=Window(messages=limit, bytes=1 << 20))
                    )

    script.publish = publish
    async with script.client(quick(batch_messages_max=5, frames_in_flight_max=64)) as client:
        await client.publisher().publish_many("bars", numbered(200))
    assert most > 10


async def test_a_refused_message_fails_alone_and_its_neighbours_travel_again(script) -> None:
    appended: list[bytes] = []

    async def publish(line) -> None:
        await line.start_publish()
        expected = 0
        while (frame := await line.batches()) is not None:
            positions = []
            for index, batch in enumerate(frame.batches):
                data = [m.data for m in open_batch(batch)]
                if batch.header.base_sequence != expected:
                    await line.refuse(frame, index, SequenceGapError("gap"))
                elif b"bad" in data:
                    await line.refuse(frame, index, CallerError("bad one"), data.index(b"bad"))
                else:
                    appended.extend(data)
                    expected += len(data)
                    positions.append(_position(batch, len(appended) - len(data)))
            await line.write(_ack(frame, positions))

    script.publish = publish
    async with script.client(quick(batch_messages_max=4)) as client:
        publisher = client.publisher()
        data = [b"0", b"1", b"bad", b"3", b"4", b"5", b"6", b"7", b"8"]
        futures = [await publisher.enqueue("bars", new_message(data=d)) for d in data]
        results = await asyncio.gather(*futures, return_exceptions=True)
    good = [d for d in data if d != b"bad"]
    assert appended == good
    assert isinstance(results.pop(2), CallerError)
    assert [r.offset for r in results if isinstance(r, PublishResult)] == list(range(8))


async def test_a_refused_batch_does_not_disturb_other_partitions(script) -> None:
    script.partitions = 2

    async def publish(line) -> None:
        await line.start_publish()
        while (frame := await line.batches()) is not None:
            positions = []
            for index, batch in enumerate(frame.batches):
                if batch.header.partition == 0:
                    await line.refuse(frame, index, UnknownTopicError("gone"))
                else:
                    positions.append(_position(batch, 0))
            await line.write(_ack(frame, positions))

    script.publish = publish
    async with script.client(QUICK) as client:
        publisher = client.publisher()
        keys = ["EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD"]
        futures = {k: await publisher.enqueue("bars", new_message(data=b"1", key=k)) for k in keys}
        results = await asyncio.gather(*futures.values(), return_exceptions=True)
    kinds = {type(result).__name__ for result in results}
    assert kinds == {"UnknownTopicError", "PublishResult"}


async def test_a_retryable_refusal_is_tried_again_after_the_delay_asked_for(script) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def publish(line) -> None:
        await line.start_publish()
        while (frame := await line.batches()) is not None:
            times.append(loop.time())
            if len(times) < 3:
                await line.refuse(frame, 0, CapacityError("full", retry_delay_seconds=0.05))
                await line.write(_ack(frame, []))
            else:
                await line.acknowledge(frame)

    script.publish = publish
    async with script.client(QUICK) as client:
        result = await client.publisher().publish("bars", b"1")
    assert result.offset == 0
    assert len(times) == 3
    assert times[1] - times[0] >= 0.05
    assert times[2] - times[1] >= 0.05


async def test_a_refusal_tried_too_often_reaches_the_caller(script) -> None:
    tries = 0

    async def publish(line) -> None:
        nonlocal tries
        await line.start_publish()
        while (frame := await line.batches()) is not None:
            tries += 1
            await line.refuse(frame, 0, CapacityError("still full", retry_delay_seconds=0.001))
            await line.write(_ack(frame, []))

    script.publish = publish
    async with script.client(quick(tries_max=3)) as client:
        with pytest.raises(CapacityError, match="still full"):
            await client.publisher().publish("bars", b"1")
    assert tries == 3


async def test_unanswered_frames_are_sent_again_with_their_sequences(script) -> None:
    seen: list[tuple[int, int, int, bytes]] = []

    async def publish(line) -> None:
        start = await line.start_publish()
        if line.number == 1:
            frame = await line.batches()
            _note(seen, line.number, frame)
            return  # The stream ends; whether the frame was appended the client cannot know.
        assert start.producer_id == 7
        offset = 0
        while (frame := await line.batches()) is not None:
            _note(seen, line.number, frame)
            offset = await line.acknowledge(frame, offset)

    script.publish = publish
    async with script.client(QUICK) as client:
        assert (await client.publisher().publish("bars", b"1")).offset == 0
    assert seen == [(1, 7, 0, b"1"), (2, 7, 0, b"1")]


async def test_a_stream_that_ends_in_mid_flood_costs_neither_a_message_nor_its_order(
    script,
) -> None:
    log: list[bytes] = []
    seen: dict[int, tuple[int, int]] = {}  # base sequence -> (first offset, count)

    async def publish(line) -> None:
        await line.start_publish()
        for turn in range(1_000):
            frame = await line.batches()
            if frame is None:
                return
            positions = []
            for batch in frame.batches:
                base, count = batch.header.base_sequence, batch.header.message_count
                if seen.setdefault(base, (len(log), count)) == (len(log), count):
                    log.extend(message.data for message in open_batch(batch))
                positions.append(_position(batch, seen[base][0]))
            if turn == 3 and line.number < 12:
                return  # Appended, and never acknowledged.
            await line.write(_ack(frame, positions))

    script.publish = publish
    async with script.client(quick(batch_messages_max=20, frame_batches_max=4)) as client:
        ranges = await client.publisher().publish_many("bars", numbered(5_000))
    assert log == [str(n).encode() for n in range(5_000)]
    assert sum(map(len, ranges)) == 5_000
    assert script.streams["publish"] == 12


async def test_a_coordinator_that_gives_another_producer_id_gets_sequences_from_zero(
    script,
) -> None:
    seen: list[tuple[int, int, int, bytes]] = []

    async def publish(line) -> None:
        await line.start_publish(producer_id=100 + line.number)
        offset = 0
        while (frame := await line.batches()) is not None:
            _note(seen, line.number, frame)
            offset = await line.acknowledge(frame, offset)
            if line.number == 1 and offset == 2:
                return

    script.publish = publish
    async with script.client(QUICK) as client:
        for data in (b"1", b"2", b"3"):
            await client.publisher().publish("bars", data)
    assert seen == [(1, 101, 0, b"1"), (1, 101, 1, b"2"), (2, 102, 0, b"3")]


async def test_a_coordinator_that_lost_our_sequences_gets_a_new_producer(script) -> None:
    starts = []

    async def publish(line) -> None:
        starts.append(await line.start_publish(producer_id=100 + line.number))
        while (frame := await line.batches()) is not None:
            if line.number == 1:
                await line.refuse(frame, 0, SequenceGapError("who are you?"))
            else:
                await line.acknowledge(frame)

    script.publish = publish
    async with script.client(QUICK) as client:
        assert (await client.publisher().publish("bars", b"1")).offset == 0
    assert [start.producer_id for start in starts] == [0, 0]


async def test_a_coordinator_that_expects_less_is_followed(script) -> None:
    sequences: list[int] = []

    async def publish(line) -> None:
        await line.start_publish()
        while (frame := await line.batches()) is not None:
            sequence = frame.batches[0].header.base_sequence
            sequences.append(sequence)
            if len(sequences) == 2:
                error = SequenceGapError("gap", metadata={"expected": "0"})
                await line.refuse(frame, 0, error)
                await line.write(_ack(frame, []))
            else:
                await line.acknowledge(frame)

    script.publish = publish
    async with script.client(QUICK) as client:
        await client.publisher().publish("bars", b"1")
        await client.publisher().publish("bars", b"2")
    assert sequences == [0, 1, 0]


async def test_an_answer_to_what_was_never_sent_ends_the_stream_and_nothing_is_lost(
    script,
) -> None:
    async def publish(line) -> None:
        await line.start_publish()
        frame = await line.batches()
        if line.number == 1:
            await line.write(
                PublishStreamResponse(
                    ack=PublishAck(first_frame_sequence=1, last_frame_sequence=99)
                )
            )
            await line.hold()
        elif frame is not None:
            await line.acknowledge(frame)
            await line.hold()

    script.publish = publish
    async with script.client(QUICK) as client:
        assert (await client.publisher().publish("bars", b"1")).offset == 0
    assert script.streams["publish"] == 2


async def test_after_draining_no_new_frame_is_sent_and_the_outstanding_is_awaited(script) -> None:
    after_draining: list[object] = []
    drained = asyncio.Event()

    async def publish(line) -> None:
        await line.start_publish()
        frame = await line.batches()
        if line.number == 2:
            await line.acknowledge(frame, 1)
            await line.hold()
            return
        await line.write(PublishStreamResponse(draining=PublishDraining(reconnect_after_millis=1)))
        drained.set()
        await asyncio.sleep(0.05)
        await line.acknowledge(frame)
        # The client half-closes: what comes is the end of the stream, or a heartbeat before it.
        after_draining.append(await line.read())

    script.publish = publish
    async with script.client(QUICK) as client:
        publisher = client.publisher()
        first = await publisher.enqueue("bars", new_message(data=b"1"))
        await drained.wait()
        await asyncio.sleep(0.01)  # The frame is on its way to the client.
        second = await publisher.enqueue("bars", new_message(data=b"2"))
        assert [(await first).offset, (await second).offset] == [0, 1]
    assert after_draining == [grpc.aio.EOF]


async def test_a_coordinator_without_the_service_fails_the_publish_for_good(script) -> None:
    async def publish(line) -> None:
        await line.read()
        await line.context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such stream")

    script.publish = publish
    async with script.client(QUICK) as client:
        with pytest.raises(CallerError, match="no such stream"):
            await client.publisher().publish("bars", b"1")
        with pytest.raises(CallerError, match="no such stream"):
            await client.publisher().publish("bars", b"2")
    assert script.streams["publish"] == 1


async def test_a_coordinator_that_keeps_failing_is_given_up(script) -> None:
    async def publish(line) -> None:
        await line.read()
        await line.context.abort(grpc.StatusCode.INTERNAL, "out of order inside")

    script.publish = publish
    async with script.client(QUICK) as client:
        with pytest.raises(InternalError, match="out of order inside"):
            await client.publisher().publish("bars", b"1")
    assert script.streams["publish"] == 5


async def test_an_unavailable_coordinator_is_tried_for_as_long_as_it_takes(script) -> None:
    async def publish(line) -> None:
        if line.number < 20:
            await line.read()
            await line.context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        await line.start_publish()
        await line.acknowledge(await line.batches())
        await line.hold()

    script.publish = publish
    async with script.client(QUICK) as client:
        assert (await client.publisher().publish("bars", b"1")).offset == 0


async def test_a_frame_of_a_newer_contract_is_stepped_over(script) -> None:
    async def publish(line) -> None:
        await line.start_publish()
        await line.write(PublishStreamResponse())
        await line.acknowledge(await line.batches())
        await line.hold()

    script.publish = publish
    async with script.client(QUICK) as client:
        assert (await client.publisher().publish("bars", b"1")).offset == 0
    assert script.streams["publish"] == 1


async def test_a_silent_coordinator_is_left_and_a_beating_one_is_kept(script) -> None:
    opened = asyncio.Event()

    async def publish(line) -> None:
        await line.start_publish()
        if line.number == 1:
            await line.hold()  # Half-open: it reads, and never says a word.
            return
        opened.set()
        frame = await line.batches()  # Answers heartbeats.
        await line.acknowledge(frame)
        await line.hold()

    script.publish = publish
    settings = ClientSettings(
        heartbeat_seconds=0.05, reconnect_first_seconds=0.001, reconnect_max_seconds=0.01
    )
    async with script.client(settings) as client:
        waiting = asyncio.create_task(client.publisher().publish("bars", b"1"))
        await opened.wait()
        assert (await waiting).offset == 0
    assert script.streams["publish"] == 2


async def test_a_full_buffer_makes_the_caller_wait_and_then_says_so(script) -> None:
    proceed = asyncio.Event()

    async def publish(line) -> None:
        await line.start_publish()
        offset = 0
        while (frame := await line.batches()) is not None:
            await proceed.wait()
            offset = await line.acknowledge(frame, offset)

    script.publish = publish
    async with script.client(quick(buffer_messages_max=10)) as client:
        publisher = client.publisher()
        futures = [await publisher.enqueue("bars", m) for m in numbered(10)]
        with pytest.raises(BufferFullError, match="it holds 10 messages"):
            await publisher.enqueue("bars", new_message(data=b"one too many"), timeout=0.05)
        waiting = asyncio.create_task(publisher.enqueue("bars", new_message(data=b"late")))
        await asyncio.sleep(0)
        assert not waiting.done()
        proceed.set()
        late = await waiting
        assert [f.offset for f in await asyncio.gather(*futures, late)] == list(range(11))


async def test_a_cancelled_message_is_taken_back_unless_it_was_sent(script) -> None:
    seen: list[bytes] = []
    proceed = asyncio.Event()

    async def publish(line) -> None:
        await line.start_publish()
        offset = 0
        while (frame := await line.batches()) is not None:
            seen.extend(data for batch in payloads(frame) for data in batch)
            await proceed.wait()
            offset = await line.acknowledge(frame, offset)

    script.publish = publish
    async with script.client(quick(frames_in_flight_max=1)) as client:
        publisher = client.publisher()
        sent = await publisher.enqueue("bars", new_message(data=b"sent"))
        while not seen:  # noqa: ASYNC110 - the server has no event to hand out
            await asyncio.sleep(0)
        waiting = await publisher.enqueue("bars", new_message(data=b"waiting"))
        last = await publisher.enqueue("bars", new_message(data=b"last"))
        waiting.cancel()
        sent.cancel()
        proceed.set()
        assert (await last).offset == 1
    assert seen == [b"sent", b"last"]


async def test_closing_fails_what_was_never_acknowledged(script) -> None:
    async def publish(line) -> None:
        await line.start_publish()
        await line.hold()

    script.publish = publish
    settings = ClientSettings(timeout_seconds=0.1)
    client = script.client(settings)
    await client.__aenter__()
    future = await client.publisher().enqueue("bars", new_message(data=b"1"))
    with pytest.raises(Exception, match="flushing 1 messages"):
        await client.close()
    with pytest.raises(ClosedError, match="before the message was acknowledged"):
        await future


async def test_the_error_that_left_the_block_is_not_hidden_by_unsent_messages(script) -> None:
    async def publish(line) -> None:
        await line.start_publish()
        await line.hold()

    async def fail_with_unsent_messages() -> None:
        async with script.client(ClientSettings(timeout_seconds=0.3)) as client:
            future = await client.publisher().enqueue("bars", new_message(data=b"1"), timeout=10)
            future.add_done_callback(lambda done: done.exception())
            raise KeyError("the real trouble")

    script.publish = publish
    with pytest.raises(KeyError, match="the real trouble"):
        await fail_with_unsent_messages()


def _note(seen: list[tuple[int, int, int, bytes]], line: int, frame) -> None:
    for batch in frame.batches:
        header = batch.header
        seen.extend(
            (line, header.producer_id, header.base_sequence + i, m.data)
            for i, m in enumerate(open_batch(batch))
        )


def _position(batch, first_offset: int):
    return PositionRange(
        topic=batch.header.topic,
        partition=batch.header.partition,
        first_offset=first_offset,
        last_offset=first_offset + batch.header.message_count - 1,
    )


def _ack(frame, positions: list[PositionRange]) -> PublishStreamResponse:
    return PublishStreamResponse(
        ack=PublishAck(
            first_frame_sequence=frame.frame_sequence,
            last_frame_sequence=frame.frame_sequence,
            positions=positions,
        )
    )

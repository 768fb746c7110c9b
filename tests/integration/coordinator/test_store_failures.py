"""A store that fails: a full disk, a disk in doubt, a slow disk. Nothing acknowledged is lost, and the rest goes on."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.integration.coordinator.frames import (
    TOPIC,
    Duplex,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    eventually,
    payloads,
    refusal,
    within,
)
from tests.integration.coordinator.guarantees import (
    REJECT,
    Gate,
    letters,
    publish_each,
    served,
    subscription_stats,
)

from bellwire.admin.v1 import dead_letter_pb2, topic_pb2
from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE
from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_RECEIVED,
    PublishRequest,
    PublishStart,
    PublishStreamRequest,
)
from bellwire.coordinator.log.records import Record
from bellwire.coordinator.log.sqlite.store import SqliteStore
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import (
    BellwireError,
    StatusCode,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
    from_item_error,
)

pytestmark = pytest.mark.integration

MIB = 1 << 20
DISK_MIB = 6
BLOCK = 64 << 10
TICKS = "ticks"  # A topic kept in memory.
BATCH = 200 << 10  # Bytes; a full disk is noticed within a few of them.
BATCHES_MAX = 4 * DISK_MIB * MIB // BATCH
NOISE = random.Random(11)


class Disk:
    """A file system of a few MiB that can be filled and freed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(BLOCK))
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))

    def free(self) -> None:
        """Give all of it back."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "bellwire-test", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NO TEST OF A FULL DISK: mount was refused ({done.stderr.strip()})")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)


@asynccontextmanager
async def on_disk(disk: Disk) -> AsyncIterator[Stubs]:
    """A coordinator on that disk with a durable topic and one in memory."""
    async with served(disk.data, store_checkpoint_pages=100) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        await bus.create_topic(TICKS, log=LOG_KIND_MEMORY)
        yield bus


async def publish_until_full(stream: PublishStream) -> tuple[list[bytes], bytes, Any]:
    """Publish until a batch is refused; return what was acknowledged, what was not, and the failure."""
    kept: list[bytes] = []
    for _ in range(BATCHES_MAX):
        data = NOISE.randbytes(BATCH)
        await stream.publish(batch(data))
        answer = await within(stream.call.read())
        if answer.WhichOneof("frame") == "failure":
            await stream.acknowledged(stream.frame)
            return kept, data, answer.failure
        assert answer.WhichOneof("frame") == "ack"
        kept.append(data)
    raise AssertionError("the disk was never full")


# ---------------------------------------------------------------- full


async def test_on_a_full_disk_batches_are_refused_and_memory_topics_go_on(disk: Disk):
    async with on_disk(disk) as bus:
        disk.fill()
        stream = await PublishStream(bus).open()
        _, _, failure = await publish_until_full(stream)
        error = from_item_error(failure.error)
        assert isinstance(error, StoreFullError)
        assert error.retryable
        assert str(disk.data) in error.message
        assert "free some space" in error.message
        await stream.publish(batch(b"tick", topic=TICKS))
        (place,) = await stream.acknowledged(stream.frame)
        assert place.topic == TICKS
        assert not (await bus.info()).store.read_only
        request = PublishRequest(batch=batch(NOISE.randbytes(BATCH)))
        unary = await refusal(bus.publisher.Publish(request))
        assert isinstance(unary, StoreFullError)
        assert unary.code is StatusCode.RESOURCE_EXHAUSTED


async def test_a_full_disk_tells_when_to_try_again(disk: Disk):
    async with on_disk(disk) as bus:
        disk.fill()
        _, _, failure = await publish_until_full(await PublishStream(bus).open())
        assert from_item_error(failure.error).retry_delay_seconds


async def test_once_there_is_space_again_publishing_goes_on_with_no_gap_and_nothing_lost(
    disk: Disk,
):
    async with on_disk(disk) as bus:
        live = await SubscribeStream(bus).open()
        stream = await PublishStream(bus).open()
        await publish_each(bus, b"before")
        assert await live.data(1) == [b"before"]
        disk.fill()
        kept, refused, _ = await publish_until_full(stream)
        held = await bus.stats()
        assert held.partitions[0].next_offset == held.partitions[0].high_watermark == 1 + len(kept)
        assert held.published_messages == 1 + len(kept)
        assert held.refused_batches["STORE_FULL"] == 1
        disk.free()
        await stream.publish(batch(refused))
        (place,) = await stream.acknowledged(stream.frame)
        assert place.first_offset == 1 + len(kept)
        assert await live.data(len(kept) + 1) == [*kept, refused]
    async with served(disk.data) as bus:
        reader = await SubscribeStream(bus).open("late")
        assert await reader.data(len(kept) + 2) == [b"before", *kept, refused]


async def test_what_was_received_and_then_found_no_room_on_the_disk_is_delivered_to_nobody(
    disk: Disk,
):
    async with on_disk(disk) as bus:
        live = await SubscribeStream(bus).open()
        disk.fill()
        stream = await PublishStream(bus).open()
        for _ in range(BATCHES_MAX):
            await stream.publish(batch(NOISE.randbytes(BATCH)), ack_level=ACK_LEVEL_RECEIVED)
            await stream.acknowledged(stream.frame)  # Received is all it says.
            (held,) = (await bus.stats()).partitions
            if held.next_offset < stream.frame:
                break
        settled = await eventually(
            lambda: bus.stats(),
            lambda s: s.partitions[0].next_offset == s.partitions[0].high_watermark,
        )
        committed = settled.partitions[0].high_watermark
        assert committed < stream.frame
        disk.free()
        await publish_each(bus, b"after")
        assert (await live.data(committed + 1))[-1] == b"after"


async def test_a_producers_sequence_goes_on_where_the_full_disk_stopped_it(disk: Disk):
    async with on_disk(disk) as bus:
        stream = await PublishStream(bus).open()
        producer: dict[str, Any] = {"producer_id": stream.started.producer_id}
        disk.fill()
        sequence, refused = 0, None
        while refused is None:
            made = batch(NOISE.randbytes(BATCH), base_sequence=sequence, **producer)
            await stream.publish(made)
            answer = await within(stream.call.read())
            if answer.WhichOneof("frame") == "failure":
                refused = made
                await stream.acknowledged(stream.frame)
            else:
                sequence += 1
        disk.free()
        await stream.publish(refused)
        (place,) = await stream.acknowledged(stream.frame)
        assert (place.first_offset, place.duplicate) == (sequence, False)
        await stream.publish(refused)
        (place,) = await stream.acknowledged(stream.frame)
        assert (place.first_offset, place.duplicate) == (sequence, True)


async def test_a_request_id_refused_by_a_full_disk_may_be_used_again(disk: Disk):
    async with on_disk(disk) as bus:
        disk.fill()
        stream = await PublishStream(bus).open()
        kept, _, _ = await publish_until_full(stream)
        request = PublishRequest(batch=batch(NOISE.randbytes(BATCH)), request_id="req-1")
        assert isinstance(await refusal(bus.publisher.Publish(request)), StoreFullError)
        disk.free()
        first = await within(bus.publisher.Publish(request))
        again = await within(bus.publisher.Publish(request))
        assert (first.replayed, again.replayed) == (False, True)
        assert first.positions == again.positions
        assert first.positions[0].first_offset == len(kept)


async def test_a_rejected_message_that_finds_no_room_as_a_dead_letter_comes_again(disk: Disk):
    async with on_disk(disk) as bus:
        data = NOISE.randbytes(BATCH)
        await publish_each(bus, data)
        stream = await SubscribeStream(bus).open("risk")
        delivery = await stream.delivery()
        disk.fill()
        publisher = await PublishStream(bus).open()
        # What is left of the write-ahead log's room goes to others; the letter is as large as they.
        await publish_until_full(publisher)
        await stream.settle(delivery, REJECT, reason="no price")
        again = await stream.delivery()
        while again.first_offset != delivery.first_offset:
            again = await stream.delivery()  # What else was published meanwhile.
        assert (payloads([again]), again.attempt) == ([data], 1)
        disk.free()
        await stream.settle(again, REJECT, reason="no price")
        (letter,) = await eventually(lambda: letters(bus), lambda found: found)
        assert (letter.message.data, letter.attempts) == (data, 2)
        assert (await subscription_stats(bus)).dead_lettered_messages == 1


async def test_offsets_are_not_given_out_twice_when_a_log_that_was_emptied_finds_no_room(
    disk: Disk,
):
    async with served(disk.data, store_checkpoint_pages=100) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, retention_seconds=1)
        await publish_each(bus, b"0", b"1", b"2")
        await eventually(bus.stats, lambda stats: stats.partitions[0].low_offset == 3)
        disk.fill()
        kept, _, _ = await publish_until_full(await PublishStream(bus).open())
        await eventually(bus.stats, lambda s: s.partitions[0].low_offset == 3 + len(kept))
        disk.free()
    async with served(disk.data) as bus:
        (found,) = (await bus.stats()).partitions
        assert (found.low_offset, found.next_offset) == (3 + len(kept), 3 + len(kept))
        request = PublishRequest(batch=batch(b"next"))
        (place,) = (await within(bus.publisher.Publish(request))).positions
        assert place.first_offset == 3 + len(kept)


async def test_a_topic_that_found_no_room_is_not_there_until_it_is_created_again(disk: Disk):
    async with on_disk(disk) as bus:
        disk.fill()
        made, refused = [TOPIC, TICKS], None
        while refused is None:
            assert len(made) < BATCHES_MAX
            name = f"orders.{len(made)}"
            # With so many partitions the topic's record takes some pages.
            topic = topic_pb2.Topic(name=name, log=LOG_KIND_SQLITE, partition_count=1_024)
            request = topic_pb2.CreateTopicRequest(topic=topic)
            try:
                await within(bus.topics.CreateTopic(request))
                made.append(name)
            except grpc.aio.AioRpcError as error:
                refused = error_from_rpc(error)
        assert isinstance(refused, StoreFullError)
        assert await topic_names(bus) == sorted(made)
        disk.free()
        await within(bus.topics.CreateTopic(request))
        await publish_each(bus, b"x", topic=name)
    async with served(disk.data) as bus:
        assert await topic_names(bus) == sorted({*made, name} - {TICKS})


async def topic_names(bus: Stubs) -> list[str]:
    answer = await within(bus.topics.ListTopics(topic_pb2.ListTopicsRequest()))
    return [topic.name for topic in answer.topics]


# ---------------------------------------------------------------- in doubt


class Doubt:
    """Lets a store's commits fail as they do when the disk has failed an fsync."""

    REASON = "bellwire.db could not be written (disk I/O error): what is on the disk is in doubt"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.tries = 0
        write = SqliteStore.write

        def failing(store: SqliteStore, records: Sequence[Record]) -> None:
            if self.error is not None:
                self.tries += 1
                raise self.error
            write(store, records)

        monkeypatch.setattr(SqliteStore, "write", failing)

    def arise(self) -> None:
        """Let every commit fail from now on."""
        self.error = StoreReadOnlyError(self.REASON)


@pytest.fixture
def doubt(monkeypatch: pytest.MonkeyPatch) -> Doubt:
    return Doubt(monkeypatch)


@asynccontextmanager
async def doubted(doubt: Doubt, data: Path) -> AsyncIterator[Stubs]:
    """A coordinator with two committed messages whose next commit has failed."""
    async with served(data) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        await bus.create_topic(TICKS, log=LOG_KIND_MEMORY)
        await publish_each(bus, b"0", b"1")
        doubt.arise()
        request = PublishRequest(batch=batch(b"lost"))
        assert isinstance(await refusal(bus.publisher.Publish(request)), StoreReadOnlyError)
        yield bus


async def test_the_batch_whose_commit_failed_and_all_after_it_are_refused(tmp_path, doubt):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        await publish_each(bus, b"0")
        doubt.arise()
        stream = await PublishStream(bus).open()
        for _ in range(3):
            await stream.publish(batch(b"x"), ack_level=ACK_LEVEL_PERSISTED)
            error = from_item_error((await stream.read_arm("failure")).error)
            assert isinstance(error, StoreReadOnlyError)
            assert error.code is StatusCode.UNAVAILABLE
            assert Doubt.REASON in error.message
            await stream.acknowledged(stream.frame)
        assert doubt.tries == 1  # A store in doubt is not written again.
        (held,) = (await bus.stats()).partitions
        assert (held.next_offset, held.high_watermark) == (1, 1)


async def test_deliveries_of_what_is_stored_and_their_settlements_go_on(tmp_path, doubt):
    async with doubted(doubt, tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        first = await stream.delivery()
        await stream.settle(first)
        second = await stream.delivery()
        await stream.settle(second, subscriber_pb2.DISPOSITION_RELEASE)
        again = await stream.delivery()
        assert payloads([first, second, again]) == [b"0", b"1", b"1"]
        await stream.settle(again)
        await eventually(
            lambda: subscription_stats(bus), lambda found: not found.in_flight_messages
        )
        assert payloads((await bus.pull()).deliveries) == [b"0", b"1"]


async def test_memory_topics_go_on_over_a_store_in_doubt(tmp_path, doubt):
    async with doubted(doubt, tmp_path) as bus:
        reader = await SubscribeStream(bus).open("ticking", topics=[TICKS])
        stream = await PublishStream(bus).open()
        await stream.publish(batch(b"tick", topic=TICKS))
        await stream.acknowledged(1)
        assert await reader.data(1) == [b"tick"]
        await bus.create_topic("made.later", log=LOG_KIND_MEMORY)
        request = PublishRequest(batch=batch(b"x", topic="made.later"), request_id="req-1")
        assert not (await within(bus.publisher.Publish(request))).replayed
        assert (await within(bus.publisher.Publish(request))).replayed


async def test_the_server_says_that_its_store_is_read_only_and_why(tmp_path, doubt):
    async with doubted(doubt, tmp_path) as bus:
        store = (await bus.info()).store
        assert store.read_only
        assert store.read_only_reason == Doubt.REASON


async def refused_calls(bus: Stubs) -> list[BellwireError]:
    """The errors of all calls that would have to write."""
    topic = topic_pb2.Topic(name="orders", log=LOG_KIND_SQLITE)
    changed = topic_pb2.Topic(name=TOPIC, retention_messages=9)
    named = Duplex(bus.publisher.PublishStream(), PublishStreamRequest)
    await named.send(start=PublishStart(producer_name="execution/paper-0"))
    return [
        await refusal(bus.topics.CreateTopic(topic_pb2.CreateTopicRequest(topic=topic))),
        await refusal(bus.topics.UpdateTopic(topic_pb2.UpdateTopicRequest(topic=changed))),
        await refusal(bus.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name=TOPIC))),
        await refusal(
            bus.dead_letters.PurgeDeadLetters(dead_letter_pb2.PurgeDeadLettersRequest(topic=TOPIC))
        ),
        await named.ended_with(),
    ]


async def test_what_would_have_to_be_written_is_refused_and_changes_nothing(tmp_path, doubt):
    async with doubted(doubt, tmp_path) as bus:
        before = await within(bus.topics.GetTopic(topic_pb2.GetTopicRequest(name=TOPIC)))
        for error in await refused_calls(bus):
            assert isinstance(error, StoreReadOnlyError)
        after = await within(bus.topics.GetTopic(topic_pb2.GetTopicRequest(name=TOPIC)))
        assert after == before


async def test_a_rejection_that_cannot_be_kept_is_refused_and_the_message_stays_in_flight(
    tmp_path, doubt
):
    async with doubted(doubt, tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        delivery, second = [await stream.delivery() for _ in range(2)]
        assert payloads([delivery, second]) == [b"0", b"1"]
        await stream.settle(delivery, REJECT, reason="no price")
        refused = await stream.read_arm("settle_failure")
        assert isinstance(from_item_error(refused.error), StoreReadOnlyError)
        await stream.settle(delivery)
        await eventually(
            lambda: subscription_stats(bus), lambda found: found.in_flight_messages == 1
        )


async def test_after_a_restart_all_that_was_acknowledged_is_there_and_nothing_else(tmp_path, doubt):
    async with doubted(doubt, tmp_path) as bus:
        request = PublishRequest(batch=batch(b"lost too"))
        assert isinstance(await refusal(bus.publisher.Publish(request)), StoreReadOnlyError)
    doubt.error = None
    async with served(tmp_path) as bus:
        assert not (await bus.info()).store.read_only
        assert payloads((await bus.pull()).deliveries) == [b"0", b"1"]
        await publish_each(bus, b"2")
        assert (await bus.stats()).partitions[0].next_offset == 3


async def test_a_failure_that_nobody_foresaw_is_told_to_who_waits_and_stops_all_writing(
    tmp_path, doubt
):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        doubt.error = ZeroDivisionError("a bug")
        request = PublishRequest(batch=batch(b"x"))
        error = await refusal(bus.publisher.Publish(request))
        assert isinstance(error, StoreReadOnlyError)
        assert "ZeroDivisionError('a bug')" in error.message
        assert (await bus.info()).store.read_only


async def test_all_that_waits_behind_a_failed_commit_hears_of_it(tmp_path, monkeypatch, doubt):
    gate = Gate(monkeypatch)  # Around the failing store: what is held fails when it is let through.
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        gate.shut()
        doubt.arise()
        stream = await PublishStream(bus).open()
        for _ in range(20):
            await stream.publish(batch(b"x"))
        unary = [
            asyncio.ensure_future(refusal(bus.publisher.Publish(PublishRequest(batch=batch(b"y")))))
            for _ in range(3)
        ]
        await eventually(bus.stats, lambda stats: stats.partitions[0].next_offset == 23)
        gate.open()
        failed = []
        for _ in range(20):
            answer = await within(stream.call.read())
            while answer.WhichOneof("frame") == "ack":
                answer = await within(stream.call.read())
            failed.append(answer.failure.frame_sequence)
        assert failed == list(range(1, 21))
        for error in await within(asyncio.gather(*unary)):
            assert isinstance(error, StoreReadOnlyError)
        stats = await bus.stats()
        assert stats.partitions[0].next_offset == 0
        assert stats.published_messages == 0


# ---------------------------------------------------------------- slow


def frames_of(ack: Any) -> set[int]:
    return set(range(ack.first_frame_sequence, ack.last_frame_sequence + 1))


async def test_what_a_slow_disk_cannot_take_in_time_is_refused_as_busy_and_the_rest_is_kept(
    tmp_path, monkeypatch
):
    gate = Gate(monkeypatch)
    async with served(tmp_path, store_queue_bytes=4 * MIB, publish_wait_seconds=0.3) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        await bus.create_topic(TICKS, log=LOG_KIND_MEMORY)
        gate.shut()
        stream = await PublishStream(bus).open()
        data = [NOISE.randbytes(400 << 10) for _ in range(14)]
        for item in data:
            await stream.publish(batch(item))
        fitting = 4 * MIB // (400 << 10) + 1  # The last of them may exceed the bound.
        refused: set[int] = set()
        answered: set[int] = set()
        while len(answered) < len(data) - fitting:
            answer = await within(stream.call.read())
            if answer.WhichOneof("frame") == "failure":
                error = from_item_error(answer.failure.error)
                assert isinstance(error, StoreBusyError)
                assert error.retry_delay_seconds
                refused.add(answer.failure.frame_sequence)
            else:
                answered |= frames_of(answer.ack)
        assert answered == refused == set(range(fitting + 1, len(data) + 1))
        await bus.publish(b"tick", topic=TICKS)  # Memory topics do not wait for the disk.
        gate.open()
        while len(answered) < len(data):
            answered |= frames_of(await stream.read_arm("ack"))
        reader = await SubscribeStream(bus).open("late")
        kept = [item for frame, item in enumerate(data, 1) if frame not in refused]
        assert await reader.data(len(kept)) == kept


async def test_while_the_disk_is_slow_what_comes_travels_in_one_commit(tmp_path, monkeypatch):
    gate = Gate(monkeypatch)
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        before = (await bus.info()).store.commits
        gate.shut()
        stream = await PublishStream(bus).open()
        for _ in range(100):
            await stream.publish(batch(b"x"))
        await eventually(bus.stats, lambda stats: stats.partitions[0].next_offset == 100)
        gate.open()
        await stream.acknowledged(100)
        # The first batch went alone, or with what came in the same turn; the others waited for it.
        assert (await bus.info()).store.commits - before <= 3

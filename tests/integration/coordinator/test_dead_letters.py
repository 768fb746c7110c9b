"""Dead letters: how messages get there, and how they are listed, redriven and purged."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
    ACCEPT,
    TOPIC,
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
    BOTH_LOGS,
    LOG_NAMES,
    REJECT,
    RELEASE,
    acknowledge,
    letters,
    publish_batch,
    publish_each,
    reject,
    served,
    subscription_stats,
)

from bellwire.admin.v1 import topic_pb2
from bellwire.admin.v1.dead_letter_pb2 import (
    DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
    DEAD_LETTER_CAUSE_REJECTED,
    DeadLetterFilter,
    ListDeadLettersRequest,
    PurgeDeadLettersRequest,
    PurgeDeadLettersResponse,
    RedriveDeadLettersRequest,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.topic_pb2 import LOG_KIND_SQLITE
from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.message_pb2 import Window
from bellwire.wire.batch import BLOCK_BYTES_MAX, BatchLimits, encode_batch, open_batch
from bellwire.wire.errors import (
    BatchCountError,
    CallerError,
    CapacityError,
    InvalidBatchError,
    InvalidTopicNameError,
    PayloadTooLargeError,
    UnknownTopicError,
    from_item_error,
)
from bellwire.wire.message import new_message

pytestmark = pytest.mark.integration

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def redrive(bus: Stubs, topic: str = TOPIC, **fields: Any) -> RedriveDeadLettersResponse:
    """Redrive dead letters; `filter` is a dict."""
    wanted = DeadLetterFilter(**fields.pop("filter", {}))
    request = RedriveDeadLettersRequest(topic=topic, filter=wanted, **fields)
    return await within(bus.dead_letters.RedriveDeadLetters(request))


async def purge(bus: Stubs, topic: str = TOPIC, **fields: Any) -> PurgeDeadLettersResponse:
    """Purge dead letters; `filter` is a dict."""
    wanted = DeadLetterFilter(**fields.pop("filter", {}))
    request = PurgeDeadLettersRequest(topic=topic, filter=wanted, **fields)
    return await within(bus.dead_letters.PurgeDeadLetters(request))


def data_of(found: Any) -> list[bytes]:
    return [letter.message.data for letter in found]


def messages_of(delivery: Any) -> list[Any]:
    return list(open_batch(delivery.batch, BatchLimits(bytes_max=BLOCK_BYTES_MAX)))


# ---------------------------------------------------------------- how they come to be


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_a_rejected_message_is_kept_whole_with_its_reason_and_its_place(tmp_path, log):
    began = time.time_ns()
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log, partition_count=2)
        sent = new_message(
            data=b"order",
            key="EURUSD",
            type="bellwire.trading.v1.OrderRequest",
            causation_id="signal-7",
            traceparent=TRACEPARENT,
            attributes={"desk": "fx"},
        )
        filling = new_message(data=b"kept", key="EURUSD")
        place = await publish_batch(bus, encode_batch(TOPIC, 1, [filling, sent]))
        stream = await SubscribeStream(bus).open("risk")
        delivery = await stream.delivery()
        tag = delivery.first_delivery_tag
        await stream.settle_tags(tag, tag)
        await stream.settle_tags(tag + 1, tag + 1, REJECT, reason="no price for EURUSD")
        await stream.finish()
        (letter,) = await letters(bus)
        assert letter.message == sent
        assert (letter.position.topic, letter.position.partition) == (TOPIC, 1)
        assert (letter.position.offset, letter.position.log_id) == (
            place.last_offset,
            delivery.log_id,
        )
        assert letter.reason == "no price for EURUSD"
        assert letter.cause == DEAD_LETTER_CAUSE_REJECTED
        assert (letter.subscription, letter.attempts) == ("risk", 1)
        assert began <= letter.time_unix_nano <= time.time_ns()


async def test_a_rejection_without_a_reason_has_one_all_the_same(bus: Stubs):
    await reject(bus, b"x", reason="")
    (letter,) = await letters(bus)
    assert letter.reason == "rejected"


async def test_a_message_rejected_under_a_pull_lease_is_a_dead_letter_and_not_pulled_again(
    bus: Stubs,
):
    await bus.publish(b"good", b"bad", b"good too")
    pulled = await bus.pull()
    await acknowledge(bus, pulled.lease_id, 2, 2, REJECT, reason="stale")
    await acknowledge(bus, pulled.lease_id, 3, 3, RELEASE)
    await acknowledge(bus, pulled.lease_id, 1, 1, ACCEPT)
    assert payloads((await bus.pull()).deliveries) == [b"good too"]
    (letter,) = await letters(bus)
    assert (letter.message.data, letter.reason) == (b"bad", "stale")
    assert (letter.subscription, letter.cause) == ("inspect", DEAD_LETTER_CAUSE_REJECTED)


async def test_a_message_released_max_attempts_times_is_given_up_and_the_next_one_goes_on(
    bus: Stubs,
):
    stream = await SubscribeStream(bus).open("risk", max_attempts=3)
    await publish_each(bus, b"poison", b"next")
    attempts: dict[bytes, list[int]] = {b"poison": [], b"next": []}
    for _ in range(4):
        delivery = await stream.delivery()
        (data,) = payloads([delivery])
        attempts[data].append(delivery.attempt)
        await stream.settle(delivery, RELEASE if data == b"poison" else ACCEPT)
    assert attempts == {b"poison": [0, 1, 2], b"next": [0]}
    (letter,) = await eventually(lambda: letters(bus), lambda found: found)
    assert (letter.message.data, letter.attempts) == (b"poison", 3)
    assert letter.cause == DEAD_LETTER_CAUSE_MAX_ATTEMPTS
    assert "3 attempts" in letter.reason
    assert (await subscription_stats(bus)).dead_lettered_messages == 1
    assert (await bus.stats()).dead_letters == 1


async def test_the_servers_default_of_attempts_holds_where_a_subscription_names_none():
    async with served(max_attempts=2) as bus:
        await bus.publish(b"poison")
        for attempt in (0, 1):
            pulled = await bus.pull()
            assert pulled.deliveries[0].attempt == attempt
            await acknowledge(bus, pulled.lease_id, 1, 1, RELEASE)
        (letter,) = await letters(bus)
        assert letter.attempts == 2


async def test_more_attempts_than_a_subscription_may_ask_for_are_refused(bus: Stubs):
    stream = SubscribeStream(bus)
    start = subscriber_pb2.SubscribeStart(
        subscription="risk",
        topics=[TOPIC],
        window=Window(messages=1, bytes=1 << 20),
        max_attempts=1_001,
    )
    await stream.send(start=start)
    error = await stream.ended_with()
    assert isinstance(error, CallerError)
    assert "1 to 1000 are allowed" in error.message


async def test_a_poison_message_that_kills_each_of_its_consumers_is_given_up_and_takes_no_neighbour(
    server, bus: Stubs
):
    await bus.publish(b"0", b"poison", b"2")  # One batch.
    opened = await SubscribeStream(bus).open("risk", max_attempts=4)
    await opened.finish()
    done: list[bytes] = []
    for _ in range(40):
        if await letters(bus):
            break
        stream = await SubscribeStream(bus).open("risk")
        while b"poison" not in (found := payloads([delivery := await stream.delivery()])):
            done += found
            await stream.settle(delivery)
        stream.cancel()  # It dies of it, with all that it holds.
        await eventually(
            lambda: subscription_stats(bus), lambda found: found.in_flight_messages == 0
        )
    (letter,) = await letters(bus)
    assert letter.message.data == b"poison"
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"after")
    while b"after" not in done:
        done += await stream.data(1)
    assert sorted(done) == [b"0", b"2", b"after"]


async def test_what_an_ephemeral_subscriber_rejects_is_counted_and_no_dead_letter(bus: Stubs):
    stream = await SubscribeStream(bus).open()
    await bus.publish(b"x")
    await stream.settle(await stream.delivery(), REJECT, reason="not mine")
    await bus.publish(b"y")
    assert await stream.data(1) == [b"y"]
    # There would be nobody to redrive it for, and everybody else has it already.
    assert await letters(bus) == []
    counted = await bus.stats()
    assert dict(counted.dropped_messages) == {"rejected": 1}
    assert dict(counted.subscriptions[0].dropped_by_reason) == {"rejected": 1}


async def test_a_reason_too_long_to_keep_is_refused_and_the_message_stays_in_flight(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    await bus.publish(b"x")
    delivery = await stream.delivery()
    await stream.settle(delivery, REJECT, reason="x" * 1_025)
    failure = await stream.read_arm("settle_failure")
    assert isinstance(from_item_error(failure.error), PayloadTooLargeError)
    await stream.settle(delivery, REJECT, reason="é" * 512)
    (letter,) = await eventually(lambda: letters(bus), lambda found: found)
    assert letter.reason == "é" * 512


# ---------------------------------------------------------------- list


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_dead_letters_are_listed_page_by_page_oldest_first(tmp_path, log):
    data = [str(n).encode() for n in range(7)]
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        await reject(bus, *data)
        found, sizes, token = [], [], ""
        while not sizes or token:
            request = ListDeadLettersRequest(topic=TOPIC, page_size=3, page_token=token)
            page = await within(bus.dead_letters.ListDeadLetters(request))
            found += page.dead_letters
            sizes.append(len(page.dead_letters))
            token = page.next_page_token
        assert data_of(found) == data
        assert sizes == [3, 3, 1]
        assert [letter.id for letter in found] == sorted({letter.id for letter in found})


async def test_a_page_stays_below_what_grpc_carries(bus: Stubs):
    await reject(bus, *[bytes([n]) * (500 << 10) for n in range(9)])
    found, token = 0, ""
    while not found or token:
        request = ListDeadLettersRequest(topic=TOPIC, page_size=9, page_token=token)
        page = await within(bus.dead_letters.ListDeadLetters(request))
        assert page.ByteSize() < 4 << 20
        found, token = found + len(page.dead_letters), page.next_page_token
    assert found == 9


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"page_size": -1}, "1 to 1000"),
        ({"page_size": 1_001}, "1 to 1000"),
        ({"page_token": "second"}, "begin without one"),
        ({"page_token": str(1 << 63)}, "begin without one"),
        ({"page_token": "9" * 5_000}, "page_token '999"),
        ({"filter": DeadLetterFilter(ids=range(1_001))}, "limit is 1000"),
    ],
)
async def test_a_list_that_cannot_be_is_refused_in_words(bus: Stubs, fields, words):
    request = ListDeadLettersRequest(topic=TOPIC, **fields)
    error = await refusal(bus.dead_letters.ListDeadLetters(request))
    assert isinstance(error, CallerError)
    assert words in error.message


async def test_a_topic_that_never_had_any_lists_none_and_a_bad_name_is_refused(bus: Stubs):
    assert await letters(bus, "never.seen") == []
    request = ListDeadLettersRequest(topic="no such/topic")
    error = await refusal(bus.dead_letters.ListDeadLetters(request))
    assert isinstance(error, InvalidTopicNameError)


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_every_condition_of_a_filter_chooses_and_all_must_hold(tmp_path, log):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        await reject(bus, b"0", key="EURUSD", reason="no price: 100 % stale")
        await reject(bus, b"1", key="GBPUSD", reason="no price")
        other = await SubscribeStream(bus).open("audit")
        for reason in ("too_large", "tooXlarge"):
            await other.settle(await other.delivery(), REJECT, reason=reason)
        await other.finish()
        await reject(bus, b"4", subscription="orders", topic="orders")
        everything = await letters(bus)
        assert data_of(everything) == [b"0", b"1", b"0", b"1"]
        ids = [letter.id for letter in everything]

        async def chosen(**wanted: Any) -> list[int]:
            return [ids.index(letter.id) for letter in await letters(bus, **wanted)]

        assert await chosen(subscription="risk") == [0, 1]
        assert await chosen(subscription="ris") == []
        assert await chosen(reason_contains="price") == [0, 1]
        assert await chosen(reason_contains="%") == [0]
        assert await chosen(reason_contains="too_l") == [2]
        assert await chosen(key="GBPUSD") == [1, 3]
        assert await chosen(ids=[ids[3], ids[0], 2**60]) == [0, 3]
        # Letters of one moment are of one time; those before the third are before its time, or of it.
        before = await chosen(before_time_unix_nano=everything[2].time_unix_nano)
        assert before == [0, 1]
        assert await chosen(subscription="audit", key="EURUSD") == [2]
        assert await chosen(subscription="audit", reason_contains="no price") == []


# ---------------------------------------------------------------- redrive


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_a_redriven_message_comes_to_the_subscription_that_gave_it_up_and_no_other(
    tmp_path, log
):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        other = await SubscribeStream(bus).open("audit")
        ephemeral = await SubscribeStream(bus).open()
        await reject(bus, b"0", b"1", key="EURUSD")
        for stream in (other, ephemeral):
            assert await stream.data(2) == [b"0", b"1"]
        gone = await letters(bus)
        risk = await SubscribeStream(bus).open("risk")
        answer = await redrive(bus)
        assert (answer.messages, answer.remaining_messages) == (2, 0)
        assert answer.up_to_id == gone[-1].id
        (place,) = answer.positions
        assert (place.first_offset, place.last_offset) == (2, 3)
        again = await risk.delivery()
        assert [m.data for m in messages_of(again)] == [b"0", b"1"]
        assert messages_of(again) == [letter.message for letter in gone]
        assert (again.first_offset, again.attempt, again.replayed) == (2, 0, False)
        await risk.settle(again)
        await bus.publish(b"for all")
        for stream in (other, ephemeral, risk):
            assert await stream.data(1) == [b"for all"]
        assert await letters(bus) == []
        assert (await bus.stats()).dead_letters == 0
        assert payloads((await bus.pull("new")).deliveries) == [b"0", b"1", b"for all"]


async def test_a_dry_run_counts_and_redrives_nothing(bus: Stubs):
    await reject(bus, b"0", b"1", b"2")
    before = await letters(bus)
    answer = await redrive(bus, dry_run=True, max_messages=2)
    assert (answer.messages, answer.remaining_messages) == (2, 1)
    assert answer.up_to_id == before[-1].id
    assert not answer.positions
    assert await letters(bus) == before
    assert (await bus.stats()).partitions[0].next_offset == 3


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_up_to_an_id_that_is_above_all_means_all(tmp_path, log):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        await reject(bus, b"0", b"1")
        answer = await redrive(bus, up_to_id=(1 << 64) - 1)
        assert (answer.messages, answer.remaining_messages) == (2, 0)


async def test_a_redrive_of_nothing_is_nothing(bus: Stubs):
    await bus.create_topic()
    answer = await redrive(bus)
    assert (answer.messages, answer.remaining_messages, answer.up_to_id) == (0, 0, 0)


async def test_a_redrive_chooses_by_its_filter_and_leaves_the_others(bus: Stubs):
    await reject(bus, b"0", key="EURUSD")
    await reject(bus, b"1", key="GBPUSD")
    answer = await redrive(bus, filter={"key": "GBPUSD"})
    assert answer.messages == 1
    assert data_of(await letters(bus)) == [b"0"]


async def test_redriving_in_steps_goes_on_where_the_last_one_ended(bus: Stubs):
    data = [str(n).encode() for n in range(7)]
    await reject(bus, *data)
    answer = await redrive(bus, max_messages=3)
    redriven, remaining, up_to = [answer.messages], [answer.remaining_messages], answer.up_to_id
    while answer.remaining_messages:
        answer = await redrive(bus, max_messages=3, up_to_id=up_to)
        redriven.append(answer.messages)
        remaining.append(answer.remaining_messages)
        assert answer.up_to_id == up_to
    assert (redriven, remaining) == ([3, 3, 1], [4, 1, 0])
    stream = await SubscribeStream(bus).open("risk")
    assert await stream.data(7) == data


async def test_redriving_while_a_consumer_rejects_all_again_comes_to_an_end(bus: Stubs):
    data = [str(n).encode() for n in range(6)]
    await reject(bus, *data)
    consumer = await SubscribeStream(bus).open("risk", max_batch_messages=1)
    redriven, up_to, rounds = 0, 0, 0
    while True:
        answer = await redrive(bus, max_messages=2, up_to_id=up_to)
        up_to = answer.up_to_id
        redriven += answer.messages
        rounds += 1
        for _ in range(answer.messages):
            await consumer.settle(await consumer.delivery(), REJECT, reason="still no price")
        # All that was just redriven is a dead letter again before the next step asks for more.
        await eventually(lambda: letters(bus), lambda found: len(found) == 6)
        if not answer.remaining_messages:
            break
    assert (redriven, rounds) == (6, 3)
    again = await letters(bus)
    assert {letter.reason for letter in again} == {"still no price"}
    assert min(letter.id for letter in again) > up_to


async def test_two_redrives_at_once_bring_each_message_once(bus: Stubs):
    data = [str(n).encode() for n in range(20)]
    await reject(bus, *data)
    answers = await asyncio.gather(*[redrive(bus, max_messages=15) for _ in range(2)])
    assert sorted(answer.messages for answer in answers) == [5, 15]
    assert (await bus.stats()).partitions[0].next_offset == 40


async def test_an_expired_dead_letter_is_delivered_when_it_is_redriven(bus: Stubs):
    soon = time.time_ns() + 300_000_000
    message = new_message(data=b"x", expire_time_unix_nano=soon)
    await publish_batch(bus, encode_batch(TOPIC, 0, [message]))
    stream = await SubscribeStream(bus).open("risk")
    await stream.settle(await stream.delivery(), REJECT)
    await eventually(lambda: letters(bus), lambda found: found and time.time_ns() > soon)
    assert (await redrive(bus)).messages == 1
    assert await stream.data(1) == [b"x"]


async def test_a_redrive_that_asks_for_too_much_at_once_is_refused(bus: Stubs):
    await reject(bus, b"x")
    request = RedriveDeadLettersRequest(topic=TOPIC, max_messages=1_001)
    error = await refusal(bus.dead_letters.RedriveDeadLetters(request))
    assert isinstance(error, CallerError)
    assert "call again" in error.message
    assert data_of(await letters(bus)) == [b"x"]


async def test_a_redrive_into_a_full_topic_is_refused_and_keeps_the_letters(bus: Stubs):
    await bus.create_topic(retention_messages=1)
    await reject(bus, b"x")
    await SubscribeStream(bus).open("slow", window=Window(messages=1, bytes=1 << 20))
    await publish_each(bus, b"0", b"1")
    request = RedriveDeadLettersRequest(topic=TOPIC)
    error = await refusal(bus.dead_letters.RedriveDeadLetters(request))
    assert isinstance(error, CapacityError)
    assert error.retry_delay_seconds
    assert data_of(await letters(bus)) == [b"x"]


async def test_a_publisher_cannot_address_one_subscription_as_a_redrive_does(bus: Stubs):
    forged = batch(b"x")
    forged.header.only_subscription = "risk"
    stream = await PublishStream(bus).open()
    await stream.publish(forged)
    failure = await stream.read_arm("failure")
    error = from_item_error(failure.error)
    assert isinstance(error, InvalidBatchError)
    assert not isinstance(error, BatchCountError)
    assert "only_subscription" in error.message


# ---------------------------------------------------------------- purge


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_a_purge_deletes_what_its_filter_chooses_and_a_dry_run_only_counts_it(tmp_path, log):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        await reject(bus, b"0", reason="no price")
        await reject(bus, b"1", reason="no price")
        await reject(bus, b"2", reason="too late")
        chosen = {"reason_contains": "price"}
        assert (await purge(bus, filter=chosen, dry_run=True)).messages == 2
        assert len(await letters(bus)) == 3
        assert (await purge(bus, filter=chosen)).messages == 2
        assert data_of(await letters(bus)) == [b"2"]
        assert (await purge(bus, filter=chosen)).messages == 0
        assert (await purge(bus)).messages == 1
        assert await letters(bus) == []
        assert (await bus.stats()).dead_letters == 0


async def test_a_purge_takes_more_than_one_page(bus: Stubs):
    stream = await SubscribeStream(bus).open("risk")
    publisher = await PublishStream(bus).open()
    for _ in range(3):
        await publisher.publish(batch(*[b"x"] * 500))
    await publisher.acknowledged(3)
    for _ in range(3):
        await stream.settle(await stream.delivery(), REJECT)
    await stream.finish()
    assert (await bus.stats()).dead_letters == 1_500
    assert (await purge(bus)).messages == 1_500
    assert (await bus.stats()).dead_letters == 0
    assert await letters(bus) == []


# ---------------------------------------------------------------- what outlives what


async def test_dead_letters_survive_a_restart_and_can_be_redriven_after_it(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        await reject(bus, b"0", b"1")
        before = await letters(bus)
    async with served(tmp_path) as bus:
        assert await letters(bus) == before
        assert (await bus.stats()).dead_letters == 2
        await reject(bus, b"2")
        assert [letter.id for letter in await letters(bus)][:2] == [letter.id for letter in before]
        assert len({letter.id for letter in await letters(bus)}) == 3
        stream = await SubscribeStream(bus).open("risk")
        assert (await redrive(bus)).messages == 3
        assert await stream.data(3) == [b"0", b"1", b"2"]
    async with served(tmp_path) as bus:
        assert await letters(bus) == []
        assert (await bus.stats()).dead_letters == 0


async def test_redriven_and_purged_letters_do_not_come_back_with_a_restart(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        await reject(bus, b"redriven", key="A")
        await reject(bus, b"purged", key="B")
        await reject(bus, b"kept", key="C")
        await redrive(bus, filter={"key": "A"})
        await purge(bus, filter={"key": "B"})
    async with served(tmp_path) as bus:
        assert data_of(await letters(bus)) == [b"kept"]
        stream = await SubscribeStream(bus).open("risk")
        assert await stream.data(1) == [b"redriven"]


async def test_dead_letters_of_a_memory_topic_survive_where_there_is_a_folder(tmp_path):
    async with served(tmp_path) as bus:
        await reject(bus, b"0")
    async with served(tmp_path) as bus:
        assert data_of(await letters(bus)) == [b"0"]
        await bus.create_topic()
        stream = await SubscribeStream(bus).open("risk")
        assert (await redrive(bus)).messages == 1
        assert await stream.data(1) == [b"0"]


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_letters_of_a_deleted_topic_can_be_listed_and_purged_but_not_redriven(tmp_path, log):
    async with served(tmp_path, auto_create_topics=False) as bus:
        await bus.create_topic(log=log)
        await reject(bus, b"0", b"1")
        await within(bus.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name=TOPIC)))
        assert data_of(await letters(bus)) == [b"0", b"1"]
        request = RedriveDeadLettersRequest(topic=TOPIC)
        error = await refusal(bus.dead_letters.RedriveDeadLetters(request))
        assert isinstance(error, UnknownTopicError)
        assert data_of(await letters(bus)) == [b"0", b"1"]
        ids = [letter.id for letter in await letters(bus)]
        assert (await purge(bus, filter={"ids": ids[:1]})).messages == 1
        assert data_of(await letters(bus)) == [b"1"]


async def test_letters_go_into_the_partitions_there_are_when_the_topic_was_made_smaller(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, partition_count=3)
        stream = await SubscribeStream(bus).open("risk")
        for partition in range(3):
            await publish_batch(bus, batch(str(partition).encode(), partition=partition))
            await stream.settle(await stream.delivery(), REJECT)
        await stream.finish()
        await within(bus.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name=TOPIC)))
        await bus.create_topic(log=LOG_KIND_SQLITE)
        assert (await redrive(bus)).messages == 3
        stream = await SubscribeStream(bus).open("risk")
        assert sorted(await stream.data(3)) == [b"0", b"1", b"2"]


async def test_without_a_folder_the_oldest_letters_go_when_there_are_too_many():
    async with served(dead_letters_max=3) as bus:
        await reject(bus, *[str(n).encode() for n in range(5)])
        assert data_of(await letters(bus)) == [b"2", b"3", b"4"]


async def test_the_count_of_letters_is_that_of_the_list_when_the_oldest_went():
    async with served(dead_letters_max=3) as bus:
        await reject(bus, *[str(n).encode() for n in range(5)])
        assert (await bus.stats()).dead_letters == len(await letters(bus))

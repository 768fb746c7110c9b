"""bellwire.coordinator.core.admission: each batch is opened once, verified whole, and kept as it came."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage

from bellwire.bus.v1.message_pb2 import Batch, BatchHeader, Message
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_NONE,
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_REPLICATED,
    ACK_LEVEL_UNSPECIFIED,
)
from bellwire.coordinator.core.admission import (
    COPIED_BYTES_MAX,
    admit_batch,
    admit_messages,
    check_ack_level,
)
from bellwire.coordinator.core.topic import Topic
from bellwire.wire.batch import BatchLimits, encode_batch, open_batch
from bellwire.wire.errors import (
    AckLevelUnsupportedError,
    BatchCountError,
    CallerError,
    InvalidBatchError,
    PayloadTooLargeError,
    SourceMismatchError,
    WrongPartitionError,
)
from bellwire.wire.message import new_message, uuid7
from bellwire.wire.partitioner import partition_for_key

LIMITS = BatchLimits()
SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def topic(partitions: int = 1) -> Topic:
    return Stage(partitions=partitions).topic


def admit(
    messages: list[Message], of: Topic | None = None, partition: int = 0, principal: str = ""
) -> list[str]:
    target = of or topic()
    return admit_batch(encode_batch("bars.1h", partition, messages), target, LIMITS, principal)


def test_an_honest_batch_is_admitted_and_its_bytes_are_not_touched():
    batch = encode_batch("bars.1h", 0, [new_message(data=b"x" * 900) for _ in range(3)])
    before = batch.SerializeToString()
    assert admit_batch(batch, topic(), LIMITS, "") == []
    assert batch.SerializeToString() == before


def test_only_sampled_traceparents_are_returned():
    given = [new_message(data=b"", traceparent=text) for text in (SAMPLED, "", SAMPLED[:-1] + "0")]
    assert admit(given) == [SAMPLED]


def test_a_batch_that_lies_is_refused():
    batch = encode_batch("bars.1h", 0, [new_message(data=b"x")])
    batch.header.message_count = 2
    with pytest.raises(BatchCountError):
        admit_batch(batch, topic(), LIMITS, "")


@pytest.mark.parametrize(("least", "most"), [(1, 1), (50, 0), (0, 60), (49, 60), (50, 61)])
def test_a_header_that_lies_about_expiry_is_refused(least, most):
    given = [new_message(data=b"", expire_time_unix_nano=expiry) for expiry in (50, 60)]
    batch = encode_batch("bars.1h", 0, given)
    admit_batch(batch, topic(), LIMITS, "")
    batch.header.min_expire_time_unix_nano = least
    batch.header.max_expire_time_unix_nano = most
    with pytest.raises(InvalidBatchError, match=f"header says {least} and {most}"):
        admit_batch(batch, topic(), LIMITS, "")


def test_a_header_that_lets_messages_expire_that_never_do_is_refused():
    batch = encode_batch("bars.1h", 0, [new_message(data=b"")])
    batch.header.max_expire_time_unix_nano = batch.header.min_expire_time_unix_nano = 1
    with pytest.raises(InvalidBatchError, match="expire between 0 and 0 "):
        admit_batch(batch, topic(), LIMITS, "")


def test_plain_messages_inside_a_batch_are_refused_with_the_way_out():
    batch = Batch(header=BatchHeader(topic="bars.1h"), messages=[new_message(data=b"x")])
    with pytest.raises(InvalidBatchError, match=r"put them into PublishRequest\.messages"):
        admit_batch(batch, topic(), LIMITS, "")


@pytest.mark.parametrize("partition", [-1, 4, 2**31 - 1])
def test_a_partition_the_topic_does_not_have_is_refused(partition):
    with pytest.raises(CallerError, match=rf"has partitions 0\.\.3, not {partition}") as caught:
        admit([new_message(data=b"x")], topic(4), partition)
    assert caught.value.metadata == {"topic": "bars.1h", "partition": str(partition)}


def test_a_key_of_another_partition_is_refused_with_the_index_and_the_right_one():
    right = partition_for_key("EURUSD", 4)
    fits = new_message(data=b"", key="EURUSD")
    stray = next(
        new_message(data=b"", key=f"K{n}")
        for n in range(99)
        if partition_for_key(f"K{n}", 4) != right
    )
    with pytest.raises(WrongPartitionError) as caught:
        admit([fits, fits, stray], topic(4), right)
    assert caught.value.metadata == {"message_index": "2", "partition_count": "4"}
    assert f"belongs to partition {partition_for_key(stray.key, 4)} of 4" in caught.value.message


def test_messages_without_a_key_may_be_in_any_partition():
    for partition in range(4):
        admit([new_message(data=b"")], topic(4), partition)


def test_a_message_without_an_id_is_refused_by_its_index():
    with pytest.raises(CallerError, match="message 1 has no id") as caught:
        admit([new_message(data=b""), Message(data=b"")])
    assert caught.value.metadata == {"message_index": "1"}


def test_a_message_above_the_limit_is_refused_with_both_sizes():
    limits = BatchLimits(message_bytes_max=1_000)
    batch = encode_batch("bars.1h", 0, [new_message(data=b""), new_message(data=bytes(1_000))])
    with pytest.raises(PayloadTooLargeError, match="limit is 1000") as caught:
        admit_batch(batch, topic(), limits, "")
    assert caught.value.metadata["message_index"] == "1"
    assert int(caught.value.metadata["bytes"]) > 1_000


def test_a_single_message_may_be_as_large_as_the_limit_and_no_larger():
    message = new_message(data=bytes(1_000))
    batch, size = encode_batch("bars.1h", 0, [message]), message.ByteSize()
    assert admit_batch(batch, topic(), BatchLimits(message_bytes_max=size), "") == []
    with pytest.raises(PayloadTooLargeError, match=f"{size} bytes, limit is {size - 1}"):
        admit_batch(batch, topic(), BatchLimits(message_bytes_max=size - 1), "")


@pytest.mark.parametrize("message_id", ["m-1", uuid7()], ids=["short id", "uuid"])
@pytest.mark.parametrize(
    ("field", "bytes_max"),
    [
        *((name, 256) for name in (
            "source", "type", "subject", "key", "correlation_id", "causation_id", "schema",
            "traceparent",
        )),
        ("tracestate", 512),
    ],
)  # fmt: skip
def test_each_text_field_is_bounded_to_the_byte(message_id, field, bytes_max):
    admit([Message(id=message_id, **{field: "x" * bytes_max})])
    with pytest.raises(PayloadTooLargeError) as caught:
        admit([Message(id=message_id, **{field: "x" * (bytes_max + 1)})])
    assert caught.value.metadata == {
        "message_index": "0",
        "field": field,
        "bytes": str(bytes_max + 1),
        "limit": str(bytes_max),
    }


@pytest.mark.parametrize("size_bytes", [COPIED_BYTES_MAX - 1_000, COPIED_BYTES_MAX + 1_000])
def test_the_texts_of_a_large_message_are_bounded_like_those_of_a_small_one(size_bytes):
    admit([Message(id=uuid7(), source="x" * 256, data=bytes(size_bytes))])
    with pytest.raises(PayloadTooLargeError) as caught:
        admit([Message(id=uuid7(), source="x" * 257, data=bytes(size_bytes))])
    assert caught.value.metadata["field"] == "source"
    many = {str(number): "" for number in range(65)}
    with pytest.raises(PayloadTooLargeError, match="65 attributes"):
        admit([Message(id=uuid7(), attributes=many, data=bytes(size_bytes))])


def test_an_endless_id_is_refused():
    admit([Message(id="x" * 256)])
    with pytest.raises(PayloadTooLargeError, match="id of 257 bytes"):
        admit([Message(id="x" * 257)])


def test_bounds_count_bytes_and_not_characters():
    with pytest.raises(PayloadTooLargeError, match="subject of 258 bytes"):
        admit([new_message(data=b"", subject="€" * 86)])


def test_64_attributes_are_allowed_and_65_are_not():
    admit([new_message(data=b"", attributes={f"k{n}": "" for n in range(64)})])
    with pytest.raises(PayloadTooLargeError, match="has 65 attributes, limit is 64"):
        admit([new_message(data=b"", attributes={f"k{n}": "" for n in range(65)})])


def test_a_source_that_contradicts_the_principal_is_refused():
    honest = new_message(data=b"", source="agents/rules-0")
    silent = new_message(data=b"")
    admit([honest, silent], principal="agents/rules-0")
    with pytest.raises(SourceMismatchError, match="'agents/rules-0', its publisher is 'mallory'"):
        admit([silent, honest], principal="mallory")


def test_plain_messages_get_id_and_time_and_are_grouped_by_partition():
    given = [Message(key=f"K{n}", data=str(n).encode()) for n in range(20)]
    admitted = admit_messages(given, topic(4), LIMITS, "", 777, lambda count: 0)
    seen = {}
    for batch, _ in admitted:
        for message in open_batch(batch):
            assert partition_for_key(message.key, 4) == batch.header.partition
            assert (len(message.id), message.time_unix_nano) == (36, 777)
            seen[message.key] = message.data
    assert seen == {message.key: message.data for message in given}
    assert given[0].id == ""


def test_plain_messages_without_a_key_go_where_they_are_told():
    admitted = admit_messages([Message(data=b"")], topic(4), LIMITS, "", 1, lambda count: count - 1)
    assert [batch.header.partition for batch, _ in admitted] == [3]


def test_plain_messages_keep_their_order_within_a_partition():
    given = [Message(id=f"m{n}", key="K") for n in range(10)]
    ((batch, _),) = admit_messages(given, topic(4), LIMITS, "", 1, lambda count: 0)
    assert [message.id for message in open_batch(batch)] == [f"m{n}" for n in range(10)]


def test_a_memory_topic_gives_none_and_received():
    assert check_ack_level(topic(), ACK_LEVEL_UNSPECIFIED) == ACK_LEVEL_RECEIVED
    assert check_ack_level(topic(), ACK_LEVEL_NONE) == ACK_LEVEL_NONE


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (ACK_LEVEL_PERSISTED, "ACK_LEVEL_PERSISTED"),
        (ACK_LEVEL_REPLICATED, "ACK_LEVEL_REPLICATED"),
        (42, "42"),
    ],
)
def test_a_level_memory_cannot_give_is_refused_by_name(level, name):
    with pytest.raises(AckLevelUnsupportedError) as caught:
        check_ack_level(topic(), level)
    assert caught.value.metadata == {"topic": "bars.1h", "ack_level": name}

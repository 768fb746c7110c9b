"""Memory that forgets, a level below that lags: what is taken for a key's last message is its last message."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.cache.last_rule import Asked, is_last
from bellwire.coordinator.cache.latest_record import Position, Value
from bellwire.coordinator.core.latest import LatestMessages
from bellwire.coordinator.log.protocol import Entry
from bellwire.policy.envelope import GarbageError
from bellwire.wire.batch import encode_batch

PARTITIONS = 2
TODAY, BEFORE = (11, 12), 10
publishings = st.lists(
    st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, 4)), min_size=0, max_size=30
)


@dataclass(frozen=True)
class Stored:
    """A message as a level below has it."""

    partition: int
    offset: int
    log_id: int
    message: Message


def message_of(partition: int, key: int, text: str) -> Message:
    # A key belongs to one partition.
    return Message(key=f"p{partition}-k{key}", data=text.encode())


@given(
    published=publishings,
    before=publishings,
    keys_max=st.integers(1, 6),
    warmed_from=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    stored_to=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    any_log=st.booleans(),
)
def test_only_the_last_message_is_given(
    published, before, keys_max, warmed_from, stored_to, any_log
) -> None:
    logs: list[list[Message]] = [[] for _ in range(PARTITIONS)]
    below: dict[str, Stored] = {}
    truth: dict[str, Message] = {}
    for number, (partition, key) in enumerate(before):
        message = message_of(partition, key, f"before {number}")
        below[message.key] = Stored(partition, number, BEFORE, message)
        if any_log:
            truth[message.key] = message
    for number, (partition, key) in enumerate(published):
        message = message_of(partition, key, f"now {number}")
        logs[partition].append(message)
        truth[message.key] = message
    covered = {}
    for partition, log in enumerate(logs):
        end = min(stored_to[partition], len(log))
        covered[partition] = end
        for offset, message in enumerate(log[:end]):
            below[message.key] = Stored(partition, offset, TODAY[partition], message)
    memory = LatestMessages(keys_max, 1 << 30)
    for partition, log in enumerate(logs):
        begin = min(warmed_from[partition], len(log))
        memory.forgets_below(partition, begin)
        for offset, message in enumerate(log[begin:], begin):
            memory.take(partition, Entry(encode_batch("bars", partition, [message]), offset, 1))
    known_from = tuple(memory.known_from.get(partition, 0) for partition in range(PARTITIONS))
    asked = Asked("bars", TODAY, known_from, any_log)
    for key, stored in below.items():
        if memory.known(key) is None and is_last(asked, stored, covered):
            assert truth.get(key) == stored.message
    # And where nothing was forgotten and all was stored, all is found.
    if all(covered[partition] == len(log) for partition, log in enumerate(logs)):
        for key, message in truth.items():
            in_memory = memory.known(key)
            if in_memory is None:
                assert is_last(asked, below[key], covered)
                assert below[key].message == message
            else:
                assert in_memory.message == message


@given(
    token=st.binary(min_size=16, max_size=16),
    log_id=st.integers(0, (1 << 64) - 1),
    partition=st.integers(0, (1 << 32) - 1),
    offset=st.integers(0, (1 << 63) - 1),
    data=st.none() | st.binary(max_size=40),
    place=st.integers(0, 200),
    flipped=st.integers(1, 255),
)
def test_a_value_proves_itself(token, log_id, partition, offset, data, place, flipped) -> None:
    message = None if data is None else Message(key="k", data=data)
    value = Value(token, log_id, partition, offset, message)
    sealed = value.seal("key", 1)
    assert Value.open(sealed, "key") == value
    altered = bytearray(sealed)
    altered[place % len(altered)] ^= flipped
    for wrong, name in ((bytes(altered), "key"), (sealed[:-1], "key"), (sealed, "other")):
        try:
            found = Value.open(wrong, name)
        except GarbageError:
            continue
        raise AssertionError(f"taken for {found}")


@given(
    token=st.binary(min_size=16, max_size=16),
    logs=st.lists(st.integers(0, (1 << 64) - 1), max_size=5),
    others=st.lists(st.integers(0, (1 << 64) - 1), max_size=5),
)
def test_a_position_speaks_of_its_own_logs(token, logs, others) -> None:
    position = Position(token, tuple(logs), tuple(range(1, len(logs) + 1)))
    assert Position.open(position.seal("key", 1), "key") == position
    covered = position.covered(others)
    assert covered == {
        index: index + 1
        for index, (log_id, other) in enumerate(zip(logs, others, strict=False))
        if log_id == other
    }

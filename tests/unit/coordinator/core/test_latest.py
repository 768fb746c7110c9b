"""The last message of each key: the last one, bounded, and not after it has expired."""

from __future__ import annotations

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.core.latest import KEY_BYTES, LatestMessages
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.batch import encode_batch

NOW = 1_000


def entry(base_offset: int, *pairs: tuple[str, bytes], expire: int = 0) -> Entry:
    messages = [
        Message(id="x", key=key, data=data, expire_time_unix_nano=expire) for key, data in pairs
    ]
    return Entry(encode_batch("t", 0, messages), base_offset, 0)


def data(latest: LatestMessages, *keys: str) -> list[bytes | None]:
    found = [latest.get(key, NOW) for key in keys]
    return [None if item is None else item.message.data for item in found]


def test_the_last_message_of_each_key_and_its_place() -> None:
    latest = LatestMessages(10, 1 << 20)
    latest.take(0, entry(0, ("a", b"1"), ("b", b"2"), ("a", b"3"), ("", b"4")))
    latest.take(1, entry(7, ("c", b"5")))
    assert data(latest, "a", "b", "c", "", "d") == [b"3", b"2", b"5", None, None]
    found = latest.get("a", NOW)
    assert found is not None
    assert (found.partition, found.offset) == (0, 2)
    assert len(latest) == 3


def test_the_key_that_was_silent_longest_goes_first() -> None:
    latest = LatestMessages(2, 1 << 20)
    latest.take(0, entry(0, ("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4")))
    assert data(latest, "a", "b", "c") == [b"3", None, b"4"]
    assert latest.dropped == 1


def test_bytes_are_a_bound_and_counted() -> None:
    latest = LatestMessages(100, 3 * (KEY_BYTES + 1_100))
    for n in range(10):
        latest.take(0, entry(n, (str(n), b"x" * 1_000)))
    assert data(latest, "6", "7") == [None, b"x" * 1_000]
    assert len(latest) == 3
    sizes = [found.size_bytes for key in "789" if (found := latest.get(key, NOW))]
    assert latest.bytes == sum(sizes)


def test_a_message_that_has_expired_is_nobodys_last() -> None:
    latest = LatestMessages(10, 1 << 20)
    latest.take(0, entry(0, ("a", b"1"), expire=NOW))
    latest.take(0, entry(1, ("b", b"2"), expire=NOW + 1))
    assert data(latest, "a", "b") == [None, b"2"]

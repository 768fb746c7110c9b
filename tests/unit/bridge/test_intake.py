"""One partition of Kafka, cut into stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bellwire.bridge.intake import Commit, Intake, Item, Place, request_id, sort
from bellwire.wire.cloud_events import headers_of
from bellwire.wire.kafka_origin import BusOrigin
from bellwire.wire.message import new_message

PLACE = Place("c1", "ticks", 2)
MESSAGE = new_message(data=b"x", key="A", type="text", source="v", time_unix_nano=7)
LIMITS = {"messages_max": 3, "bytes_max": 1_000}


@dataclass
class Read:
    """A record of Kafka."""

    offset: int
    value: bytes | None = b"x"
    key: bytes | None = b"A"
    timestamp: int = 1_700_000_000_000
    headers: Sequence[tuple[str, bytes | None]] = field(default_factory=lambda: headers_of(MESSAGE))


def test_a_stretch_is_committed_before_it_is_published_and_forgotten_after() -> None:
    intake = Intake(None, "")
    intake.add(map(Read, range(5, 10)))
    stretch = intake.next_stretch(10, **LIMITS)
    assert stretch is not None
    assert [each.offset for each in stretch.records] == [5, 6, 7]
    assert stretch.commit == Commit(5, "until=8")
    intake.committed(stretch.commit)
    intake.published(stretch)
    assert intake.idle_commit() == Commit(8, "")
    intake.committed(Commit(8, ""))
    assert intake.idle_commit() is None


def test_a_promised_stretch_is_read_to_its_end_whatever_the_limits() -> None:
    intake = Intake(0, "until=5")
    intake.add(map(Read, range(4)))
    assert intake.next_stretch(4, **LIMITS) is None
    assert not intake.has_work  # Or its reader would not wait for the rest.
    assert intake.idle_commit() is None  # The promise stands.
    intake.add([Read(6)])
    stretch = intake.next_stretch(7, **LIMITS)  # 4 and 5 are gone: Kafka has compacted them.
    assert stretch is not None
    assert [each.offset for each in stretch.records] == [0, 1, 2, 3]
    assert (stretch.until, stretch.commit) == (5, None)
    intake.published(stretch)
    following = intake.next_stretch(7, **LIMITS)
    assert following is not None
    assert following.commit == Commit(5, "until=7")


def test_a_record_above_the_limit_goes_alone() -> None:
    intake = Intake(0, "")
    intake.add([Read(0), Read(1, value=b"y" * 5_000), Read(2)])
    for offset in range(3):
        stretch = intake.next_stretch(3, **LIMITS)
        assert stretch is not None
        assert [each.offset for each in stretch.records] == [offset]
        intake.published(stretch)


@pytest.mark.parametrize(
    "metadata", ["until=x", "until=-1", "somebody else's", "until=3", "until="]
)
def test_metadata_that_is_no_promise_is_none(metadata: str) -> None:
    intake = Intake(3, metadata)
    intake.add([Read(3)])
    stretch = intake.next_stretch(4, **LIMITS)
    assert stretch is not None
    assert stretch.commit == Commit(3, "until=4")


def test_a_message_says_where_it_stood_and_takes_its_time_from_the_record_if_it_has_none() -> None:
    timeless = new_message(data=b"x", type="text", source="v", time_unix_nano=0)
    far = [*headers_of(timeless), *BusOrigin("far", "ticks", 0, 3).headers()]
    items, bad, skipped = sort([Read(9), Read(10, headers=far)], PLACE, bus="desk")
    assert (bad, skipped) == ([], 0)
    first, second = (item.message for item in items)
    assert first.attributes == {
        "kafka_cluster": "c1",
        "kafka_topic": "ticks",
        "kafka_partition": "2",
        "kafka_offset": "9",
    }
    assert first.time_unix_nano == 7
    assert second.time_unix_nano == 1_700_000_000_000_000_000
    assert second.attributes["bellwire_bus"] == "far"


def test_what_was_of_this_bus_is_skipped_and_what_is_no_message_is_told() -> None:
    ours = [*headers_of(MESSAGE), *BusOrigin("desk", "ticks", 0, 3).headers()]
    nulls: list[tuple[str, bytes | None]] = [("ce_specversion", None)]
    items, bad, skipped = sort([Read(0, headers=ours), Read(1, headers=nulls)], PLACE, bus="desk")
    assert (items, skipped) == ([], 1)
    assert "no CloudEvent in binary mode" in bad[0].reason


def test_the_same_messages_of_another_group_are_another_request() -> None:
    item = Item(Read(0), MESSAGE)
    assert request_id("a", [item]) == request_id("a", [item])
    assert (
        len({request_id("a", [item]), request_id("b", [item]), request_id("a", [item, item])}) == 3
    )
    assert len(request_id("a" * 300, [item])) <= 128

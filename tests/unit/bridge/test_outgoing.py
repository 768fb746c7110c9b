"""Deliveries of the bus as records."""

from __future__ import annotations

from bellwire.bridge.outgoing import partition_of, spread
from bellwire.client.received import Batch, Settler
from bellwire.wire.cloud_events import message_of
from bellwire.wire.kafka_origin import OURS, BusOrigin, KafkaOrigin, bus_origin
from bellwire.wire.message import new_message
from bellwire.wire.partitioner import partition_for_key


class Nobody(Settler):
    """Is told of no disposition here."""

    def settle(self, *_: object) -> None:
        raise AssertionError


def batch(*messages, partition: int = 1, first_offset: int = 40) -> Batch:
    return Batch(
        messages, "bars", partition, first_offset, Nobody(), admitted_time_unix_nano=5_000_000
    )


def bar(key: str, **attributes: str):
    return new_message(
        data=b"x", key=key, type="text", source="v", time_unix_nano=1, attributes=attributes
    )


def test_records_go_by_key_in_order_and_know_their_place() -> None:
    messages = [bar("A"), bar("B"), bar("A"), bar("")]
    found, skipped = spread([batch(*messages)], bus="desk", cluster="c1", partition_count=3)
    assert skipped == 0
    sent = [each for partition in found.values() for each in partition]
    assert sorted(each.at for each in sent) == [0, 1, 2, 3]
    for partition, some in found.items():
        assert [each.at for each in some] == sorted(each.at for each in some)
        for each in some:
            message = messages[each.at]
            assert partition == partition_of(message.key, 1, 3)
            record = each.record
            assert message_of(record.key, record.value, record.headers, ignore=OURS) == message
            assert bus_origin(record.headers) == BusOrigin("desk", "bars", 1, 40 + each.at)
            assert record.timestamp_ms == 5  # When it was admitted, not the event's time.


def test_the_partition_is_kafkas_own_choice_and_the_buss_where_there_is_no_key() -> None:
    assert partition_of("EURUSD", 9, 4) == partition_for_key("EURUSD", 4)
    assert partition_of("", 9, 4) == 1


def test_what_came_from_this_cluster_is_not_sent_back() -> None:
    here = bar("A", **KafkaOrigin("c1", "bars", 0, 1).attributes())
    elsewhere = bar("A", **KafkaOrigin("c2", "bars", 0, 1).attributes())
    found, skipped = spread([batch(here, elsewhere)], bus="desk", cluster="c1", partition_count=1)
    assert skipped == 1
    assert [each.at for each in found[0]] == [1]


def test_the_first_bus_stays_the_first() -> None:
    found, _ = spread(
        [batch(bar("A", bellwire_bus="far"))], bus="desk", cluster="c1", partition_count=1
    )
    record = found[0][0].record
    origin = bus_origin(record.headers)
    assert origin is not None
    assert origin.bus == "far"
    assert [name for name, _ in record.headers].count("bellwire_bus") == 1


def test_the_size_of_a_record_is_not_below_what_it_takes() -> None:
    found, _ = spread([batch(bar("A"))], bus="desk", cluster="c1", partition_count=1)
    record = found[0][0].record
    texts = sum(len(name) + len(text) for name, text in record.headers)
    assert record.size_bytes > texts + len(record.value) + len(record.key or b"")

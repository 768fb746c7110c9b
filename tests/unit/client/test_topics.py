"""Which partition a message goes to."""

from bellwire.client._topics import TopicRoute
from bellwire.wire.message import new_message
from bellwire.wire.partitioner import partition_for_key


def keyed(count: int, keys: int):
    return [new_message(data=b"", key=f"K{n % keys}") for n in range(count)]


def test_a_key_always_goes_where_kafka_would_put_it() -> None:
    route = TopicRoute("bars", 8, 100)
    for message in keyed(50, 50):
        assert route.partition_of(message) == partition_for_key(message.key, 8)


def test_a_topic_of_one_partition_is_cut_into_full_chunks_in_order() -> None:
    messages = keyed(250, 3)
    chunks = list(TopicRoute("bars", 1, 100).spread(messages, 100))
    assert [(partition, len(chunk)) for partition, chunk in chunks] == [(0, 100), (0, 100), (0, 50)]
    assert [m.id for _, chunk in chunks for m in chunk] == [m.id for m in messages]


def test_chunks_keep_the_order_of_each_partition_and_lose_nothing() -> None:
    messages = keyed(1_000, 17)
    found: dict[int, list[str]] = {}
    for partition, chunk in TopicRoute("bars", 4, 100).spread(messages, 100):
        assert 1 <= len(chunk) <= 100
        found.setdefault(partition, []).extend(m.id for m in chunk)
    expected: dict[int, list[str]] = {}
    for message in messages:
        expected.setdefault(partition_for_key(message.key, 4), []).append(message.id)
    assert found == expected


def test_messages_without_a_key_stick_to_a_partition_for_a_batch_and_then_move_on() -> None:
    route = TopicRoute("bars", 1_024, 100)
    partitions = [route.partition_of(new_message(data=b"")) for _ in range(1_000)]
    runs = [partitions[start : start + 100] for start in range(0, 1_000, 100)]
    assert all(len(set(run)) == 1 for run in runs)
    assert len(set(partitions)) > 1

"""bellwire.runtime.look_back: what is kept of a look, and which stretches it reads."""

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.look_back import LookBack, PartitionLook, Tail


def test_a_tail_keeps_the_newest_by_number_and_by_bytes() -> None:
    tail = Tail(3, bytes_max=10)
    for size in (1, 1, 4, 4, 2):
        tail.add(Message(data=b"x" * size))
    assert [len(message.data) for message in tail.messages()] == [4, 4, 2]
    tail.add(Message(data=b"x" * 9))
    assert [len(message.data) for message in tail.messages()] == [9]


def read(look_back: LookBack, wanted_at: set[int]) -> list[tuple[int, int, int]]:
    """Read all rounds of logs that have what is wanted at these offsets alone; return the stretches."""
    stretches = []
    while planned := look_back.round():
        for partition, stretch in planned:
            stretches.append((stretch.partition, stretch.begin, stretch.end))
            tail = Tail(stretch.messages_max, stretch.bytes_max)
            for offset in range(stretch.begin, stretch.end):
                if offset in wanted_at:
                    tail.add(Message(id=str(offset), time_unix_nano=offset))
            partition.take(tail, stretch.begin)
    return stretches


def test_each_partition_is_asked_for_its_share_alone_where_none_lacks_anything() -> None:
    look_back = LookBack([PartitionLook(each, 0, 1_000) for each in range(4)], 100, 10_000)
    assert read(look_back, set(range(1_000))) == [(each, 975, 1_000) for each in range(4)]
    assert (len(look_back.messages()), look_back.looked_at) == (100, 100)


def test_what_one_partition_lacks_is_read_of_the_others() -> None:
    look_back = LookBack([PartitionLook(0, 0, 1_000), PartitionLook(1, 0, 10)], 100, 10_000)
    assert read(look_back, set(range(1_000))) == [(0, 950, 1_000), (1, 0, 10), (0, 850, 950)]
    assert len(look_back.messages()) == 100


def test_what_is_rare_is_looked_for_in_stretches_that_double_until_the_log_begins() -> None:
    look_back = LookBack([PartitionLook(0, 5, 100)], 10, 10_000)
    assert read(look_back, {6, 50}) == [(0, 90, 100), (0, 70, 90), (0, 30, 70), (0, 5, 30)]
    assert [message.id for message in look_back.messages()] == ["6", "50"]
    assert (look_back.missing, look_back.is_cut) == (8, False)


def test_no_more_is_looked_at_than_may_be_and_that_is_told() -> None:
    look_back = LookBack([PartitionLook(0, 0, 10**9), PartitionLook(1, 0, 10**9)], 10, 101)
    read(look_back, set())
    assert (look_back.looked_at, look_back.is_cut) == (101, True)


def test_as_many_as_are_wanted_are_looked_at_whatever_the_bound_is() -> None:
    look_back = LookBack([PartitionLook(0, 0, 100)], 10, 1)
    read(look_back, set(range(100)))
    assert (len(look_back.messages()), look_back.is_cut) == (10, False)


def test_nothing_is_read_back_behind_what_was_dropped_or_lost() -> None:
    cut = PartitionLook(0, 0, 100, bytes_max=3)
    stretch = cut.next(share=10, missing=10, left=100)
    tail = Tail(stretch.messages_max, stretch.bytes_max)
    for _ in range(10):
        tail.add(Message(data=b"x"))
    cut.take(tail, stretch.begin)
    assert (cut.found, cut.is_done) == (3, True)
    overtaken = PartitionLook(0, 0, 100)
    stretch = overtaken.next(share=10, missing=10, left=100)
    overtaken.take(Tail(10), stretch.begin + 1)
    assert overtaken.is_done

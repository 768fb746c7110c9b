"""A look back finds what a reader of the whole log would, whatever lies between."""

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.look_back import LookBack, PartitionLook, Tail

logs = st.lists(st.lists(st.booleans(), max_size=200), min_size=1, max_size=5)


def look(log: list[list[bool]], wanted: int, looked_at_max: int) -> LookBack:
    """Look back over partitions in which the messages that are true are wanted."""
    partitions = [PartitionLook(index, 0, len(each)) for index, each in enumerate(log)]
    look_back = LookBack(partitions, wanted, looked_at_max)
    while planned := look_back.round():
        for partition, stretch in planned:
            tail = Tail(stretch.messages_max, stretch.bytes_max)
            for offset in range(stretch.begin, stretch.end):
                if log[stretch.partition][offset]:
                    tail.add(Message(id=f"{stretch.partition}@{offset}", time_unix_nano=offset))
            partition.take(tail, stretch.begin)
    return look_back


@given(logs, st.integers(1, 300))
def test_as_many_are_found_as_there_are_and_no_partition_has_a_hole(
    log: list[list[bool]], wanted: int
) -> None:
    found = [message.id for message in look(log, wanted, 10_000).messages()]
    assert len(found) == min(wanted, sum(map(sum, log)))
    for index, each in enumerate(log):
        there = [f"{index}@{offset}" for offset, is_wanted in enumerate(each) if is_wanted]
        of_it = [name for name in found if name.startswith(f"{index}@")]
        assert of_it == there[len(there) - len(of_it) :]


@given(logs, st.integers(1, 300), st.integers(1, 300))
def test_the_bound_holds(log: list[list[bool]], wanted: int, looked_at_max: int) -> None:
    look_back = look(log, wanted, looked_at_max)
    assert look_back.looked_at <= max(wanted, looked_at_max)
    if look_back.missing and not look_back.is_cut:
        assert look_back.looked_at == sum(map(len, log)), "all there is was looked at"

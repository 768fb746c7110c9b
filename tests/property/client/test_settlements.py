"""However dispositions come: each tag is sent once, with its own disposition, in frames of legal size."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.subscriber_pb2 import DISPOSITION_ACCEPT, DISPOSITION_RELEASE
from bellwire.client._settlements import RANGES_MAX, Settlements

kinds = st.sampled_from((DISPOSITION_ACCEPT, DISPOSITION_ACCEPT, DISPOSITION_RELEASE))


@st.composite
def dispositions(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Ranges that cover some of the tags 1..N once, in any order."""
    ranges, tag = [], 1
    for _ in range(draw(st.integers(0, 40))):
        tag += draw(st.integers(0, 2))
        length = draw(st.integers(1, 5))
        ranges.append((tag, tag + length - 1, draw(kinds)))
        tag += length
    return draw(st.permutations(ranges))


@given(dispositions(), st.lists(st.integers(0, 39), max_size=5))
def test_every_tag_is_settled_once_as_it_was_told(told, take_after) -> None:
    gathered = Settlements(0.02, 100)
    sent: dict[int, int] = {}

    def take() -> None:
        while gathered.messages:
            settle, count = gathered.take()
            assert 1 <= len(settle.settlements) <= RANGES_MAX
            tags = [
                (tag, item.disposition)
                for item in settle.settlements
                for tag in range(item.first_tag, item.last_tag + 1)
            ]
            assert len(tags) == count
            for tag, disposition in tags:
                assert tag not in sent, "settled twice"
                sent[tag] = disposition

    for number, (first, last, disposition) in enumerate(told):
        gathered.add(first, last, disposition, 0, "", float(number))
        if number in take_after:
            take()
    take()
    assert sent == {tag: kind for low, high, kind in told for tag in range(low, high + 1)}
    assert gathered.due_at() is None


@given(dispositions())
def test_acceptances_that_touch_leave_as_one_range(told) -> None:
    gathered = Settlements(0.02, 1_000_000)
    accepted = [(low, high) for low, high, kind in told if kind == DISPOSITION_ACCEPT]
    for low, high in accepted:
        gathered.add(low, high, DISPOSITION_ACCEPT, 0, "", 0.0)
    if not accepted:
        return
    settle, _ = gathered.take()
    ranges = [(item.first_tag, item.last_tag) for item in settle.settlements]
    assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))

"""Whatever a bridge dies of, and whenever: each record gets onto the bus once, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bridge.intake import Commit, Intake, Place, request_id, sort
from bellwire.wire.cloud_events import headers_of
from bellwire.wire.message import new_message

PLACE = Place("cluster", "ticks", 0)


@dataclass(frozen=True)
class Read:
    """A record of Kafka."""

    offset: int
    value: bytes
    headers: list[tuple[str, bytes]]
    key: bytes | None = b"EURUSD"
    timestamp: int = 1


def record(offset: int) -> Read:
    message = new_message(data=b"%d" % offset, source="v", type="text")
    return Read(offset, message.data, headers_of(message))


@dataclass
class Kafka:
    """A partition, and what a group has committed."""

    records: list[Read]
    end: int
    committed: Commit = field(default_factory=lambda: Commit(-1, ""))


@dataclass
class Bus:
    """Appends a request once, by its id, as the coordinator does."""

    appended: list[bytes] = field(default_factory=list)
    requests: set[str] = field(default_factory=set)

    def publish(self, name: str, texts: list[bytes]) -> None:
        if name not in self.requests:
            self.requests.add(name)
            self.appended += texts


# How one owner of the partition works: how much it reads at once, how large its stretches are, and after how
# many steps it dies.
LIVES = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(0, 12)), min_size=1, max_size=8
)


def live(kafka: Kafka, bus: Bus, read_at_once: int, stretch_max: int, steps: int | None) -> None:
    """Be the owner, for so many steps: commits and publications; None = until all is done."""
    intake = Intake(
        None if kafka.committed.offset < 0 else kafka.committed.offset, kafka.committed.metadata
    )
    position = max(0, kafka.committed.offset)
    left = steps
    while left is None or left > 0:
        batch = [each for each in kafka.records if each.offset >= position][:read_at_once]
        if batch and not intake.is_full(stretch_max):
            intake.add(batch)
            position = batch[-1].offset + 1
        if not [each for each in kafka.records if each.offset >= position]:
            position = kafka.end
        stretch = intake.next_stretch(position, messages_max=stretch_max, bytes_max=1 << 20)
        commit = intake.idle_commit() if stretch is None else stretch.commit
        if commit is not None:
            kafka.committed = commit
            intake.committed(commit)
            left = None if left is None else left - 1
        if stretch is None:
            if position >= kafka.end and not intake.waiting:
                return
            continue
        if left == 0:
            return
        items, bad, skipped = sort(stretch.records, PLACE, bus="desk")
        assert (bad, skipped) == ([], 0)
        if items:
            bus.publish(request_id("group", items), [each.message.data for each in items])
        left = None if left is None else left - 1
        if left == 0:
            return
        intake.published(stretch)


@given(gaps=st.lists(st.integers(1, 3), max_size=25), lives=LIVES)
def test_each_record_is_appended_once_and_in_order(
    gaps: list[int], lives: list[tuple[int, int, int]]
) -> None:
    offsets = [sum(gaps[: count + 1]) for count in range(len(gaps))]  # Compaction leaves gaps.
    kafka = Kafka([record(each) for each in offsets], end=sum(gaps) + 1)
    bus = Bus()
    for life in lives:
        live(kafka, bus, *life)
    live(kafka, bus, 4, 3, None)
    assert bus.appended == [b"%d" % each for each in offsets]
    assert kafka.committed.metadata == ""

"""Whatever comes, and however often: every message is written once, and accepted only when it is durable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.client import Message
from bellwire.client.received import Batch
from bellwire.sink.columns import rows_of
from bellwire.sink.pending import PendingRows, RecentIds

DAY_NS = 86_400_000_000_000
BASE_NS = 20_000 * DAY_NS
KNOWN_MAX = 1_000

deliveries = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(0, 2),  # Days later.
        st.lists(st.integers(0, 30), min_size=1, max_size=10),
    ),
    max_size=30,
)


class Settlements:
    def settle(self, *_arguments):
        raise AssertionError("gathering settles nothing")


def delivery(topic, day, ids):
    messages = [Message(id=f"id-{number}", source="s") for number in ids]
    admitted_ns = BASE_NS + day * DAY_NS
    return Batch(messages, topic, 0, 0, Settlements(), admitted_time_unix_nano=admitted_ns)


@given(deliveries, st.data())
def test_every_message_is_written_once_and_accepted_when_it_is_durable(coming, data):
    pending = PendingRows(RecentIds(KNOWN_MAX), 10, 1.0)
    written, accepted, taken = [], [], []

    def write():
        days = list(pending.by_day().items())
        # The disk may fail after any of the days; what was written stays written.
        for day, rows in days[: data.draw(st.integers(0, len(days)))]:
            written.extend(row.identity for row in rows)
            pending.written(day)
        if pending.rows == 0:
            accepted.extend(pending.take_accepted())

    for now, words in enumerate(coming):
        batch = delivery(*words)
        taken.append(batch)
        pending.add(batch, rows_of(batch, 1), float(now))
        due_at = pending.due_at
        assert due_at is not None
        assert pending.is_due(float(now)) == (pending.rows >= 10 or now >= due_at)
        if pending.is_due(float(now)) or data.draw(st.booleans()):
            write()
            durable = set(written)
            for batch in accepted:
                assert {(batch.topic, m.source, m.id) for m in batch.messages} <= durable
    while pending.rows:
        for day, rows in pending.by_day().items():
            written.extend(row.identity for row in rows)
            pending.written(day)
    accepted.extend(pending.take_accepted())
    assert accepted == taken
    assert len(written) == len(set(written))
    assert set(written) == {(b.topic, m.source, m.id) for b in taken for m in b.messages}
    assert pending.duplicates == sum(len(b) for b in taken) - len(written)
    assert pending.due_at is None


@given(st.lists(st.integers(0, 50)), st.integers(1, 20))
def test_the_latest_ids_are_known_and_never_more_than_allowed(numbers, known_max):
    recent = RecentIds(known_max)
    for number in numbers:
        recent.add([("t", "s", str(number))])
        assert len(recent) <= known_max
    latest = list(dict.fromkeys(reversed(numbers)))
    assert all(("t", "s", str(number)) in recent for number in latest[:known_max])
    assert all(("t", "s", str(number)) not in recent for number in latest[known_max:])

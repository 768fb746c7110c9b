"""The column scenarios: what is published, and that the subscriber looks at all of it."""

import asyncio

import pytest
from tests.benchmarks.column_sink import ColumnSink
from tests.benchmarks.column_stream import RING_ROWS, SEQUENCE, ColumnMaker
from tests.benchmarks.scenario import SCENARIOS, ColumnFlood

from bellwire.agents.book import BookGapError
from bellwire.wire.batch import DEFAULT_LIMITS
from bellwire.wire.columns import encode_columns

FLOODS = [scenario for scenario in SCENARIOS.values() if isinstance(scenario, ColumnFlood)]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.name)
def test_one_call_fills_one_batch_and_no_more(flood):
    maker = ColumnMaker(flood.rows_per_message, narrow=flood.narrow)
    payloads = maker.make_many(0, maker.messages_per_call)
    assert (
        0.85 * DEFAULT_LIMITS.bytes_max < sum(map(len, payloads)) < DEFAULT_LIMITS.bytes_max - 8_192
    )


def test_rows_are_numbered_without_end():
    maker = ColumnMaker(1_000)
    last = RING_ROWS // 1_000 - 1
    before, after = maker.make(last), maker.make(last + 1)
    assert before[SEQUENCE][-1] + 1 == after[SEQUENCE][0] == RING_ROWS
    assert (after["price"] == maker.make(0)["price"]).all()


async def test_every_value_is_read_and_every_message_counted():
    maker, sink = ColumnMaker(1_000), ColumnSink(1_000, builds_book=True, clock=lambda: 7)
    sink.begin(0, timed=False)
    batches = [maker.make(number) for number in range(3)]
    sink.take_all([encode_columns(batch) for batch in batches[:2]])
    sink.take(encode_columns(batches[2]))
    sink.take(encode_columns(batches[2]))
    await asyncio.wait_for(sink.wait_for(3, quiet_seconds=1), 1)
    assert (sink.arrivals.received, sink.arrivals.duplicates, sink.last_ns) == (3, 1, 7)
    read = [*batches, batches[2]]
    assert sink.total == sum(int(batch[name].sum()) for batch in read for name in batch)
    assert sink.book is not None
    assert sink.book.sequence == 2_999
    assert not sink.book.crossed


def test_a_book_notices_a_message_that_never_came():
    maker, sink = ColumnMaker(1_000), ColumnSink(1_000, builds_book=True)
    sink.take(encode_columns(maker.make(0)))
    with pytest.raises(BookGapError):
        sink.take(encode_columns(maker.make(2)))

"""What the subscriber counts and times."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from tests.benchmarks.payload import PayloadMaker
from tests.benchmarks.sink import Arrivals, Sink

make = PayloadMaker().make


@given(st.lists(st.integers(0, 60)), st.booleans())
def test_distinct_numbers_and_duplicates_are_counted_whatever_the_order(sequences, together):
    arrivals = Arrivals(10)
    if together:
        arrivals.note_all(sequences)
    else:
        for sequence in sequences:
            arrivals.note(sequence)
    counted = [sequence for sequence in sequences if sequence >= 10]
    assert arrivals.received == len(set(counted))
    assert arrivals.duplicates == len(counted) - len(set(counted))


def test_an_arrival_after_a_gap_is_out_of_order():
    arrivals = Arrivals(0)
    arrivals.note_all((0, 2, 3, 1, 4))
    assert (arrivals.received, arrivals.out_of_order) == (5, 2)


async def test_latency_runs_from_the_intended_send_and_from_the_actual_one():
    sink = Sink(clock=lambda: 10_000)
    sink.begin(0, timed=True)
    sink.take_all([make(0, 1_000, 4_000), make(1, 2_000, 5_000)])
    sink.take(make(2, 3_000, 6_000))
    assert list(sink.from_intended_ns) == [9_000, 8_000, 7_000]
    assert list(sink.from_began_ns) == [6_000, 5_000, 4_000]


async def test_a_straggler_of_the_warm_up_is_left_out_of_the_figures():
    sink = Sink(clock=lambda: 10_000)
    sink.begin(100, timed=True)
    sink.take_all([make(99, 0, 0), make(100, 0, 0)])
    assert sink.arrivals.received == len(sink.from_intended_ns) == 1


async def test_waiting_ends_as_soon_as_everything_has_come():
    sink = Sink()
    waiting = asyncio.create_task(sink.wait_for(3, quiet_seconds=30))
    asyncio.get_running_loop().call_soon(sink.take_all, [make(number, 0, 0) for number in range(3)])
    async with asyncio.timeout(5):
        await waiting


async def test_waiting_for_lost_messages_ends_after_the_quiet_time():
    sink = Sink()
    sink.take_all([make(0, 0, 0), make(2, 0, 0)])
    async with asyncio.timeout(5):
        await sink.wait_for(3, quiet_seconds=0.01)
    assert sink.arrivals.received == 2

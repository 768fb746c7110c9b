"""Who is computed next, with whom, and why now."""

from bellwire.agents.inference import CloseReason
from bellwire.agents.inference.batching.queue import NEVER, BatchQueue, Waiting
from bellwire.agents.inference.batching.settings import BatchSettings


def queue(**settings: float) -> BatchQueue[Waiting]:
    return BatchQueue(BatchSettings(**settings))  # type: ignore[arg-type]  # of one test each


def wait(
    rows: int = 1, *, priority: int = 0, since: float = 0.0, deadline: float = NEVER
) -> Waiting:
    return Waiting(rows, rows * 8, since, priority, deadline)


def test_an_idle_engine_takes_whatever_waits_at_once() -> None:
    waiting = queue()
    first, second = wait(), wait(2)
    assert waiting.push(first)
    assert waiting.push(second)
    closed = waiting.close(0.0)
    assert (closed.batch, closed.rows, closed.reason) == ([first, second], 3, CloseReason.IDLE)
    assert (waiting.rows, waiting.size_bytes, len(waiting)) == (0, 0, 0)


def test_nothing_is_closed_when_nobody_waits() -> None:
    closed = queue().close(0.0)
    assert (closed.batch, closed.reason, closed.dropped) == ([], None, [])


def test_lower_numbers_go_first_and_equal_ones_in_the_order_they_came() -> None:
    waiting = queue()
    late, urgent, early = wait(priority=3), wait(priority=0), wait(priority=3)
    for each in (late, urgent, early):
        waiting.push(each)
    assert waiting.close(0.0).batch == [urgent, late, early]


def test_a_batch_is_full_when_the_next_request_does_not_fit_and_nobody_passes_it() -> None:
    waiting = queue(batch_rows_max=4)
    big, bigger, small = wait(3), wait(2), wait(1)
    for each in (big, bigger, small):
        waiting.push(each)
    closed = waiting.close(0.0)
    assert (closed.batch, closed.reason) == ([big], CloseReason.FULL)
    assert waiting.close(0.0).batch == [bigger, small]


def test_a_batch_of_exactly_its_size_is_full() -> None:
    waiting = queue(batch_rows_max=4)
    waiting.push(wait(4))
    assert waiting.close(0.0).reason is CloseReason.FULL


def test_a_request_larger_than_a_batch_goes_alone() -> None:
    waiting = queue(batch_rows_max=4)
    huge, small = wait(9), wait(1)
    waiting.push(huge)
    waiting.push(small)
    closed = waiting.close(0.0)
    assert (closed.batch, closed.rows, closed.reason) == ([huge], 9, CloseReason.FULL)


def test_what_has_no_room_in_rows_or_bytes_is_refused_and_changes_nothing() -> None:
    waiting = queue(queue_rows_max=4, queue_bytes_max=1_024)
    assert waiting.push(wait(3))
    assert not waiting.push(wait(2))
    assert not waiting.push(Waiting(1, 1_001, 0.0))
    assert waiting.push(wait(1))
    assert (waiting.rows, waiting.size_bytes) == (4, 32)


def test_one_who_leaves_makes_room_and_leaves_only_once() -> None:
    waiting = queue(queue_rows_max=2)
    one, other = wait(), wait()
    waiting.push(one)
    waiting.push(other)
    assert waiting.remove(one)
    assert not waiting.remove(one)
    assert waiting.push(wait())
    assert waiting.close(0.0).batch[0] is other


def test_past_its_deadline_a_request_is_dropped_and_not_computed() -> None:
    waiting = queue()
    late, fine = wait(deadline=1.0), wait(deadline=3.0)
    waiting.push(late)
    waiting.push(fine)
    closed = waiting.close(1.0)
    assert (closed.dropped, closed.batch) == ([late], [fine])


def test_a_queue_told_to_gather_waits_for_the_first_of_them_and_says_so() -> None:
    waiting = queue(delay_seconds=0.010)
    waiting.push(wait(since=1.0))
    waiting.push(wait(since=1.005, priority=0))
    assert waiting.close(1.009).reason is None
    assert waiting.wake_at(is_idle=True) == 1.010
    assert waiting.close(1.010).reason is CloseReason.DELAY


def test_a_queue_told_to_gather_waits_no_longer_than_a_full_batch() -> None:
    waiting = queue(delay_seconds=1.0, batch_rows_max=2)
    waiting.push(wait())
    waiting.push(wait())
    assert waiting.close(0.0).reason is CloseReason.FULL


def test_a_queue_told_to_gather_closes_in_time_for_the_first_deadline() -> None:
    waiting = queue(delay_seconds=1.0, deadline_margin_seconds=0.002)
    waiting.push(wait(deadline=NEVER))
    waiting.push(wait(deadline=0.5))
    assert waiting.close(0.497).reason is None
    assert waiting.wake_at(is_idle=True) == 0.498
    closed = waiting.close(0.498)
    assert (closed.reason, len(closed.batch)) == (CloseReason.DEADLINE, 2)


def test_no_batch_is_closed_for_the_deadline_of_one_who_has_left() -> None:
    waiting = queue(delay_seconds=1.0, deadline_margin_seconds=0.002)
    gone = wait(deadline=0.5)
    waiting.push(gone)
    waiting.push(wait(deadline=0.9))
    waiting.remove(gone)
    assert waiting.close(0.499).reason is None
    assert waiting.wake_at(is_idle=True) == 0.898


def test_a_busy_queue_wakes_for_deadlines_only() -> None:
    waiting = queue(delay_seconds=0.010)
    assert waiting.wake_at(is_idle=False) == NEVER
    waiting.push(wait(since=0.0))
    assert waiting.wake_at(is_idle=False) == NEVER
    waiting.push(wait(since=0.0, deadline=5.0))
    assert waiting.wake_at(is_idle=False) == 5.0


def test_clear_takes_out_all_and_makes_room() -> None:
    waiting = queue(queue_rows_max=2)
    everybody = [wait(priority=1), wait(priority=0)]
    for each in everybody:
        waiting.push(each)
    assert set(waiting.clear()) == set(everybody)
    assert (waiting.rows, waiting.size_bytes, waiting.push(wait(2))) == (0, 0, True)

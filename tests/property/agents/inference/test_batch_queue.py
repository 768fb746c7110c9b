"""The queue against a plain list: nothing lost, doubled, or out of turn; never too much; the right reason."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bellwire.agents.inference import CloseReason
from bellwire.agents.inference.batching.queue import NEVER, BatchQueue, Closed, Waiting
from bellwire.agents.inference.batching.settings import BatchSettings

BATCH_ROWS, QUEUE_ROWS, QUEUE_BYTES = 4, 12, 1_024
MARGIN = 0.5


class QueueAgainstModel(RuleBasedStateMachine):
    """The real queue beside a list of all who wait, in the order they came."""

    @initialize(delay=st.sampled_from([0.0, 1.0]))
    def begin(self, delay: float) -> None:
        self.delay = delay
        self.queue: BatchQueue[Waiting] = BatchQueue(
            BatchSettings(
                batch_rows_max=BATCH_ROWS,
                queue_rows_max=QUEUE_ROWS,
                queue_bytes_max=QUEUE_BYTES,
                delay_seconds=delay,
                deadline_margin_seconds=MARGIN,
            )
        )
        self.model: list[Waiting] = []
        self.now = 0.0
        self.came = self.left = 0

    @rule(
        rows=st.integers(1, 6),
        row_bytes=st.sampled_from([8, 200]),
        priority=st.integers(0, 7),
        patience=st.sampled_from([0.25, 1.0, 3.0, NEVER]),
    )
    def push(self, rows: int, row_bytes: int, priority: int, patience: float) -> None:
        waiting = Waiting(rows, rows * row_bytes, self.now, priority, self.now + patience)
        fits = (
            sum(each.rows for each in self.model) + rows <= QUEUE_ROWS
            and sum(each.size_bytes for each in self.model) + rows * row_bytes <= QUEUE_BYTES
        )
        assert self.queue.push(waiting) == fits
        if fits:
            self.model.append(waiting)
            self.came += 1

    @rule(seconds=st.sampled_from([0.0, 0.125, 0.5, 2.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.model:
            gone = data.draw(st.sampled_from(self.model))
            assert self.queue.remove(gone)
            assert not self.queue.remove(gone)
            self.model.remove(gone)
            self.left += 1

    @rule()
    def expire(self) -> None:
        self.check_dropped(self.queue.expire(self.now))

    @rule()
    def wake(self) -> None:
        """What the timer is set for is never later than what happens next."""
        idle_at, busy_at = self.queue.wake_at(True), self.queue.wake_at(False)
        for each in self.model:
            assert busy_at <= each.deadline_seconds
            assert idle_at <= each.deadline_seconds
            if self.delay:
                assert idle_at <= each.since_seconds + self.delay
                assert idle_at <= each.deadline_seconds - MARGIN

    @rule()
    def close(self) -> None:
        closed = self.queue.close(self.now)
        self.check_dropped(closed.dropped)
        expected = self.expected_batch()
        if closed.reason is None:
            assert closed.batch == []
            assert not expected or self.may_gather()
            return
        assert closed.batch == expected
        assert closed.rows == sum(each.rows for each in expected)
        assert closed.rows <= BATCH_ROWS or len(expected) == 1
        self.check_reason(closed, len(expected) < len(self.model))
        for each in expected:
            self.model.remove(each)
            self.left += 1

    def check_dropped(self, dropped: list[Waiting]) -> None:
        late = [each for each in self.model if each.deadline_seconds <= self.now]
        assert set(dropped) == set(late)
        assert len(dropped) == len(late)
        self.model = [each for each in self.model if each not in late]
        self.left += len(late)

    def expected_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        for each in sorted(self.model, key=lambda waiting: waiting.priority):  # A stable sort.
            if batch and sum(other.rows for other in batch) + each.rows > BATCH_ROWS:
                break
            batch.append(each)
        return batch

    def may_gather(self) -> bool:
        return (
            self.delay > 0
            and sum(each.rows for each in self.model) < BATCH_ROWS
            and all(self.now < each.since_seconds + self.delay for each in self.model)
            and all(self.now < each.deadline_seconds - MARGIN for each in self.model)
        )

    def check_reason(self, closed: Closed[Waiting], leaves_some: bool) -> None:
        is_old = any(self.now >= each.since_seconds + self.delay for each in self.model)
        if leaves_some or closed.rows >= BATCH_ROWS:
            assert closed.reason is CloseReason.FULL
        elif not self.delay:
            assert closed.reason is CloseReason.IDLE
        elif is_old:
            assert closed.reason is CloseReason.DELAY
        else:
            assert closed.reason is CloseReason.DEADLINE
            assert any(self.now >= each.deadline_seconds - MARGIN for each in self.model)

    @invariant()
    def holds_what_the_model_holds_and_never_too_much(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert len(self.queue) == len(self.model)
        assert self.queue.rows == sum(each.rows for each in self.model) <= QUEUE_ROWS
        assert self.queue.size_bytes == sum(each.size_bytes for each in self.model) <= QUEUE_BYTES
        assert self.came - self.left == len(self.model)


TestQueueAgainstModel = QueueAgainstModel.TestCase

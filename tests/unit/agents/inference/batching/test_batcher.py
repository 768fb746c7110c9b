"""A batcher over an engine that does as it is told, on the loop and on a thread."""

import asyncio
import gc
import threading
import time
import weakref

import numpy as np
import pytest
from tests.unit.agents.inference.scripted import (
    POISON,
    ScriptedEngine,
    ask,
    manifest,
    rows,
    said,
)

from bellwire.agents.inference import (
    CloseReason,
    EngineFailedError,
    EngineTimeoutError,
    InferenceRequest,
    InferenceResult,
    InvalidTensorError,
    Tensors,
    UnknownModelError,
)
from bellwire.agents.inference.batching import Batcher, BatchSettings, InferenceQueueFullError
from bellwire.wire.errors import (
    CallerError,
    ClosedError,
    DeadlineExceededError,
    PayloadTooLargeError,
)

RUN_ON = pytest.mark.parametrize("run_on", ["loop", "thread"])


@RUN_ON
async def test_requests_of_one_turn_are_computed_together_and_told_apart(run_on: str) -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine, BatchSettings(run_on=run_on))
    answers = await asyncio.gather(
        batcher.infer(ask(1)), batcher.infer(ask(2, 3)), batcher.infer(ask(4))
    )
    assert [said(each) for each in answers] == [[2], [4, 6], [8]]
    assert engine.batches == [[1, 2, 3, 4]]
    for each in answers:
        assert (each.answered_by, each.quantization) == ("toy:1", "int8-static")
        assert (each.batch_size, each.close_reason) == (4, CloseReason.IDLE)
        assert each.queue_seconds >= 0
        assert each.compute_seconds >= 0
    await batcher.close()


@RUN_ON
async def test_a_lonely_request_waits_for_nobody(run_on: str) -> None:
    batcher = Batcher(ScriptedEngine(), BatchSettings(run_on=run_on))
    result = await batcher.infer(ask(1))
    assert (said(result), result.batch_size) == ([2], 1)
    await batcher.close()


async def test_what_comes_while_a_batch_is_computed_makes_the_next_one() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread", batch_rows_max=2))
    first = asyncio.create_task(batcher.infer(ask(1)))
    assert await asyncio.to_thread(engine.entered.wait, 10)
    others = [asyncio.create_task(batcher.infer(ask(value))) for value in (2, 3, 4)]
    await asyncio.sleep(0)
    assert batcher.waiting_rows == 3
    gate.set()
    answers = await asyncio.gather(first, *others)
    assert engine.batches == [[1], [2, 3], [4]]
    assert [each.close_reason for each in answers] == ["IDLE", "FULL", "FULL", "IDLE"]
    await batcher.close()


async def test_a_batcher_told_to_gather_closes_by_its_timer() -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine, BatchSettings(delay_seconds=0.005))
    began = time.monotonic()
    first = asyncio.create_task(batcher.infer(ask(1)))
    await asyncio.sleep(0)
    second = await batcher.infer(ask(2))
    assert time.monotonic() - began >= 0.004
    assert engine.batches == [[1, 2]]
    assert (second.close_reason, said(await first)) == (CloseReason.DELAY, [2])
    again = await batcher.infer(ask(3))  # The timer is set anew.
    assert (again.close_reason, said(again)) == (CloseReason.DELAY, [6])


@RUN_ON
async def test_a_poisoned_row_fails_its_own_request_only(run_on: str) -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine, BatchSettings(run_on=run_on))
    good, bad, fine = await asyncio.gather(
        *(batcher.infer(ask(value)) for value in (1, POISON, 3)), return_exceptions=True
    )
    assert not isinstance(good, BaseException)
    assert not isinstance(fine, BaseException)
    assert (said(good), good.batch_size, said(fine)) == ([2], 1, [6])
    assert isinstance(bad, EngineFailedError)
    assert engine.batches == [[1, POISON, 3], [1], [POISON], [3]]
    statistics = batcher.statistics
    assert (statistics.retried, statistics.failures, statistics.batches) == (3, 1, 4)
    assert said(await batcher.infer(ask(5))) == [10]
    await batcher.close()


async def test_an_engine_that_raises_anything_else_fails_the_request_and_not_the_batcher() -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine)

    def break_down() -> None:
        raise ZeroDivisionError("of its own")

    engine.before = break_down
    with pytest.raises(EngineFailedError, match="ZeroDivisionError"):
        await batcher.infer(ask(1))
    engine.before = lambda: None
    assert said(await batcher.infer(ask(1))) == [2]


async def test_an_output_with_other_rows_than_went_in_is_a_failure() -> None:
    class Short(ScriptedEngine):
        def infer(self, inputs: Tensors) -> Tensors:
            return {"y": inputs["x"][:1]}

    with pytest.raises(EngineFailedError, match="'y': 1 rows, expected 2"):
        await Batcher(Short()).infer(ask(1, 2))


async def test_an_output_that_is_missing_is_a_failure() -> None:
    class Silent(ScriptedEngine):
        def infer(self, inputs: Tensors) -> Tensors:
            return {}

    with pytest.raises(EngineFailedError, match="'y': no such output"):
        await Batcher(Silent()).infer(ask(1))


async def test_a_row_that_is_not_finite_fails_before_anything_is_computed() -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine)
    good, bad = await asyncio.gather(
        batcher.infer(ask(1)), batcher.infer(ask(2, float("nan"))), return_exceptions=True
    )
    assert not isinstance(good, BaseException)
    assert (said(good), engine.batches) == ([2], [[1]])
    assert isinstance(bad, InvalidTensorError)
    assert "row 1" in bad.message
    with pytest.raises(InvalidTensorError):
        await batcher.infer(ask(float("inf")))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ({}, "missing"),
        ({"x": np.zeros((1, 4), np.float32)}, r"shape \(1, 4\)"),
        ({"x": np.zeros((1, 3))}, "float64"),
        ({"x": np.zeros((), np.float32)}, r"shape \(\)"),
        ({"x": np.zeros((0, 3), np.float32)}, "0 rows"),
        ({"x": np.zeros((9, 3), np.float32)}, "9 rows"),
        ({**rows(1), "z": np.zeros((1, 3), np.float32)}, "'z' is given"),
    ],
)
async def test_inputs_that_do_not_fit_are_refused_at_the_door(inputs: Tensors, found: str) -> None:
    engine = ScriptedEngine(manifest(batch_max=8))
    with pytest.raises(InvalidTensorError, match=found):
        await Batcher(engine).infer(InferenceRequest("toy", inputs))
    assert engine.batches == []


async def test_another_model_version_or_priority_is_refused_at_the_door() -> None:
    batcher = Batcher(ScriptedEngine())
    with pytest.raises(UnknownModelError, match="toy:1"):
        await batcher.infer(ask(1, model="other"))
    with pytest.raises(UnknownModelError, match="toy:2"):
        await batcher.infer(ask(1, version=2))
    with pytest.raises(CallerError, match="priority is 8"):
        await batcher.infer(ask(1, priority=8))
    assert said(await batcher.infer(ask(1, version=1, priority=7))) == [2]


async def test_inputs_of_more_bytes_than_may_wait_can_never_be_taken() -> None:
    batcher = Batcher(ScriptedEngine(), BatchSettings(queue_bytes_max=1_024))
    with pytest.raises(PayloadTooLargeError, match="limit is 1024"):
        await batcher.infer(ask(*range(100)))


async def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread", queue_rows_max=2))
    under_way = asyncio.create_task(batcher.infer(ask(1)))
    assert await asyncio.to_thread(engine.entered.wait, 10)
    waiting = asyncio.create_task(batcher.infer(ask(2, 3)))
    await asyncio.sleep(0)
    with pytest.raises(InferenceQueueFullError) as refused:
        await batcher.infer(ask(4))
    assert refused.value.retry_delay_seconds is not None
    assert refused.value.retry_delay_seconds >= 0.001
    assert (refused.value.rows, refused.value.retryable) == (2, True)
    gate.set()
    await asyncio.gather(under_way, waiting)
    assert said(await batcher.infer(ask(4))) == [8]
    assert batcher.statistics.refused == 1
    await batcher.close()


async def test_a_deadline_that_has_passed_is_told_and_not_computed() -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine)
    with pytest.raises(DeadlineExceededError, match="it was not computed"):
        await batcher.infer(ask(1, deadline_seconds=time.monotonic() - 0.001))
    assert (engine.batches, batcher.statistics.deadline_drops) == ([], 1)


async def test_a_deadline_is_told_in_time_while_the_engine_is_busy() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread", compute_seconds_max=30))
    under_way = asyncio.create_task(batcher.infer(ask(1)))
    assert await asyncio.to_thread(engine.entered.wait, 10)
    with pytest.raises(DeadlineExceededError):
        await batcher.infer(ask(2, deadline_seconds=time.monotonic() + 0.01))
    assert not under_way.done()
    gate.set()
    await under_way
    assert engine.batches == [[1]]
    await batcher.close()


async def test_a_caller_who_leaves_takes_his_rows_with_him() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread"))
    under_way = asyncio.create_task(batcher.infer(ask(1)))
    assert await asyncio.to_thread(engine.entered.wait, 10)
    leaving, staying = (asyncio.create_task(batcher.infer(ask(value))) for value in (2, 3))
    await asyncio.sleep(0)
    leaving.cancel()
    under_way.cancel()
    await asyncio.wait((leaving, under_way))
    assert batcher.waiting_rows == 1
    gate.set()
    assert said(await staying) == [6]
    assert engine.batches == [[1], [3]]
    assert batcher.statistics.cancelled == 1
    await batcher.close()


async def until_back(batcher: Batcher) -> InferenceResult:
    """Ask for 2 until an engine that hung has come back."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await batcher.infer(ask(2))
            except EngineTimeoutError:
                await asyncio.sleep(0)


async def test_a_hung_engine_is_told_of_while_the_loop_lives_and_asked_again_when_back() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread", compute_seconds_max=0.02))
    under_way = asyncio.create_task(batcher.infer(ask(1)))
    assert await asyncio.to_thread(engine.entered.wait, 10)
    waiting = asyncio.create_task(batcher.infer(ask(2)))
    told = await asyncio.gather(under_way, waiting, return_exceptions=True)
    assert [type(each) for each in told] == [EngineTimeoutError, EngineTimeoutError]
    with pytest.raises(EngineTimeoutError, match=r"within 0\.02 s"):
        await batcher.infer(ask(3))
    assert batcher.statistics.timeouts == 3
    gate.set()
    assert said(await until_back(batcher)) == [4]
    assert engine.batches == [[1], [2]]
    assert batcher.statistics.batches == 1, "what came too late was thrown away"
    await batcher.close()


async def test_a_hang_is_told_to_those_who_were_to_be_computed_by_themselves() -> None:
    engine = ScriptedEngine()
    gate = threading.Event()
    batcher = Batcher(engine, BatchSettings(run_on="thread", compute_seconds_max=0.02))

    def fail_then_hang() -> None:
        if len(engine.batches) > 1:
            assert gate.wait(10), "the test never opened the gate"

    engine.before = fail_then_hang
    told = await asyncio.gather(
        *(batcher.infer(ask(value)) for value in (1, POISON, 3)), return_exceptions=True
    )
    assert [type(each) for each in told] == [EngineTimeoutError] * 3
    assert (engine.batches, batcher.waiting_rows) == ([[1, POISON, 3], [1]], 0)
    gate.set()
    await batcher.close()


@RUN_ON
async def test_close_answers_those_who_are_here_and_refuses_the_rest(run_on: str) -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine, BatchSettings(run_on=run_on, batch_rows_max=1))
    here = [asyncio.create_task(batcher.infer(ask(value))) for value in (1, 2, 3)]
    await asyncio.sleep(0)
    await batcher.close()
    assert [said(await each) for each in here] == [[2], [4], [6]]
    assert batcher.manifests() == ()
    with pytest.raises(ClosedError):
        await batcher.infer(ask(4))
    await batcher.close()


async def test_close_does_not_wait_for_an_engine_that_hangs() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread", compute_seconds_max=0.02))
    under_way = asyncio.create_task(batcher.infer(ask(1)))
    assert await asyncio.to_thread(engine.entered.wait, 10)
    async with asyncio.timeout(5):
        await batcher.close()
    with pytest.raises(EngineTimeoutError):
        await under_way
    gate.set()


async def test_close_waits_for_those_who_are_here_also_after_an_earlier_hang() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(gate=gate)
    batcher = Batcher(engine, BatchSettings(run_on="thread", compute_seconds_max=0.5))
    with pytest.raises(EngineTimeoutError):
        await batcher.infer(ask(1))
    gate.set()
    assert said(await until_back(batcher)) == [4]
    gate.clear()
    here = asyncio.create_task(batcher.infer(ask(3)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert here.done(), "it was left behind"
    assert said(here.result()) == [6]


async def test_no_more_rows_are_computed_together_than_the_model_takes() -> None:
    engine = ScriptedEngine(manifest(batch_max=2))
    batcher = Batcher(engine, BatchSettings(batch_rows_max=256))
    await asyncio.gather(*(batcher.infer(ask(value)) for value in range(5)))
    assert engine.batches == [[0, 1], [2, 3], [4]]


class Panic(BaseException):
    """As extension modules raise it."""


@RUN_ON
async def test_a_panic_of_the_engine_fails_the_request_and_not_the_batcher(run_on: str) -> None:
    engine = ScriptedEngine()
    batcher = Batcher(engine, BatchSettings(run_on=run_on))

    def panic() -> None:
        raise Panic("of a library")

    engine.before = panic
    async with asyncio.timeout(5):
        with pytest.raises(EngineFailedError, match="Panic"):
            await batcher.infer(ask(1))
    engine.before = lambda: None
    assert said(await batcher.infer(ask(1))) == [2]
    await batcher.close()


def test_ctrl_c_while_the_engine_computes_on_the_loop_ends_the_program_and_is_told() -> None:
    told: list[int] = []

    async def program() -> None:
        engine = ScriptedEngine()
        batcher = Batcher(engine)

        def ctrl_c() -> None:
            raise KeyboardInterrupt

        engine.before = ctrl_c
        try:
            await batcher.infer(ask(1))
        finally:
            told.append(batcher.statistics.failures)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(program())
    assert told == [1]


async def test_statistics_say_where_requests_were_and_why_batches_were_closed() -> None:
    batcher = Batcher(ScriptedEngine(), BatchSettings(batch_rows_max=4))
    await asyncio.gather(*(batcher.infer(ask(value)) for value in range(6)))
    statistics = batcher.statistics
    assert (statistics.requests, statistics.rows, statistics.batches) == (6, 6, 2)
    assert statistics.closes == {"IDLE": 1, "FULL": 1, "DELAY": 0, "DEADLINE": 0}
    assert (statistics.batch_rows.counts[2], statistics.batch_rows.counts[3]) == (1, 1)
    assert statistics.queue_micros.count == 6
    assert statistics.compute_micros.count == 2


async def test_what_was_computed_is_held_by_no_timer() -> None:
    batcher = Batcher(ScriptedEngine(), BatchSettings(run_on="thread", compute_seconds_max=60))
    request = ask(1)
    inputs = weakref.ref(request.inputs["x"])
    await batcher.infer(request)
    await batcher.infer(ask(2))  # The thread forgets a job when it has the next.
    del request
    gc.collect()
    assert inputs() is None
    await batcher.close()

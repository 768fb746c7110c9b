"""What is asked again is not computed again, and never wrong."""

import asyncio
import gc
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.agents.inference.scripted import ScriptedEndpoint, ask, rows, said

from bellwire.agents.inference import (
    EngineFailedError,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidTensorError,
)
from bellwire.agents.inference.result_cache import ResultCache
from bellwire.agents.inference.result_cache_settings import ResultCacheSettings
from bellwire.agents.inference.result_key import digest_of
from bellwire.wire.errors import (
    CallerError,
    CapacityError,
    ClosedError,
    DeadlineExceededError,
    PeerError,
)
from bellwire.wire.settings import SettingsError

BAR = "EURUSD/1483228800000000000"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def request(*values: float, **fields: object) -> InferenceRequest:
    return ask(*(values or (1,)), **{"cache_key": BAR, **fields})  # type: ignore[arg-type]


async def test_what_is_asked_again_is_answered_from_memory() -> None:
    behind = ScriptedEndpoint(7)
    cache = ResultCache(behind)
    first, second = await cache.infer(request()), await cache.infer(request())
    assert (said(first), said(second), len(behind.asked)) == ([7], [7], 1)
    assert (first.is_cached, first.batch_size) == (False, 1)
    assert (second.is_cached, second.batch_size, second.close_reason) == (True, 0, None)
    assert (cache.cache.hits, cache.cache.misses) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        request(2),
        request(1, 1),
        request(version=1),
        request(cache_key="EURUSD/0"),
        request(key="EURUSD"),
        request(model="other"),
    ],
)
async def test_whatever_differs_is_another_result(other: InferenceRequest) -> None:
    behind = ScriptedEndpoint()
    cache = ResultCache(behind)
    await cache.infer(request())
    assert not (await cache.infer(other)).is_cached
    assert len(behind.asked) == 2


async def test_of_a_version_that_is_named_the_split_key_makes_no_difference() -> None:
    cache = ResultCache(ScriptedEndpoint())
    await cache.infer(request(version=1, key="EURUSD"))
    assert (await cache.infer(request(version=1, key="GBPUSD"))).is_cached


async def test_without_a_cache_key_nothing_is_kept() -> None:
    behind = ScriptedEndpoint()
    cache = ResultCache(behind)
    for _ in range(2):
        assert not (await cache.infer(ask(1))).is_cached
    assert (len(behind.asked), len(cache.cache), cache.passed) == (2, 0, 2)


async def test_a_result_grows_old_however_often_it_is_read() -> None:
    clock = Clock()
    cache = ResultCache(ScriptedEndpoint(), ResultCacheSettings(ttl_seconds=10), clock)
    await cache.infer(request())
    clock.now += 9
    assert (await cache.infer(request())).is_cached
    clock.now += 1
    assert not (await cache.infer(request())).is_cached
    assert cache.cache.expired == 1


async def test_the_least_recently_used_results_go_first() -> None:
    cache = ResultCache(ScriptedEndpoint(), ResultCacheSettings(entries_max=2))
    for value in (1, 2, 1, 3):
        await cache.infer(request(value))
    assert cache.cache.evicted == 1
    assert (await cache.infer(request(1))).is_cached
    assert not (await cache.infer(request(2))).is_cached


async def test_nobody_can_poison_what_others_get() -> None:
    cache = ResultCache(ScriptedEndpoint(7))
    first = await cache.infer(request())
    for result in (first, await cache.infer(request())):
        array = result.outputs["y"]
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 666
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
        with pytest.raises(TypeError):
            result.outputs["y"] = array  # type: ignore[index]  # that it is refused is the point
    assert said(await cache.infer(request())) == [7]


async def test_outdating_a_model_forgets_its_results_and_those_under_way() -> None:
    behind = ScriptedEndpoint(7)
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    old = asyncio.create_task(cache.infer(request()))
    await behind.entered.wait()
    cache.outdate("toy")
    new = asyncio.create_task(cache.infer(request()))
    await asyncio.sleep(0)
    behind.gate.set()
    assert (said(await old), said(await new)) == ([7], [7])
    assert len(behind.asked) == 2
    assert (await cache.infer(request())).is_cached
    cache.outdate("toy")
    assert not (await cache.infer(request())).is_cached


async def test_an_answer_by_a_fall_back_is_told_and_not_kept() -> None:
    class Fallen(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            result = await super().infer(request)
            return replace(result, fallbacks=(Fallback("toy:2", FallbackReason.TIMEOUT),))

    cache = ResultCache(Fallen())
    assert (await cache.infer(request())).fallbacks
    assert not (await cache.infer(request())).is_cached


async def test_equal_requests_that_meet_are_one() -> None:
    behind = ScriptedEndpoint(7)
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    tasks = [asyncio.create_task(cache.infer(request())) for _ in range(5)]
    await behind.entered.wait()
    behind.gate.set()
    assert [said(each) for each in await asyncio.gather(*tasks)] == [[7]] * 5
    assert (len(behind.asked), cache.flights.shared, cache.flights.waiting) == (1, 4, 0)


async def test_a_flight_goes_on_while_anybody_waits_and_is_called_off_when_nobody_does() -> None:
    behind = ScriptedEndpoint(7)
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    begun, joined = (asyncio.create_task(cache.infer(request())) for _ in range(2))
    await behind.entered.wait()
    begun.cancel()
    await asyncio.wait([begun])
    assert behind.cancelled == 0
    joined.cancel()
    await asyncio.wait([joined])
    successor = asyncio.create_task(cache.infer(request()))  # Before the old flight has ended.
    await asyncio.sleep(0)
    assert behind.cancelled == 1
    behind.gate.set()
    assert said(await successor) == [7]
    assert len(behind.asked) == 2


async def test_a_flight_that_was_called_off_does_not_speak_for_its_successor() -> None:
    class Stubborn(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            is_first = not self.asked
            try:
                return await super().infer(request)
            except asyncio.CancelledError:
                if is_first:
                    await release.wait()
                    raise EngineFailedError("toy:1", "called off") from None
                raise

    release = asyncio.Event()
    behind = Stubborn(7)
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    leaving = asyncio.create_task(cache.infer(request()))
    await behind.entered.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    behind.entered.clear()
    staying = asyncio.create_task(cache.infer(request()))
    await behind.entered.wait()
    release.set()
    await asyncio.wait(cache._running, return_when=asyncio.FIRST_COMPLETED)
    behind.gate.set()
    assert said(await staying) == [7]
    await cache.close()


async def test_who_joined_a_flight_that_failed_has_it_asked_once_more() -> None:
    class FailsOnce(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            result = await super().infer(request)
            if len(self.asked) == 1:
                raise EngineFailedError("toy:1", "once")
            return result

    behind = FailsOnce(7)
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    begun, joined = (asyncio.create_task(cache.infer(request())) for _ in range(2))
    await behind.entered.wait()
    behind.gate.set()
    assert said(await joined) == [7]
    with pytest.raises(EngineFailedError):
        await begun


async def test_what_the_first_caller_writes_into_his_arrays_later_is_not_computed() -> None:
    class Doubling(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            result = await super().infer(request)
            return replace(result, outputs={"y": request.inputs["x"] * 2})

    behind = Doubling()
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    first = request(1)
    leaving, staying = (asyncio.create_task(cache.infer(each)) for each in (first, request(1)))
    await behind.entered.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    first.inputs["x"][:] = 50  # The next bar.
    behind.gate.set()
    assert said(await staying) == [2]
    assert said(await cache.infer(request(1))) == [2]


class Ends(ScriptedEndpoint):
    """Ends the first request by what no endpoint may raise."""

    def __init__(self, how: BaseException) -> None:
        super().__init__(7)
        self.how = how

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        result = await super().infer(request)
        if len(self.asked) == 1:
            raise self.how
        return result


class Panic(BaseException):
    """As extension modules raise it."""


@pytest.mark.parametrize("how", [asyncio.CancelledError(), Panic()], ids=lambda each: repr(each))
async def test_a_flight_that_ends_by_anything_is_told_to_who_waits_and_leaves_the_way_free(
    how: BaseException,
) -> None:
    cache = ResultCache(Ends(how))
    asyncio.get_running_loop().set_exception_handler(
        lambda *_: None
    )  # The panic is told there, too.
    async with asyncio.timeout(5):
        begun, joined = (asyncio.create_task(cache.infer(request())) for _ in range(2))
        with pytest.raises(PeerError, match="was called off"):
            await begun
        assert said(await joined) == [7], "who joined has it asked once more"
        assert said(await cache.infer(request())) == [7]
    assert (len(cache.flights), cache.flights.waiting) == (0, 0)


async def test_outputs_that_cannot_be_kept_are_an_error_and_no_hang() -> None:
    class Odd(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            result = await super().infer(request)
            return replace(result, outputs={"y": np.array(["a"], object)})

    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="OBJECT"):
            await ResultCache(Odd()).infer(request())


async def test_who_has_time_left_does_not_hear_of_the_deadlines_of_others() -> None:
    class Slow(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            self.asked.append(request)
            await asyncio.sleep(0)  # The others join.
            if request.deadline_seconds:
                raise DeadlineExceededError("too late for one of them")
            return InferenceResult(rows(7), "toy:7")

    behind = Slow()
    cache = ResultCache(behind)
    now = time.monotonic()
    hasty, next_one, patient = (
        asyncio.create_task(cache.infer(request(deadline_seconds=each)))
        for each in (now + 60, now + 61, 0.0)
    )
    result = await patient
    assert result.outputs["x"][0, 0] == 7
    assert not result.outputs["x"].flags.writeable
    for late in (hasty, next_one):
        with pytest.raises(DeadlineExceededError):
            await late
    assert len(behind.asked) == 3


async def test_a_priority_that_does_not_exist_is_the_fault_of_one_caller_only() -> None:
    behind = ScriptedEndpoint(7)
    cache = ResultCache(behind)
    wrong, right = await asyncio.gather(
        cache.infer(request(priority=99)), cache.infer(request()), return_exceptions=True
    )
    assert isinstance(wrong, CallerError)
    assert isinstance(right, InferenceResult)
    assert [each.priority for each in behind.asked] == [0]


async def test_a_fault_of_the_caller_is_everybodys_and_not_kept() -> None:
    behind = ScriptedEndpoint(error=InvalidTensorError("x", "odd", "even"))
    cache = ResultCache(behind)
    told = await asyncio.gather(*(cache.infer(request()) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [InvalidTensorError] * 3
    assert (len(behind.asked), len(cache.cache)) == (1, 0)


async def test_a_deadline_ends_the_waiting_of_its_own_caller_only() -> None:
    behind = ScriptedEndpoint(7)
    behind.gate = asyncio.Event()
    cache = ResultCache(behind)
    patient = asyncio.create_task(cache.infer(request()))
    await behind.entered.wait()
    with pytest.raises(DeadlineExceededError):
        await cache.infer(request(deadline_seconds=time.monotonic() + 0.01))
    behind.gate.set()
    assert said(await patient) == [7]
    assert len(behind.asked) == 1


async def test_more_than_may_wait_are_refused() -> None:
    behind = ScriptedEndpoint(hangs=True)
    cache = ResultCache(behind, ResultCacheSettings(waiting_max=1))
    waiting = asyncio.create_task(cache.infer(request()))
    await behind.entered.wait()
    with pytest.raises(CapacityError, match="that is the limit"):
        await cache.infer(request())
    waiting.cancel()
    await asyncio.wait([waiting])
    await cache.close()


async def test_close_tells_those_who_wait_and_leaves_no_task() -> None:
    behind = ScriptedEndpoint(hangs=True)
    cache = ResultCache(behind)
    waiting = [asyncio.create_task(cache.infer(request(value))) for value in (1, 2)]
    await behind.entered.wait()
    late = asyncio.create_task(cache.infer(request(3)))
    await asyncio.sleep(0)
    await cache.close()
    told = await asyncio.gather(*waiting, late, return_exceptions=True)
    assert [type(each) for each in told] == [ClosedError] * 3
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(ClosedError):
        await cache.infer(request(9))


def test_the_largest_value_must_fit() -> None:
    with pytest.raises(SettingsError, match="value_bytes_max"):
        ResultCacheSettings(bytes_max=4_096, value_bytes_max=8_192)


def test_a_digest_knows_names_types_shapes_and_numbers_but_not_memory() -> None:
    base = np.arange(6, dtype=np.float32).reshape(2, 3)
    digests = {
        digest_of({"x": base}),
        digest_of({"y": base}),
        digest_of({"x": base.reshape(3, 2)}),
        digest_of({"x": base.view(np.int32)}),
        digest_of({"x": base + 1}),
        digest_of({"x": base[:1], "y": base[1:]}),
    }
    assert len(digests) == 6
    assert digest_of({"x": np.asfortranarray(base)}) == digest_of({"x": base})
    both = {"x": base, "y": base + 1}
    assert digest_of(both) == digest_of(dict(reversed(both.items())))
    assert len(digest_of(rows(1))) == 16


async def test_what_an_entry_counts_for_is_what_it_takes() -> None:
    cache = ResultCache(ScriptedEndpoint())
    await cache.infer(request(cache_key="first"))
    behind_asked = cache._endpoint.asked  # type: ignore[attr-defined]  # it keeps what it was asked
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept_before = cache.cache.bytes
        for value in range(300):
            await cache.infer(request(value))
        behind_asked.clear()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = cache.cache.bytes - kept_before
    assert 0.7 * taken < counted < 1.6 * taken

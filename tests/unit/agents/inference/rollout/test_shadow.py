"""The shadow: what it compares, what it drops, and what it survives."""

import asyncio
import math

import numpy as np
import pytest
from tests.unit.agents.inference.rollout.conftest import (
    ScriptedEndpoint,
    probabilities,
    request_for,
)

from bellwire.agents.inference import EngineFailedError, InferenceRequest, InferenceResult
from bellwire.agents.inference.rollout import Shadow, ShadowReport, ShadowSettings


def given(*actions: int, is_cached: bool = False) -> InferenceResult:
    return InferenceResult({"p": probabilities(*actions)}, "actor:1", is_cached=is_cached)


async def report_of(shadow: Shadow) -> ShadowReport:
    async with asyncio.timeout(5):
        await shadow.drain()
    return shadow.report()


async def test_report_counts_decisions_and_measures_differences(
    endpoint: ScriptedEndpoint,
) -> None:
    endpoint.answers[2] = probabilities(0, 1, 1)
    times = iter([10.0, 10.25])
    async with Shadow(endpoint, 2, clock=lambda: next(times)) as shadow:
        shadow.offer(request_for("EURUSD"), given(0, 1, 2), 0.5)
        report = await report_of(shadow)
    assert (report.requests, report.decisions, report.agreed) == (1, 3, 2)
    assert report.agreement == pytest.approx(2 / 3)
    assert report.difference_max == pytest.approx(0.7)
    assert report.difference_mean == pytest.approx(2 * 0.7 / 9)
    assert report.serving_latency.p50 == pytest.approx(0.5, rel=0.1)
    assert report.candidate_latency.p99 == pytest.approx(0.25, rel=0.1)
    assert (report.failed, report.dropped) == (0, 0)


async def test_candidate_is_asked_last_without_cache_or_the_callers_deadline(
    endpoint: ScriptedEndpoint,
) -> None:
    endpoint.answers[2] = probabilities(0)
    async with Shadow(endpoint, 2) as shadow:
        request = request_for("EURUSD", cache_key="EURUSD/1", deadline_seconds=1.0, priority=0)
        shadow.offer(request, given(0, is_cached=True), 0.1)
        report = await report_of(shadow)
    (asked,) = endpoint.asked
    assert (asked.version, asked.cache_key, asked.deadline_seconds) == (2, "", 0)
    assert (asked.key, asked.priority) == ("EURUSD", 7)
    assert math.isnan(report.serving_latency.p50), "a cached answer says nothing of the model"


async def test_what_finds_no_room_is_dropped_and_counted(endpoint: ScriptedEndpoint) -> None:
    endpoint.answers[2] = probabilities(0)
    endpoint.gate.clear()
    async with Shadow(endpoint, 2, ShadowSettings(waiting_max=3)) as shadow:
        for _ in range(10):
            shadow.offer(request_for("EURUSD"), given(0), 0.1)
        endpoint.gate.set()
        report = await report_of(shadow)
    assert (report.requests, report.dropped) == (3, 7)


@pytest.mark.parametrize(
    "answer",
    [
        EngineFailedError("actor:2", "no luck"),
        ZeroDivisionError(),
        asyncio.CancelledError(),
        probabilities(0, 0),
        np.float32(1),
    ],
    ids=["fails", "has a fault", "cancels", "another shape", "no shape"],
)
async def test_candidate_that_gives_no_answer_counts_as_failed_and_the_next_is_asked(
    endpoint: ScriptedEndpoint, answer: np.ndarray | BaseException
) -> None:
    endpoint.answers[2] = answer
    async with Shadow(endpoint, 2) as shadow:
        shadow.offer(request_for("EURUSD"), given(0), 0.1)
        assert (await report_of(shadow)).failed == 1
        endpoint.answers[2] = probabilities(0)
        shadow.offer(request_for("EURUSD"), given(0), 0.1)
        report = await report_of(shadow)
    assert (report.requests, report.failed) == (1, 1)


async def test_candidate_that_hangs_is_given_up(endpoint: ScriptedEndpoint) -> None:
    endpoint.gate.clear()
    async with Shadow(endpoint, 2, ShadowSettings(timeout_seconds=0.01)) as shadow:
        shadow.offer(request_for("EURUSD"), given(0), 0.1)
        assert (await report_of(shadow)).failed == 1


async def test_output_compared_is_the_one_that_is_named(endpoint: ScriptedEndpoint) -> None:
    endpoint.answers[2] = probabilities(0)
    async with Shadow(endpoint, 2, ShadowSettings(action_output="q")) as shadow:
        shadow.offer(request_for("EURUSD"), given(0), 0.1)
        assert (await report_of(shadow)).failed == 1


async def test_closing_ends_the_task_while_the_candidate_is_asked(
    endpoint: ScriptedEndpoint,
) -> None:
    endpoint.gate.clear()
    async with Shadow(endpoint, 2) as shadow:
        shadow.offer(request_for("EURUSD"), given(0), 0.1)
        async with asyncio.timeout(5):
            await endpoint.was_asked.wait()
    await shadow.close()
    assert [task for task in asyncio.all_tasks() if "shadow" in task.get_name()] == []


async def test_inputs_are_compared_as_they_were_when_the_answer_was_given() -> None:
    seen: list[float] = []

    class Reading(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            seen.append(float(request.inputs["x"][0, 0]))
            return await super().infer(request)

    endpoint = Reading()
    endpoint.answers[2] = probabilities(0)
    buffer, result = np.zeros((1, 4), "<f4"), given(0)
    async with Shadow(endpoint, 2) as shadow:
        shadow.offer(request_for("EURUSD", inputs={"x": buffer}), result, 0.1)
        buffer[:] = 7
        result.outputs["p"][:] = 0
        report = await report_of(shadow)
    assert seen == [0.0]
    assert (report.agreed, report.difference_max) == (1, 0.0)


async def test_closing_ends_a_drain_and_drops_what_waited(endpoint: ScriptedEndpoint) -> None:
    endpoint.gate.clear()
    async with Shadow(endpoint, 2) as shadow:
        for _ in range(3):
            shadow.offer(request_for("EURUSD"), given(0), 0.1)
        draining = asyncio.create_task(shadow.drain())
        await endpoint.was_asked.wait()
    shadow.offer(request_for("EURUSD"), given(0), 0.1)
    async with asyncio.timeout(5):
        await draining
        await shadow.drain()
    assert shadow.report().dropped == 3


async def test_answer_of_a_stand_in_is_no_answer_of_the_candidates(
    endpoint: ScriptedEndpoint,
) -> None:
    class StoodIn(ScriptedEndpoint):
        async def infer(self, request: InferenceRequest) -> InferenceResult:
            return InferenceResult({"p": probabilities(0)}, "hold")

    async with Shadow(StoodIn(), 2) as shadow:
        shadow.offer(request_for("EURUSD"), given(0), 0.1)
        report = await report_of(shadow)
    assert (report.requests, report.failed) == (0, 1)


async def test_nothing_seen_is_a_report_too(endpoint: ScriptedEndpoint) -> None:
    report = Shadow(endpoint, 2).report()
    assert (report.agreement, report.difference_mean) == (0, 0)
    assert math.isnan(report.candidate_latency.p50)

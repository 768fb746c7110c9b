"""The closed loop that asks a model, and its sums."""

import asyncio

import pytest
from tests.benchmarks.studies.inference_load import (
    ROWS,
    WrongAnswerError,
    closed_loop,
    summary,
)
from tests.benchmarks.tactical_models import Rows


async def test_every_line_asks_and_what_is_in_the_warm_up_is_not_counted():
    in_flight: set[int] = set()
    most = 0

    async def ask(rows: Rows) -> int:
        nonlocal most
        in_flight.add(id(asyncio.current_task()))
        most = max(most, len(in_flight))
        await asyncio.sleep(0)
        in_flight.discard(id(asyncio.current_task()))
        return len(rows["observation"])

    found = await closed_loop([ask] * 3, warm_up_seconds=0.01, seconds=0.02)
    assert most == 3
    assert 0 < found["messages"] < found["asked"]
    assert found["observations_per_second"] > ROWS * found["messages"] / 0.1
    assert 0 < found["p50_us"] <= found["p99_us"]


async def test_an_answer_without_a_row_for_each_fails_the_measurement():
    async def ask(rows: Rows) -> int:
        return ROWS - 1

    with pytest.raises(ExceptionGroup) as caught:
        await closed_loop([ask], warm_up_seconds=0, seconds=1)
    assert caught.group_contains(WrongAnswerError, match="99 rows were answered, 100 were asked")


def test_rate_and_percentiles_are_of_what_was_answered():
    found = summary([1_000_000] * 99 + [3_000_000], seconds=0.5)
    assert found["messages"] == 100
    assert found["observations_per_second"] == 20_000
    assert found["p50_us"] == pytest.approx(1_000, rel=0.01)
    assert found["p99_us"] == pytest.approx(1_000, rel=0.01)


def test_nothing_answered_is_no_rate():
    assert summary([], seconds=0.5)["observations_per_second"] == 0

"""Who of several endpoints is asked."""

import asyncio
import time
from collections import Counter

import pytest
from tests.unit.agents.inference.scripted import ScriptedEndpoint, ask, said

from bellwire.agents.inference import EngineFailedError, EngineTimeoutError, InvalidTensorError
from bellwire.agents.inference.balancing import BalancedEndpoint, BalancePolicy, BalanceSettings
from bellwire.agents.inference.guard import GuardSettings, NoEndpointError
from bellwire.wire.errors import CallerError, DeadlineExceededError

IN_TURN = BalanceSettings(policy=BalancePolicy.ROUND_ROBIN.value)
BROKEN = EngineFailedError("toy", "broken")


def balanced(
    *endpoints: ScriptedEndpoint,
    settings: BalanceSettings | None = None,
    guard: GuardSettings | None = None,
) -> BalancedEndpoint:
    found = BalancedEndpoint(settings, guard)
    for index, endpoint in enumerate(endpoints):
        found.add(f"worker-{index}", endpoint)
    return found


async def test_in_turn_everybody_gets_the_same() -> None:
    workers = [ScriptedEndpoint(number) for number in range(3)]
    endpoint = balanced(*workers, settings=IN_TURN)
    told = [said(await endpoint.infer(ask(0)))[0] for _ in range(6)]
    assert told == [0, 1, 2, 0, 1, 2]


async def test_in_turn_also_while_one_is_behind_its_breaker() -> None:
    endpoint = balanced(
        ScriptedEndpoint(0),
        ScriptedEndpoint(1),
        ScriptedEndpoint(error=BROKEN),
        settings=IN_TURN,
        guard=GuardSettings(failures_max=1, open_seconds_min=60, open_seconds_max=60),
    )
    told = Counter([said(await endpoint.infer(ask(0)))[0] for _ in range(100)])
    assert told == {0: 50, 1: 50}


async def test_in_turn_also_when_one_fails_and_when_members_change() -> None:
    broken, good = ScriptedEndpoint(error=BROKEN), ScriptedEndpoint(1)
    endpoint = balanced(broken, good, settings=IN_TURN, guard=GuardSettings(failures_max=1_000))
    for _ in range(4):
        assert said(await endpoint.infer(ask(0))) == [1]
    assert (len(broken.asked), len(good.asked)) == (4, 4)
    assert endpoint.remove("worker-0")
    endpoint.add("worker-2", ScriptedEndpoint(2))
    told = [said(await endpoint.infer(ask(0)))[0] for _ in range(4)]
    assert told == [1, 2, 1, 2]


async def test_of_two_the_one_with_less_under_way_is_asked() -> None:
    hung, free = ScriptedEndpoint(hangs=True), ScriptedEndpoint(1)
    endpoint = balanced(hung, guard=GuardSettings(timeout_seconds=60))
    stuck = asyncio.create_task(endpoint.infer(ask(0)))
    await hung.entered.wait()
    endpoint.add("free", free)
    for _ in range(20):
        assert said(await endpoint.infer(ask(0))) == [1]
    assert [member.outstanding for member in endpoint.members] == [1, 0]
    stuck.cancel()
    await asyncio.wait([stuck])


async def test_what_fails_at_one_is_answered_by_another() -> None:
    endpoint = balanced(ScriptedEndpoint(error=BROKEN), ScriptedEndpoint(1), settings=IN_TURN)
    assert said(await endpoint.infer(ask(0))) == [1]
    assert endpoint.retried == 1


@pytest.mark.parametrize("policy", [each.value for each in BalancePolicy])
async def test_one_that_fails_is_left_alone_behind_its_breaker(policy: str) -> None:
    broken = ScriptedEndpoint(error=BROKEN)
    endpoint = balanced(
        broken,
        ScriptedEndpoint(1),
        settings=BalanceSettings(policy=policy),
        guard=GuardSettings(failures_max=2, open_seconds_min=60, open_seconds_max=60),
    )
    answers = [said(await endpoint.infer(ask(0)))[0] for _ in range(200)]
    assert Counter(answers) == {1.0: 200}
    assert len(broken.asked) == 2


async def test_one_behind_its_breaker_costs_no_try() -> None:
    endpoint = balanced(
        ScriptedEndpoint(error=BROKEN),
        ScriptedEndpoint(1),
        settings=BalanceSettings(policy=BalancePolicy.ROUND_ROBIN.value, tries_max=1),
        guard=GuardSettings(failures_max=1, open_seconds_min=60, open_seconds_max=60),
    )
    with pytest.raises(EngineFailedError):
        await endpoint.infer(ask(0))
    for _ in range(4):
        assert said(await endpoint.infer(ask(0))) == [1]


async def test_no_more_are_tried_than_the_settings_say() -> None:
    workers = [ScriptedEndpoint(error=BROKEN) for _ in range(4)]
    with pytest.raises(EngineFailedError):
        await balanced(*workers).infer(ask(0))
    assert sum(len(worker.asked) for worker in workers) == 2


async def test_a_fault_of_the_caller_is_not_tried_elsewhere() -> None:
    workers = [ScriptedEndpoint(error=InvalidTensorError("x", "odd", "even")) for _ in range(2)]
    with pytest.raises(InvalidTensorError):
        await balanced(*workers).infer(ask(0))
    assert sum(len(worker.asked) for worker in workers) == 1


async def test_the_deadline_bounds_all_tries_together() -> None:
    workers = [ScriptedEndpoint(hangs=True) for _ in range(2)]
    endpoint = balanced(*workers, guard=GuardSettings(timeout_seconds=60))
    with pytest.raises((DeadlineExceededError, EngineTimeoutError)):
        await endpoint.infer(ask(0, deadline_seconds=time.monotonic() + 0.01))
    assert sum(len(worker.asked) for worker in workers) == 1
    with pytest.raises(DeadlineExceededError):
        await endpoint.infer(ask(0, deadline_seconds=time.monotonic() - 1))


async def test_without_anybody_it_says_so() -> None:
    with pytest.raises(NoEndpointError, match="there are none"):
        await BalancedEndpoint().infer(ask(0))


async def test_members_come_and_go() -> None:
    endpoint = balanced(ScriptedEndpoint(0), ScriptedEndpoint(1))
    assert [each.key for each in endpoint.manifests()] == ["toy:1"]
    assert endpoint.remove("worker-0")
    assert not endpoint.remove("worker-0")
    assert said(await endpoint.infer(ask(0))) == [1]
    with pytest.raises(CallerError, match="there already"):
        endpoint.add("worker-1", ScriptedEndpoint())


def test_there_are_not_more_members_than_the_settings_allow() -> None:
    endpoint = balanced(ScriptedEndpoint(), settings=BalanceSettings(members_max=1))
    with pytest.raises(CallerError, match="that is the limit"):
        endpoint.add("one more", ScriptedEndpoint())

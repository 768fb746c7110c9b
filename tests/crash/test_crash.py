"""The crash test at the size continuous integration runs, and proof that it would find a loss."""

from __future__ import annotations

import os
from typing import Final

import pytest
from tests.crash.conductor import Conductor
from tests.crash.plan import Plan
from tests.crash.verdict import Verdict, judge
from tests.simulation.history import Kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS: Final = int(os.environ.get("CRASH_ROUNDS", "20"))
SEED: Final = int(os.environ.get("CRASH_SEED", "1"))
FEW_ROUNDS: Final = 4  # Enough to lose something each time.
DELIVERIES_MIN: Final = 100  # Per round; far below what a busy machine does.


async def carried_out(plan: Plan, folder, capsys) -> Verdict:
    await Conductor(plan, folder).run()
    verdict = judge(folder)
    with capsys.disabled():
        for violation in verdict.violations[:5]:
            print(f"\n{violation}", end="")
        print(f"\ncrash test, {plan}: {verdict.text()}")
    return verdict


async def test_nothing_persisted_is_lost_when_processes_are_killed_at_any_moment(tmp_path, capsys):
    verdict = await carried_out(Plan(rounds=ROUNDS, seed=SEED), tmp_path, capsys)
    assert verdict.violations == []
    assert verdict.counts["refused"] == 0
    assert verdict.counts["rounds"] == ROUNDS == verdict.kills["coordinator"]
    assert verdict.counts["delivered"] > DELIVERIES_MIN * ROUNDS
    assert verdict.counts["redelivered"] > 0
    assert verdict.counts["dead_lettered"] > 0
    assert verdict.counts["evicted"] > 0


async def test_messages_that_were_only_received_are_found_to_be_lost(tmp_path, capsys):
    plan = Plan(rounds=FEW_ROUNDS, seed=SEED, level="RECEIVED", slow_disk=True)
    verdict = await carried_out(plan, tmp_path, capsys)
    assert verdict.found(Kind.LOST) > 0


async def test_a_memory_topic_is_found_to_have_begun_anew(tmp_path, capsys):
    plan = Plan(rounds=FEW_ROUNDS, seed=SEED, log="memory")
    verdict = await carried_out(plan, tmp_path, capsys)
    assert verdict.found(Kind.MIXED_UP) > 0  # Its subscribers kept up: little was lost to them.


async def test_an_orderly_stop_under_load_loses_nothing_and_is_told_from_a_crash(tmp_path, capsys):
    plan = Plan(rounds=FEW_ROUNDS, seed=SEED, orderly=True)
    verdict = await carried_out(plan, tmp_path, capsys)
    assert verdict.violations == []
    assert verdict.counts["refused"] == 0

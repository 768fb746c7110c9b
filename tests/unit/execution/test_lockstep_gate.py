import asyncio

import pytest

from bellwire.execution.lockstep_gate import LockstepGate, TooManySymbolsError


async def turns(*tasks):
    """Let every task run until it waits; return which are done."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def test_a_turn_comes_when_the_fills_of_its_bar_were_seen():
    gate = LockstepGate()
    first = asyncio.create_task(gate.turn("X", 10))
    second = asyncio.create_task(gate.turn("X", 20))
    assert await turns(first, second) == [False, False]
    gate.matched("X", 10)
    assert await turns(first, second) == [True, False]
    gate.matched("X", 20)
    assert await turns(first, second) == [True, True]
    await gate.turn("X", 20)  # of the past: at once


async def test_symbols_do_not_wait_for_each_other():
    gate = LockstepGate()
    waiting = asyncio.create_task(gate.turn("X", 10))
    gate.matched("Y", 10)
    await gate.turn("Y", 10)
    assert await turns(waiting) == [False]
    gate.matched("X", 10)
    await waiting


async def test_what_comes_out_of_order_does_not_wait():
    gate = LockstepGate()
    gate.matched("X", 5)
    waiting = asyncio.create_task(gate.turn("X", 20))
    await turns(waiting)
    await gate.turn("X", 10)  # behind 20 already: its turn is over
    gate.matched("X", 20)
    await waiting


async def test_the_end_of_the_stream_lets_everything_go():
    gate = LockstepGate()
    waiting = [asyncio.create_task(gate.turn("X", time)) for time in (10, 10, 99)]
    await turns(*waiting)
    gate.matched("X", 10, end=True)
    assert await turns(*waiting) == [True, True, True]


async def test_a_canceled_handler_does_not_disturb_the_others():
    gate = LockstepGate()
    first, second = (asyncio.create_task(gate.turn("X", 10)) for _ in range(2))
    await turns(first, second)
    first.cancel()
    gate.matched("X", 10)
    assert await turns(first, second) == [True, True]
    assert first.cancelled()
    assert not second.cancelled()


async def test_symbols_are_bounded():
    gate = LockstepGate(symbols_max=1)
    gate.matched("X", 1)
    with pytest.raises(TooManySymbolsError, match="1 symbols"):
        await gate.turn("Y", 1)
    gate.matched("X", 2)

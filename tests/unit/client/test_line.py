"""Nobody overtakes in a line, and nobody who leaves it holds it up."""

from __future__ import annotations

import asyncio

from bellwire.client._line import Line


async def visit(line: Line, name: str, order: list[str], leave: asyncio.Event) -> None:
    async with line:
        order.append(name)
        await leave.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_free_line_is_entered_without_a_wait() -> None:
    line = Line()
    entering = line.__aenter__()
    try:
        entering.send(None)
    except StopIteration:
        pass
    else:
        raise AssertionError("it waited")
    assert not line.is_free
    await line.__aexit__(None, None, None)
    assert line.is_free


async def test_who_comes_when_the_first_leaves_does_not_overtake_those_who_wait() -> None:
    line, order, leave = Line(), [], asyncio.Event()
    leave.set()
    await line.__aenter__()
    waiting = [asyncio.create_task(visit(line, name, order, leave)) for name in "bc"]
    await settled()
    await line.__aexit__(None, None, None)
    assert not line.is_free, "the place was handed over, before anybody ran"
    late = asyncio.create_task(visit(line, "d", order, leave))
    await asyncio.gather(*waiting, late)
    assert order == ["b", "c", "d"]
    assert line.is_free


async def test_one_who_gives_up_waiting_is_passed_over() -> None:
    line, order, leave = Line(), [], asyncio.Event()
    leave.set()
    await line.__aenter__()
    tired, patient = (asyncio.create_task(visit(line, name, order, leave)) for name in "bc")
    await settled()
    tired.cancel()
    await line.__aexit__(None, None, None)
    await patient
    assert order == ["c"]
    assert line.is_free


async def test_one_cancelled_in_the_moment_of_its_turn_hands_it_on() -> None:
    line, order, leave = Line(), [], asyncio.Event()
    leave.set()
    await line.__aenter__()
    first, second = (asyncio.create_task(visit(line, name, order, leave)) for name in "bc")
    await settled()
    await line.__aexit__(None, None, None)
    first.cancel()  # Its future is set, its task has not run.
    await asyncio.gather(first, second, return_exceptions=True)
    assert order == ["c"]
    assert line.is_free

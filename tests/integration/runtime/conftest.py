"""Watching processes that are no children of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
def running() -> Callable[[int], bool]:
    """Tells whether a process runs."""
    return is_running


@pytest.fixture
def gone() -> Callable[[int], Awaitable[None]]:
    """Waits until a process runs no more."""

    async def wait(pid: int) -> None:
        async with asyncio.timeout(10):
            while is_running(pid):  # noqa: ASYNC110  # no event tells the end of another's child
                await asyncio.sleep(0.01)

    return wait

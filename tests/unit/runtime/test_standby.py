"""A spare that cannot be had."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bellwire.runtime.process_log import ProcessLog
from bellwire.runtime.spec import ProcessSpec
from bellwire.runtime.standby import Standby, StandbyState

FILES_MAX = 64


@contextmanager
def three_files_left() -> Iterator[None]:
    """Leave room for one pipe and one end of another."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_files()) + FILES_MAX, before[1]))
    held: list[int] = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        for _ in range(3):
            os.close(held.pop())
        yield
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_files() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc/self/fd"))


async def test_without_files_left_there_is_no_spare_and_nothing_is_lost() -> None:
    spec = ProcessSpec("p", (sys.executable, "-c", "pass"), stdin_json={}, standby=1)
    standby = Standby(spec, ProcessLog("", "p"), warm_timeout_seconds=5)
    before = open_files()
    with three_files_left():
        await standby.prepare()
    assert (standby.state, standby.pid) == (StandbyState.NONE, None)
    assert open_files() == before

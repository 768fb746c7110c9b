"""A process that runs once: its output is kept, and what goes wrong is told with the last of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.benchmarks.one_run import run_once
from tests.benchmarks.process import MeasurementError, Workplace

pytestmark = pytest.mark.integration


async def run(folder: Path, source: str, seconds_max: float = 30.0) -> None:
    await run_once(
        "named",
        *("-c", source),
        seconds_max=seconds_max,
        workplace=Workplace(folder),
        failed="it could not be measured",
    )


async def test_what_it_prints_is_kept_beside_the_measurement(tmp_path: Path) -> None:
    await run(
        tmp_path, "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr)"
    )
    assert (tmp_path / "named.log").read_text() == "out\nerr\n"


async def test_a_failure_tells_the_status_and_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError) as caught:
        await run(tmp_path, "for n in range(100): print(n)\nraise SystemExit(3)")
    said = str(caught.value).splitlines()
    assert said[0] == "it could not be measured, status 3:"
    assert said[-2:] == ["98", "99"]
    assert len(said) < 20


async def test_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="status -9"):
        await run(tmp_path, "import signal; signal.pause()", seconds_max=0.2)

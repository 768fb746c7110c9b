"""A process of a measurement that runs once and ends by itself."""

import asyncio
import sys

from tests.benchmarks.process import (
    ERROR_LINES_SHOWN,
    REPOSITORY,
    STOP_SECONDS_MAX,
    MeasurementError,
    Workplace,
)

__all__ = ["run_once"]


async def run_once(
    name: str, *arguments: str, seconds_max: float, workplace: Workplace, failed: str
) -> None:
    """Run Python in the repository to its end; what it prints goes to NAME.log of the workplace.

    Args:
        name: Of its log.
        arguments: Of the interpreter.
        seconds_max: It is killed then.
        workplace: Where its log is kept.
        failed: What to say of it when it fails, before its status and its last lines.

    Raises:
        MeasurementError: It failed, or was killed.
    """
    log = workplace.directory / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=REPOSITORY,
        )
        try:
            status = await asyncio.wait_for(process.wait(), seconds_max)
        except TimeoutError:
            process.kill()
            status = await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
    if status != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-ERROR_LINES_SHOWN:])
        raise MeasurementError(f"{failed}, status {status}:\n{last}")

"""The examples as a reader starts them: `--help`, and what they say where nobody listens."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
NOBODY = "unix:///nowhere/bus.sock"
SECONDS = 30


async def ran(example: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run an example to its end; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(example), *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.stem for each in EXAMPLES])
async def test_help_says_what_the_example_does_and_takes(example: Path) -> None:
    status, out, err = await ran(example, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: {example.name} [-h] [")


@pytest.mark.slow
async def test_nobody_who_listens_is_said_in_one_sentence() -> None:
    on_the_bus = [each for each in EXAMPLES if each.stem != "kafka_signals"]
    for status, out, err in await asyncio.gather(*(ran(each, NOBODY) for each in on_the_bus)):
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"error: no coordinator at {NOBODY} within 5 s: is `bellwire serve`")


@pytest.mark.slow
async def test_absent_broker_is_said_in_one_sentence() -> None:
    (example,) = [each for each in EXAMPLES if each.stem == "kafka_signals"]
    status, out, err = await ran(example, "signals", "127.0.0.1:1")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: Kafka at 127.0.0.1:1: ")

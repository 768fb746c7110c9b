"""The example of docs/market-data.md is the file, runs, and prints what the page says."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLE = REPOSITORY / "examples/quote_columns.py"
BLOCK = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)


def blocks() -> dict[str, str]:
    page = (REPOSITORY / "docs/market-data.md").read_text()
    return {found["language"]: found["text"] for found in BLOCK.finditer(page)}


def test_the_page_shows_the_file() -> None:
    assert blocks()["python"] == EXAMPLE.read_text()


async def test_it_prints_what_the_page_says() -> None:
    async with running_coordinator() as running:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", str(EXAMPLE), running.tcp),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            printed, errors = await process.communicate()
    assert (printed.decode(), errors.decode(), process.returncode) == (blocks()["text"], "", 0)

"""One process of a load test: `python -m bellwire.cli.loadtest.worker`.

Its description is the first line of standard input. Commands follow as JSON lines and are answered
on standard output, each by its id, in any order. The process ends when its standard input does, so
that nothing is left behind when the conductor is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from bellwire.cli.loadtest.protocol import Json, Role
from bellwire.cli.loadtest.roles import open_role
from bellwire.wire.errors import BellwireError

__all__ = ["LINE_BYTES_MAX", "main"]

# The gaps of a stream with 100,000 of them are 2 MB.
LINE_BYTES_MAX: Final = 16 << 20


async def run_worker() -> None:
    """Open the role, say so, and answer commands until the input ends."""
    async with _standard_input() as commands:
        description = json.loads(await commands.readline())
        try:
            async with open_role(description) as role:
                _say({"id": 0, "result": {}})
                await _serve(role, commands)
        except Exception as error:  # noqa: BLE001 - the conductor tells the user
            _say({"id": 0, "failure": _text(error)})


async def _serve(role: Role, commands: asyncio.StreamReader) -> None:
    running: set[asyncio.Task[None]] = set()
    try:
        while line := await commands.readline():
            task = asyncio.create_task(_answer(role, json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _answer(role: Role, request: Json) -> None:
    number, command = request.pop("id"), str(request.pop("do"))
    try:
        _say({"id": number, "result": await role.do(command, request)})
    except Exception as error:  # noqa: BLE001 - the conductor tells the user
        _say({"id": number, "failure": f"{command}: {_text(error)}"})


@asynccontextmanager
async def _standard_input() -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        yield reader
    finally:
        transport.close()


def _text(error: Exception) -> str:
    if isinstance(error, BellwireError):
        return error.message
    # Nobody expected this one: its origin goes into the log, which the conductor shows.
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"


def _say(reply: Json) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def _loop_run(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed (extra `server`), else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def main() -> None:
    """Run the worker that standard input describes."""
    _loop_run(run_worker())


if __name__ == "__main__":
    main()

"""Server binaries of other makes: whether they run at all, started, awaited within a bound, ended."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

START_SECONDS_MAX: Final = 10.0  # Far below what the harness waits for the process that starts it.
STOP_SECONDS_MAX: Final = 3.0
START_POLL_SECONDS: Final = 0.02
PROBE_SECONDS_MAX: Final = 5.0
LAST_WORDS_LINES: Final = 5

Answers = Callable[[int], Awaitable[bool]]


class ServerError(Exception):
    """A server did not start or did not answer; the text holds the end of what it printed."""


@asynccontextmanager
async def running_server(
    command: Sequence[str],
    log: Path,
    answers: Answers,
    *,
    start_seconds_max: float = START_SECONDS_MAX,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server; entered when it answers.

    Args:
        command: The binary and its arguments.
        log: Takes what it prints.
        answers: Asks the server of the given process id once; True = it serves.
        start_seconds_max: How long it may take to answer.

    Raises:
        ServerError: It ended, or did not answer in time.
    """
    with log.open("wb") as output:
        server = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        await _until_it_answers(server, answers, log, start_seconds_max)
        yield server
    finally:
        await _stop(server)


def version_line(command: Sequence[str]) -> str:
    """Give what a binary prints of its version.

    Raises:
        ServerError: It cannot be run, fails, or does not end.
    """
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PROBE_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"{command[0]} told no version within {PROBE_SECONDS_MAX:g} s") from None
    except OSError as error:
        raise ServerError(f"{command[0]} cannot be run: {error.strerror}") from None
    if told.returncode:
        words = _last_words(told.stdout + told.stderr)
        raise ServerError(f"{command[0]} told no version, exit status {told.returncode}: {words}")
    return told.stdout


def free_port() -> int:
    """Give a port of 127.0.0.1 for a server that cannot choose one itself and tell.

    Another program might take it in between; the measurement then fails, in words.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _until_it_answers(
    server: asyncio.subprocess.Process, answers: Answers, log: Path, seconds_max: float
) -> None:
    # These servers give no sign when they listen, so they have to be asked again and again.
    try:
        async with asyncio.timeout(seconds_max):
            while server.returncode is None and not await answers(server.pid):  # noqa: ASYNC110
                await asyncio.sleep(START_POLL_SECONDS)
    except TimeoutError:
        raise ServerError(f"no answer within {seconds_max:g} s: {_words_in(log)}") from None
    if server.returncode is not None:
        raise ServerError(f"ended with status {server.returncode}: {_words_in(log)}")


async def _stop(server: asyncio.subprocess.Process) -> None:
    if server.returncode is None:
        server.terminate()
    try:
        await asyncio.wait_for(server.wait(), STOP_SECONDS_MAX)
    except TimeoutError:
        server.kill()
        await server.wait()


def _words_in(log: Path) -> str:
    return _last_words(log.read_text(errors="replace"))


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-LAST_WORDS_LINES:]) or "it printed nothing"

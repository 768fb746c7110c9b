"""One process of a measurement: `python -m tests.benchmarks.worker '{"role": …}'`.

Commands come as JSON lines on standard input and are answered on standard output. The process ends
when its standard input does, so that nothing is left behind when the run is killed. Whatever else a
system under test prints goes to standard error. Runs in the environment of its peer, which need not
hold Bellwire.
"""

import asyncio
import cProfile
import json
import os
import sys
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TextIO

import uvloop
from tests.benchmarks.roles import Reply, Role, open_role

LINE_BYTES_MAX: Final = 1 << 20
STUDY_PREFIX: Final = "study-"


async def run_worker(
    settings: dict[str, Any], answers: TextIO, profile: cProfile.Profile | None
) -> None:
    """Open the role, say so, and answer commands until the input ends."""
    async with _opened(settings) as (role, about):
        commands = await _standard_input()
        say(answers, {"ready": True, **about})
        if profile is not None:
            profile.enable()
        try:
            while line := await commands.readline():
                await _answer(role, answers, json.loads(line))
        finally:
            if profile is not None:
                profile.disable()


def _opened(settings: dict[str, Any]) -> AbstractAsyncContextManager[tuple[Role, Reply]]:
    if settings["role"].startswith(STUDY_PREFIX):
        # Here, so that the processes of peers do not carry what studies import.
        from tests.benchmarks.studies.roles import open_study_role

        return open_study_role(**settings)
    return open_role(**settings)


async def _answer(role: Role, answers: TextIO, request: dict[str, Any]) -> None:
    command = request.pop("do")
    try:
        say(answers, {"done": command, **await role.do(command, request)})
    except Exception as error:  # noqa: BLE001 - whatever a system under test raises is a result
        say(answers, {"failed": f"{command}: {type(error).__name__}: {error}"})


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def say(answers: TextIO, reply: dict[str, Any]) -> None:
    """Write one answer."""
    answers.write(json.dumps(reply) + "\n")
    answers.flush()


def take_standard_output() -> TextIO:
    """Keep standard output for answers: libraries and servers that print would garble them."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def main() -> None:
    """Run the worker that the only argument describes."""
    settings = json.loads(sys.argv[1])
    profile_path = settings.pop("profile_path", None)
    profile = cProfile.Profile() if profile_path else None
    uvloop.run(run_worker(settings, take_standard_output(), profile))
    if profile is not None:
        profile.dump_stats(profile_path)


if __name__ == "__main__":
    main()

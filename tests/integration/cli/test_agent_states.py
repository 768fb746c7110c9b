"""The lines that tell how supervised agents fare."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys

import pytest

from bellwire.cli.agent_states import StateLines
from bellwire.runtime.lifecycle import ProcessState
from bellwire.runtime.spec import ProcessSpec, SupervisorSettings
from bellwire.runtime.supervisor import Supervisor

pytestmark = pytest.mark.integration

READY = "import os, signal; fd = int(os.environ['BELLWIRE_READY_FD']); os.write(fd, b'READY\\n'); os.close(fd);"
STOPS = f"{READY} signal.pause()"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY} signal.pause()"


async def crash_and_stop(lines: StateLines, program: str = STOPS) -> None:
    settings = SupervisorSettings(restart_delay_first_seconds=0.01, stop_grace_seconds=0.1)
    async with Supervisor(settings, lines.changed) as supervisor:
        spec = ProcessSpec("a-0", (sys.executable, "-c", program))
        (process,) = await supervisor.start(spec)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait_for(ProcessState.BACKOFF)
        await process.wait_for(ProcessState.READY)


async def test_machines_read_each_state_once_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    await crash_and_stop(StateLines(as_json=True))
    printed = capsys.readouterr()
    events = [json.loads(line) for line in printed.out.splitlines()]
    assert printed.err == ""
    assert [(each["state"], each["restarts"]) for each in events] == [
        ("STARTING", 0),
        ("READY", 0),
        ("BACKOFF", 0),
        ("STARTING", 1),
        ("READY", 1),
        ("STOPPING", 1),
        ("STOPPED", 1),
    ]
    assert {each["event"] for each in events} == {"state"}
    assert [each["ready_ms"] is not None for each in events].count(True) == 2
    reasons = [(each["returncode"], each["reason"]) for each in events]
    killed, told = (-signal.SIGKILL, "was ended by SIGKILL"), (-signal.SIGTERM, "")
    assert reasons == [(None, "")] * 2 + [killed] + [(None, "")] * 3 + [told]
    assert 0 < events[2]["next_start_seconds"] <= 0.01


async def test_machines_read_why_a_stop_was_not_clean(capsys: pytest.CaptureFixture[str]) -> None:
    await crash_and_stop(StateLines(as_json=True), IGNORES)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["state"], last["returncode"], last["reason"]) == (
        "STOPPED",
        -signal.SIGKILL,
        "was ended by SIGKILL, for it did not end when told to",
    )


async def test_people_read_what_happened_and_what_comes_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await crash_and_stop(StateLines(as_json=False), IGNORES)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == ""
    assert lines[0] == "a-0  starting"
    assert lines[1].startswith("a-0  ready after ")
    assert lines[2].startswith("a-0  was ended by SIGKILL; starting again in 0.0")
    assert lines[3] == "a-0  starting again, restart 1"
    assert lines[-2:] == [
        "a-0  stopping",
        "a-0  stopped; it was ended by SIGKILL, for it did not end when told to",
    ]


def test_warnings_of_the_runtime_are_lines_but_for_what_the_states_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = StateLines(as_json=True).warnings()
    for name in ("bellwire.runtime.supervisor", "bellwire.runtime.process"):
        handler.handle(logging.LogRecord(name, logging.WARNING, "", 1, "%s is gone", ("it",), None))
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"event": "warning", "message": "it is gone"}
    ]


def test_foreign_words_move_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    StateLines(as_json=False).warn("red \x1b[31m\nline")
    assert capsys.readouterr().err == "warning: red \\x1b[31m line\n"

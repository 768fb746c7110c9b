"""On a disk that forgets what was not synced, every row whose write has returned is there after the power failed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from tests.integration.store.test_lossy_file_system import REPOSITORY, lossy_disk

from bellwire.sink import QuerySettings, ask

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

ROUNDS = 6
FILES_MAX = 12  # Of one round, before the power goes.
WRITE_SECONDS = 0.05  # About what a file or a merge takes here.
SEED = 9


def write_until_the_power_fails(path: Path, first: int, files: int, random: Random) -> int:
    """Let a process write at least so many files, then cut the power; return the last row it called durable."""
    with lossy_disk(path) as disk:
        command = [sys.executable, "-m", "tests.integration.sink.power_writer", str(disk / "store")]
        with subprocess.Popen(
            [*command, str(first)], cwd=REPOSITORY, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            pipe, told = writer.stdout.fileno(), b""
            while told.count(b"\n") < files:
                read = os.read(pipe, 1 << 16)
                assert read, "the writer ended by itself"
                told += read
            select.select([], [], [], random.random() * WRITE_SECONDS)
            # Stopped wherever it is: whatever it has called durable by now is in the pipe.
            os.kill(writer.pid, signal.SIGSTOP)
            os.waitpid(writer.pid, os.WUNTRACED)
            (disk / ".crash").write_bytes(b"!")
            writer.kill()
            while more := os.read(pipe, 1 << 16):
                told += more
    return int(told[: told.rindex(b"\n")].splitlines()[-1])


def test_nothing_that_was_called_durable_is_lost_when_the_power_fails(tmp_path, capsys):
    random = Random(SEED)
    last = -1
    for _ in range(ROUNDS):
        last = write_until_the_power_fails(
            tmp_path / "disk", last + 1, random.randint(1, FILES_MAX), random
        )
        with lossy_disk(tmp_path / "disk") as disk:
            answer = ask(
                disk / "store", "SELECT id FROM messages", QuerySettings(rows_max=1_000_000)
            )
            found = sorted(int(str(id_)) for (id_,) in answer.rows)
            assert not answer.damaged
            assert len(found) == len(set(found))
            assert set(range(last + 1)) <= set(found)
            # The rows of the write that was cut may be there; the next round writes them under their ids again.
            (disk / ".crash").write_bytes(b"!")
    with capsys.disabled():
        print(
            f"\nanalytic store: {ROUNDS} power failures, {last + 1} rows durable, 0 lost, 0 torn files seen"
        )

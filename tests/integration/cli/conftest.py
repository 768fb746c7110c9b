"""A real `bellwire serve`, and the command run inside the test's own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bellwire.cli.main import run

START_SECONDS = 30
STOP_SECONDS = 20


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Serve on a free port and a Unix socket; gives the JSON that `--ready-fd` wrote."""
    folder = tmp_path_factory.mktemp("serve")
    reading, writing = os.pipe()
    command = [
        *(sys.executable, "-m", "bellwire.cli", "serve", "--json"),
        *("--listen", "127.0.0.1:0", "--listen", f"unix://{folder}/bus.sock"),
        *("--ready-fd", str(writing)),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BELLWIRE_")}
    with subprocess.Popen(
        command, pass_fds=(writing,), stdout=subprocess.DEVNULL, cwd=folder, env=environment
    ) as process:
        os.close(writing)
        try:
            with os.fdopen(reading) as ready:
                yield json.loads(ready.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


class Result:
    """What one run of the command gave."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.out.splitlines()

    @property
    def json(self) -> list[Any]:
        """Objects of stdout, one a line."""
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def bellwire(
    coordinator: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    """Run the command against the coordinator and return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BELLWIRE_COMMAND__ADDRESS", coordinator["addresses"][1])
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: str) -> Result:
        capsys.readouterr()
        status = run(arguments)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return command

"""What is said when a Redis server cannot be started."""

from __future__ import annotations

from pathlib import Path

import pytest

from bellwire.testing import redis
from bellwire.testing.redis import RedisMissingError, RunningRedis, redis_binary


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the path, empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(redis, "SEARCH_PATH_ADDED", str(folder))
    return folder


def add(commands: Path, script: str) -> None:
    command = commands / "redis-server"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_without_a_server_it_says_what_to_install(commands: Path) -> None:
    with pytest.raises(RedisMissingError, match="apt-get install redis-server"):
        redis_binary()


def test_a_server_that_ends_at_once_leaves_its_last_words(commands: Path, tmp_path: Path) -> None:
    add(commands, "echo 'Fatal: cannot allocate memory'; exit 1")
    server = RunningRedis(tmp_path)
    with pytest.raises(RedisMissingError, match="does not start: Fatal: cannot allocate memory"):
        server.start()
    server.stop()  # Nothing is left to stop.


def test_a_server_that_never_answers_is_given_up(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(commands, "exec /bin/sleep 60")
    monkeypatch.setattr(redis, "READY_SECONDS", 0.1)
    with pytest.raises(RedisMissingError, match="does not start: it said nothing"):
        RunningRedis(tmp_path).start()


def test_ports_are_not_those_of_outgoing_connections(commands: Path, tmp_path: Path) -> None:
    add(commands, "exit 0")
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert {RunningRedis(tmp_path).port < lowest for _ in range(20)} == {True}

"""Server binaries that do not do what they ought to: words within a bound, never a hang."""

import os
import stat
import time

import psutil
import pytest
from tests.benchmarks.conductor import MeasurementError, measure
from tests.benchmarks.peers import load_peer, nats_server
from tests.benchmarks.peers.server_process import ServerError, running_server, version_line
from tests.benchmarks.scenario import Durations, Throughput

pytestmark = pytest.mark.integration

BRIEF = Durations(warm_up_seconds=0.05, load_seconds=0.2)
SILENT = "echo still warming up; exec sleep 60"
FAILING = "echo 'fatal: no room for a cluster' >&2; exit 3"


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def never(pid):
    return False


async def test_a_server_that_ends_at_once_is_shown_with_status_and_last_words(tmp_path):
    command = [script(tmp_path / "server", FAILING)]
    with pytest.raises(ServerError, match="ended with status 3: fatal: no room for a cluster"):
        async with running_server(command, tmp_path / "log", never):
            pass


async def test_a_server_that_never_answers_is_given_up_within_the_bound_and_ended(tmp_path):
    command = [script(tmp_path / "server", f"echo $$ > {tmp_path}/pid\n{SILENT}")]
    with pytest.raises(ServerError, match=r"no answer within 0\.3 s: still warming up"):
        async with running_server(command, tmp_path / "log", never, start_seconds_max=0.3):
            pass
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_binary_without_a_version_is_told_apart_from_one_that_cannot_run(tmp_path):
    with pytest.raises(ServerError, match="exit status 3: fatal: no room for a cluster"):
        version_line([script(tmp_path / "server", FAILING), "-v"])
    with pytest.raises(ServerError, match="cannot be run: No such file"):
        version_line([str(tmp_path / "absent"), "-v"])


def test_a_broken_redis_server_is_missing_in_words(tmp_path, monkeypatch):
    script(tmp_path / "redis-server", FAILING)
    monkeypatch.setattr("tests.benchmarks.peers.redis_server.SEARCH_PATH", str(tmp_path))
    reason = load_peer("redis_pubsub").missing()
    assert "redis-server told no version, exit status 3: fatal: no room for a cluster" in (
        reason or ""
    )


def test_a_broken_nats_server_is_missing_in_words(tmp_path, monkeypatch):
    script(tmp_path / "nats-server", FAILING)
    monkeypatch.setattr(nats_server, "FOLDERS_ASIDE", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    nats_server.find_server.cache_clear()
    try:
        assert "does not tell its version" in (load_peer("nats").missing() or "")
    finally:
        nats_server.find_server.cache_clear()


@pytest.mark.slow
async def test_a_server_that_tells_its_version_and_then_fails_fails_only_its_measurement(
    tmp_path, monkeypatch
):
    body = f'if [ "$1" = -v ]; then echo "Redis server v=99.0"; exit 0; fi\n{FAILING}'
    script(tmp_path / "redis-server", body)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path), os.environ["PATH"])))
    began = time.monotonic()
    with pytest.raises(MeasurementError, match=r"(?s)broker ended unasked.*no room for a cluster"):
        await measure("redis_pubsub", Throughput("flood", "", batch_messages_max=100), BRIEF)
    assert time.monotonic() - began < 15

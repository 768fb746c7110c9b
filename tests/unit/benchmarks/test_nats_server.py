"""The newest nats-server is found, and told from one that is too old."""

import pytest
from tests.benchmarks.peers import nats_server


def install(folder, version):
    folder.mkdir()
    binary = folder / "nats-server"
    binary.write_text(f"#!/bin/sh\necho 'nats-server: v{version}'\n")
    binary.chmod(0o755)
    return str(folder)


@pytest.fixture(autouse=True)
def _forget_what_was_found(monkeypatch):
    monkeypatch.setattr(nats_server, "FOLDERS_ASIDE", ())
    nats_server.find_server.cache_clear()
    yield
    nats_server.find_server.cache_clear()


def test_of_several_servers_the_newest_is_taken_wherever_it_stands(tmp_path, monkeypatch):
    first, second = install(tmp_path / "a", "2.9.10"), install(tmp_path / "b", "2.15.2")
    monkeypatch.setenv("PATH", f"{first}:{second}:/bin")
    server = nats_server.find_server()
    assert server is not None
    assert (server.version, server.path) == ((2, 15, 2), f"{second}/nats-server")


def test_a_server_without_sync_interval_is_told_with_how_to_get_a_newer_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{install(tmp_path / 'a', '2.9.10')}:/bin")
    reason = nats_server.missing_parts((2, 10, 0))
    assert reason is not None
    assert "v2.9.10 is older than 2.10.0 (go install" in reason


def test_no_server_at_all_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "nats-server is not installed" in (nats_server.missing_parts() or "")

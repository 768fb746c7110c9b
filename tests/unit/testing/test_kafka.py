"""What is said when a broker cannot be fetched or started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bellwire.testing import kafka_jars
from bellwire.testing.kafka import KafkaMissingError, RunningKafka, kafka_classpath


class Tools:
    """A PATH of its own with commands that only do what they are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, script: str) -> None:
        command = self.folder / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(kafka_jars.CLASSPATH_VARIABLE, raising=False)
    return Tools(folder)


def test_without_java_it_says_what_to_install(tools: Tools) -> None:
    with pytest.raises(KafkaMissingError, match="java is not installed: install Java 17 and Maven"):
        kafka_classpath()


def test_without_maven_it_says_what_to_install(tools: Tools) -> None:
    tools.add("java", "exit 0")
    with pytest.raises(KafkaMissingError, match="mvn is not installed"):
        kafka_classpath()


def test_what_is_not_fetched_is_not_fetched_behind_ones_back(tools: Tools) -> None:
    tools.add("java", "exit 0")
    tools.add("mvn", "exit 0")
    with pytest.raises(KafkaMissingError, match="is not here: `make kafka-jars` fetches it"):
        kafka_classpath(fetch=False)


def test_jars_on_the_disk_come_before_maven(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.add("java", "exit 0")
    monkeypatch.setenv(kafka_jars.CLASSPATH_VARIABLE, "lib/*")
    assert kafka_classpath() == "lib/*"


def test_a_fetch_that_fails_says_why_and_leaves_no_half_cache(tools: Tools, tmp_path: Path) -> None:
    tools.add("java", "exit 0")
    tools.add("mvn", "echo 'Could not resolve org.apache.kafka'; exit 1")
    for _ in range(2):
        with pytest.raises(KafkaMissingError, match="Maven fetched no Kafka: Could not resolve"):
            kafka_classpath()
    assert list((tmp_path / "cache/bellwire").iterdir()) == []


def test_a_fetch_that_takes_too_long_is_given_up(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.add("java", "exit 0")
    tools.add("mvn", "exec /bin/sleep 60")
    monkeypatch.setattr(kafka_jars, "FETCH_SECONDS", 0.1)
    with pytest.raises(KafkaMissingError, match=r"has not fetched Kafka within 0\.1 s"):
        kafka_classpath()


def test_what_was_fetched_is_found_the_second_time(tools: Tools) -> None:
    tools.add("java", "exit 0")
    tools.add("mvn", "exit 0")
    fetched = kafka_classpath()
    assert kafka_classpath(fetch=False) == fetched


def test_an_old_java_is_named(tools: Tools, tmp_path: Path) -> None:
    tools.add("java", "echo java.lang.UnsupportedClassVersionError >&2; exit 1")
    with pytest.raises(
        KafkaMissingError, match=r"StorageTool failed: .*VersionError; Kafka 4.1.1 needs Java 17"
    ):
        RunningKafka("lib/*", tmp_path)


def test_a_broker_that_ends_at_once_leaves_its_last_words(tools: Tools, tmp_path: Path) -> None:
    tools.add("java", 'case "$*" in *StorageTool*) exit 0;; esac; echo "no room for logs"; exit 1')
    broker = RunningKafka("lib/*", tmp_path)
    with pytest.raises(KafkaMissingError, match="Kafka does not start: no room for logs"):
        broker.start()


def test_a_port_that_somebody_has_is_not_taken_for_ours(tools: Tools, tmp_path: Path) -> None:
    tools.add("java", "exit 0")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = RunningKafka("lib/*", tmp_path, port)
        with pytest.raises(KafkaMissingError, match=f"port {port} of 127.0.0.1 is taken"):
            broker.start()

"""`bellwire sink --bigquery` beside a real coordinator and a local write service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests.integration.sink.write_service import Table, WriteService

from bellwire.sink.bigquery.table import TableName, create_statement

pytestmark = pytest.mark.integration

WAIT_SECONDS = 20
TABLE = TableName("desk", "bus", "messages")


@pytest.fixture
def service():
    made = WriteService()
    listed = create_statement(TABLE).partition("(")[2].partition(")")[0].split(", ")
    columns = (part.replace("`", "").split(" ", 1) for part in listed)
    made.tables[TABLE.path] = Table(dict(columns))
    server, made.port = made.start()
    yield made
    server.stop(None).wait()


@contextmanager
def sinking(service, coordinator, folder, topic):
    command = [
        *(sys.executable, "-m", "bellwire.cli", "sink", topic, "--json", "-s", topic),
        *("--bigquery", str(TABLE), "--bigquery-endpoint", f"127.0.0.1:{service.port}"),
        *("-a", coordinator["addresses"][0], "--set", "sink.linger_seconds=0.05"),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BELLWIRE_")}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as sink:
        try:
            yield sink
        finally:
            sink.kill()


def events(sink, until):
    """What it says until an event."""
    while True:
        found = json.loads(sink.stdout.readline())
        yield found
        if found["event"] == until:
            return


def test_what_is_published_is_in_the_table_once_after_a_kill_and_a_stop(
    bellwire, coordinator, tmp_path, service
):
    topic = "signals.bigquery"
    table = service.tables[TABLE.path]
    with sinking(service, coordinator, tmp_path, topic) as sink:
        ready = next(events(sink, "ready"))
        assert ready["store"] == f"BigQuery table {TABLE}"
        assert bellwire("pub", topic, "--data", "one").status == 0
        assert [each["rows"] for each in events(sink, "wrote")] == [1]
        sink.kill()
        sink.wait(WAIT_SECONDS)
    service.bad_row = lambda row: "too odd" if row["data"] == b"bad" else None
    for payload in ("bad", "two"):
        assert bellwire("pub", topic, "--data", payload).status == 0
    with sinking(service, coordinator, tmp_path, topic) as sink:
        seen = []
        while not {"wrote", "refused"} <= {each["event"] for each in seen} or b"two" not in {
            row["data"] for row in table.rows
        }:
            seen.append(json.loads(sink.stdout.readline()))
        sink.send_signal(signal.SIGTERM)
        (*_, stopped) = events(sink, "stopped")
        assert sink.wait(WAIT_SECONDS) == 0
    assert {row["data"] for row in table.rows} == {b"one", b"two"}
    assert stopped["refused"] == 1
    letters = bellwire("dead-letters", "list", topic, "--json")
    assert [each["reason"] for each in letters.json] == ["refused by the analytic store: too odd"]
    assert not list(tmp_path.iterdir())

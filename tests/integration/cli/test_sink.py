"""`bellwire sink` beside a real coordinator: what is published can be asked for, and a signal ends it in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.integration

WAIT_SECONDS = 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_what_is_published_can_be_asked_for_and_a_signal_ends_it_in_order(
    bellwire, coordinator, tmp_path, number
):
    topic = f"signals.{number.name.lower()}"
    command = [
        *(sys.executable, "-m", "bellwire.cli", "sink", topic, "--store", "store", "-s", topic),
        *("-a", coordinator["addresses"][0], "--set", "sink.linger_seconds=0.05"),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BELLWIRE_")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as sink:
        try:
            assert sink.stdout is not None
            assert sink.stdout.readline() == f"{topic} → {tmp_path}/store\n"
            assert f"subscription {topic}, 0 messages known" in sink.stdout.readline()
            for payload in ("one", "two"):
                assert bellwire("pub", topic, "--data", payload).status == 0
            asked = ("query", "--json", "--store", "store", f"SELECT data FROM {topic}")
            deadline = time.monotonic() + WAIT_SECONDS
            while (found := bellwire(*asked)).status or len(found.lines) < 2:
                assert time.monotonic() < deadline, found.err
            sink.send_signal(number)
            assert sink.wait(WAIT_SECONDS) == 0
            assert "stopped: 2 rows in " in sink.stdout.read()
        finally:
            sink.kill()
    assert sorted(row["data"] for row in found.json) == ["b25l", "dHdv"]

"""The processes of a measurement: what they print is kept apart, what they start ends with them."""

import asyncio
import subprocess
import sys

import psutil
import pytest
from tests.benchmarks.peers import load_peer
from tests.benchmarks.process import REPOSITORY, MeasurementError, Workplace

pytestmark = pytest.mark.integration

PRINTING = """
import os
from tests.benchmarks import worker
answers = worker.take_standard_output()
print("a library that prints", flush=True)
os.write(1, b"a server that prints\\n")
worker.say(answers, {"ready": True})
"""


def test_what_a_system_prints_does_not_garble_the_answers():
    told = subprocess.run(
        [sys.executable, "-c", PRINTING], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert told.stdout == '{"ready": true}\n'
    assert told.stderr.splitlines() == ["a library that prints", "a server that prints"]


async def test_a_server_ends_with_the_process_that_started_it_even_when_that_is_killed(tmp_path):
    reason = load_peer("redis_pubsub").missing()
    if reason is not None:
        pytest.skip(reason)
    async with Workplace(tmp_path).worker("broker", "redis_pubsub") as broker:
        server = psutil.Process(broker.pid)
        assert broker.pid != broker.process.pid
        broker.process.kill()
        with pytest.raises(MeasurementError, match="broker ended unasked"):
            await broker.answer(5.0)
    await asyncio.to_thread(psutil.wait_procs, [server], 5.0)
    assert not server.is_running()


async def test_a_process_that_stays_silent_is_given_up_with_its_last_words(tmp_path):
    async with Workplace(tmp_path).worker("broker", "grpc_stream") as broker:
        broker.log.write_text("still thinking\n")
        with pytest.raises(
            MeasurementError, match=r"broker gave no answer within 0\.05 s:\nstill thinking"
        ):
            await broker.answer(0.05)

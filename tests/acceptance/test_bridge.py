"""`bellwire bridge` as a user starts it, looked at with Kafka's own tools."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from bellwire.trading.v1.signal_pb2 import SIDE_BUY, Signal

pytestmark = pytest.mark.acceptance

REPOSITORY = Path(__file__).resolve().parents[2]
SIGNAL = "bellwire.trading.v1.Signal"
EURUSD = '{"symbol": "EURUSD", "side": "SIDE_BUY"}'
HEADERS = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type")


@pytest.fixture
def topic():
    return f"signals.{uuid4().hex[:12]}"


@asynccontextmanager
async def bridging(bellwire, address, kafka, *arguments):
    """Run a bridge until the block ends; gives the command after it is ready."""
    verb = ("bridge", "--json", "--kafka", kafka, "-a", address)
    async with bellwire.started(*verb, *arguments) as command:
        assert (await command.event())["event"] == "ready"
        yield command


async def output(command, *arguments):
    """What a tool prints, once it has ended."""
    process = await asyncio.create_subprocess_exec(command, *arguments, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


async def test_kcat_prints_key_headers_and_value_of_a_signal(bellwire, kafka, topic, find_tool):
    kcat = str(find_tool("kcat"))
    async with bellwire.serving() as (_, address):
        publish = ("pub", topic, "--type", SIGNAL, "--key", "EURUSD", "--data", EURUSD)
        assert (await bellwire.run(*publish, "-a", address))[0] == 0
        async with bridging(bellwire, address, kafka, "--out", "signals.>") as bridge:
            form = "%k\\n%h\\n%s"
            read = ("-b", kafka, "-C", "-t", topic, "-o", "beginning", "-c", "1", "-f", form)
            key, headers, value = (await until_it_is_there(kcat, *read)).split(b"\n", 2)
            bridge.signal(signal.SIGTERM)
            status, out, err = await bridge.end()
    assert (status, err) == (0, "")
    assert json.loads(out)["sent"] == 1
    assert key == b"EURUSD"
    assert Signal.FromString(value) == Signal(symbol="EURUSD", side=SIDE_BUY)
    found = dict(header.split("=", 1) for header in headers.decode().split(","))
    assert tuple(found)[: len(HEADERS)] == HEADERS
    assert (found["ce_type"], found["content-type"]) == (SIGNAL, "application/protobuf")
    place = {name: found[f"bellwire_{name}"] for name in ("bus", "topic", "partition", "offset")}
    assert place | {"partition": "0"} == {
        "bus": "bellwire", "topic": topic, "partition": "0", "offset": "0",
    }  # fmt: skip


async def until_it_is_there(kcat, *arguments):
    """Ask again while the topic is unknown: the bridge makes it with the first message."""
    async with asyncio.timeout(30):
        while True:
            process = await asyncio.create_subprocess_exec(
                kcat, *arguments, stdout=PIPE, stderr=PIPE
            )
            out, err = await process.communicate()
            if process.returncode == 0:
                return out
            assert b"Unknown topic or partition" in err, err.decode()


async def test_what_kcat_writes_comes_in_and_garbage_is_kept_apart(
    bellwire, kafka, topic, find_tool
):
    kcat = str(find_tool("kcat"))
    async with bellwire.serving() as (_, address):
        route = f"{topic}=bars.1m"
        async with bridging(bellwire, address, kafka, "--in", route) as bridge:
            garbage, good = bellwire.folder / "garbage", bellwire.folder / "good"
            garbage.write_bytes(b"\x00\xffgarbage")
            good.write_bytes(b"good")
            headers = ("specversion=1.0", "id=1", "source=vendor", "type=text")
            given = [word for each in headers for word in ("-H", f"ce_{each}")]
            write = ("-b", kafka, "-P", "-t", topic, "-k", "EURUSD")
            await output(kcat, *write, str(garbage))
            await output(kcat, *write, *given, str(good))
            take = ("sub", "bars.1m", "--from", "earliest", "-n", "1", "--json", "-a", address)
            (taken,) = [json.loads((await bellwire.run(*take))[1])]
            letter = await bridge.event()
            bridge.signal(signal.SIGINT)
            status, out, err = await bridge.end()
        read = ("-b", kafka, "-C", "-t", f"{topic}.dlq", "-o", "beginning", "-c", "1")
        kept = await output(kcat, *read, "-f", "%k %h %s")
    assert (status, err) == (0, "")
    assert json.loads(out) == {
        "event": "stopped", "sent": 0, "received": 1, "skipped": 0, "dead_lettered": 1,
    }  # fmt: skip
    assert (taken["id"], taken["key"], taken["data"]) == ("1", "EURUSD", "good")
    assert taken["attributes"]["kafka_topic"] == topic
    assert (letter["event"], letter["offset"], letter["into"]) == (
        "dead_lettered",
        0,
        f"{topic}.dlq",
    )
    assert kept.startswith(b"EURUSD bellwire_dlq_reason=the record is no CloudEvent")
    assert kept.endswith(b"\x00\xffgarbage")


async def test_the_example_reads_with_another_client(bellwire, kafka, topic):
    async with bellwire.serving() as (_, address):
        publish = ("pub", topic, "--type", SIGNAL, "--key", "EURUSD", "--data", EURUSD)
        assert (await bellwire.run(*publish, "-a", address))[0] == 0
        async with bridging(bellwire, address, kafka, "--out", topic):
            example = str(REPOSITORY / "examples/kafka_signals.py")
            out = (await output(sys.executable, example, topic, kafka, "1")).decode()
    assert out.startswith("EURUSD SIDE_BUY BusOrigin(bus='bellwire', ")


async def test_no_broker_is_said_in_one_line(bellwire):
    async with bellwire.serving() as (_, address):
        settings = ("--set", "bridge.connect_seconds=0.5", "-a", address)
        status, out, err = await bellwire.run(
            "bridge", "--in", "ticks", "--kafka", "127.0.0.1:9", *settings
        )
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("error: no Kafka at 127.0.0.1:9 within 0.5 s: ")


async def test_nothing_to_mirror_is_a_mistake_of_the_command_line(bellwire):
    status, out, err = await bellwire.run("bridge")
    assert (status, out) == (2, "")
    assert err.startswith("error: nothing to mirror: name topics with --out and --in")


async def test_a_route_that_cannot_be_is_named_with_its_place(bellwire):
    (bellwire.folder / "bellwire.toml").write_text('[bridge]\nin_topics = ["vendor.>"]\n')
    status, _, err = await bellwire.run("bridge")
    assert status == 2
    assert "bridge.in_topics is 'vendor.>'" in err
    assert "name each topic that is mirrored" in err

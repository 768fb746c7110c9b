"""`bellwire serve` as people and supervisors use it."""

from __future__ import annotations

import json
import os
import signal
import stat

import grpc
import pytest

from bellwire.bus.v1.message_pb2 import Window
from bellwire.bus.v1.subscriber_pb2 import SubscribeRequest, SubscribeResponse, SubscribeStart
from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceStub
from bellwire.client import connect, new_message

pytestmark = pytest.mark.acceptance

EARLIEST = ("--from", "earliest")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_it_says_where_it_listens_and_sigterm_drains_it(bellwire):
    async with bellwire.started(
        "serve", "--listen", "127.0.0.1:0", "--listen", f"unix://{bellwire.folder}/bus.sock"
    ) as server:
        assert (await server.line()).startswith("listening on 127.0.0.1:")
        assert await server.line() == f"listening on unix://{bellwire.folder}/bus.sock"
        assert await server.line() == f"pid {server.process.pid}; Ctrl-C drains and stops"
        server.signal(signal.SIGTERM)
        status, out, err = await server.end()
    assert (status, err) == (0, "")
    assert out.splitlines() == ["SIGTERM: draining; again to stop at once", "stopped"]


async def test_ctrl_c_drains_it_too(bellwire):
    async with bellwire.serving() as (server, _):
        server.signal(signal.SIGINT)
        assert await server.event() == {"event": "draining", "reason": "SIGINT"}
        assert await server.event() == {"event": "stopped"}
        assert await server.end() == (0, "", "")


async def test_a_second_signal_ends_it_at_once_although_a_stream_is_open(bellwire):
    async with (
        bellwire.serving("--set", "coordinator.drain_grace_seconds=600") as (server, address),
        grpc.aio.insecure_channel(address.replace("unix://", "unix:")) as channel,
    ):
        call = SubscriberServiceStub(channel).Subscribe()
        window = Window(messages=1000, bytes=1 << 24)
        await call.write(SubscribeRequest(start=SubscribeStart(topics=[">"], window=window)))
        answer = await call.read()
        assert isinstance(answer, SubscribeResponse)
        assert answer.HasField("started")

        server.signal(signal.SIGTERM)
        assert (await server.event())["event"] == "draining"
        server.signal(signal.SIGTERM)
        status, _, err = await server.end(seconds=10)
    assert status == 1
    assert err == "error: second signal: stopped without draining\n"


async def test_a_supervisor_is_told_by_file_and_by_descriptor(bellwire):
    reading, writing = os.pipe()
    arguments = ("--listen", "127.0.0.1:0", "--ready-file", "ready", "--ready-fd", str(writing))
    async with bellwire.started("serve", "--json", *arguments, pass_fds=(writing,)) as server:
        os.close(writing)
        event = await server.event()
        with os.fdopen(reading) as ready:
            assert json.loads(ready.read()) == event
        assert json.loads((bellwire.folder / "ready").read_text()) == event
        assert event["pid"] == server.process.pid
        server.signal(signal.SIGTERM)
        assert (await server.end())[0] == 0


async def test_a_port_in_use_is_refused_in_one_line(bellwire):
    async with bellwire.started("serve", "--json", "--listen", "127.0.0.1:0") as first:
        address = (await first.event())["addresses"][0]
        status, out, err = await bellwire.run("serve", "--listen", address)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: cannot listen at {address}: Address already in use")
    assert err.count("\n") == 1


async def test_a_socket_in_use_is_refused_and_its_owner_goes_on(bellwire):
    async with bellwire.serving() as (_, address):
        status, _, err = await bellwire.run("serve", "--listen", address)
        assert status == 2
        assert "another coordinator listens there" in err
        assert (await bellwire.run("topics", "list", "--address", address))[0] == 0


async def test_a_socket_path_that_cannot_be_written_is_refused(bellwire):
    (bellwire.folder / "file").write_text("")
    status, out, err = await bellwire.run(
        "serve", "--listen", f"unix://{bellwire.folder}/file/bus.sock"
    )
    assert (status, out) == (2, "")
    assert err.startswith(f"error: cannot listen at unix://{bellwire.folder}/file/bus.sock: ")
    assert err.count("\n") == 1


async def test_the_socket_is_reachable_by_its_owner_only(bellwire):
    folder = bellwire.folder / "made"
    async with bellwire.started("serve", "--json", "--listen", f"unix://{folder}/s") as server:
        await server.event()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600


async def test_an_unknown_key_in_the_file_is_refused(bellwire):
    (bellwire.folder / "bellwire.toml").write_text("[coordinator]\nwrokers = 4\n")
    assert await bellwire.run("serve") == (
        2,
        "",
        "error: bellwire.toml: unknown key coordinator.wrokers; "
        "did you mean coordinator.workers?\n",
    )


async def test_settings_of_file_environment_and_flag_reach_the_server(bellwire):
    (bellwire.folder / "bellwire.toml").write_text("[coordinator]\ndefault_partitions = 3\n")
    bellwire.environment["BELLWIRE_COORDINATOR__AUTO_CREATE_TOPICS"] = "false"
    async with bellwire.serving("--set", "coordinator.retention_messages=7") as (_, address):
        refused = await bellwire.run("pub", "t", "--data", "x", "--address", address)
        assert refused[0] == 1
        assert "t" in refused[2]
        status, out, _ = await bellwire.run("topics", "create", "t", "-a", address, "--json")
    assert status == 0
    topic = json.loads(out)
    assert (topic["partition_count"], topic["retention_messages"]) == (3, 7)


async def test_a_sampled_message_leaves_a_trace_that_can_be_drawn(bellwire):
    traces = bellwire.folder / "traces"
    async with bellwire.serving("--set", f"telemetry.trace_dir={traces}") as (server, address):
        async with connect(address) as client:
            message = new_message(data=b"x", traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01")
            await client.publisher().publish_message("orders.paper", message)
        taken = await bellwire.run("sub", "orders.paper", "-n", "1", *EARLIEST, "-a", address)
        assert taken == (0, "x\n", "")
        server.signal(signal.SIGTERM)
        assert (await server.end())[0] == 0

    status, out, _ = await bellwire.run("trace", TRACE_ID[:8], "--dir", str(traces))
    assert status == 0
    assert out.startswith(f"trace {TRACE_ID}")
    assert "route orders.paper" in out
    status, out, _ = await bellwire.run("trace", "--last", "--dir", str(traces), "--json")
    found = json.loads(out)
    assert (found["trace_id"], found["services"]) == (TRACE_ID, ["coordinator"])
    assert found["spans"][0]["pid"] == server.process.pid

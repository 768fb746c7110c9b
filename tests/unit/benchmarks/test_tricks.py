"""The tricks: each is in force where it should be and nowhere else; the verdict follows its rule."""

import json
import os
import subprocess
import sys

import pytest
from tests.benchmarks.markdown_page import REPOSITORY
from tests.benchmarks.trick_list import SITE, TRICK_VARIABLE, TRICKS, Trick
from tests.benchmarks.trick_micro import fresh, pooled
from tests.benchmarks.trick_table import render_tricks
from tests.benchmarks.trick_verdict import Gain, Verdict, gain_of, verdict_of
from tests.unit.benchmarks.test_stages import PROVENANCE

from bellwire.bus.v1.message_pb2 import Message, MessageBlock

BROKER = json.dumps({"role": "broker"})


def told(trick, source, description=BROKER):
    """Run source in a process that has the trick; return what it printed."""
    with trick.applied():
        done = subprocess.run(
            [sys.executable, "-c", source, description],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("gc_thresholds", "import gc; print(gc.get_threshold())", "(50000, 20, 50)"),
        ("gc_off", "import gc; print(gc.isenabled())", "False"),
        ("switch_interval", "import sys; print(sys.getswitchinterval())", "0.0005"),
        ("optimize", "import sys; print(sys.flags.optimize)", "1"),
        ("arena_1", "import os; print(os.environ['MALLOC_ARENA_MAX'])", "1"),
        (
            "protobuf_python",
            "from google.protobuf.internal import api_implementation as a; print(a.Type())",
            "python",
        ),
        (
            "asyncio_loop",
            "import asyncio, uvloop\n"
            "async def main(): print(type(asyncio.get_running_loop()).__module__)\n"
            "uvloop.run(main())",
            "asyncio.unix_events",
        ),
        (
            "gc_freeze",
            "import asyncio, gc, uvloop\n"
            "async def main():\n"
            "    while not gc.get_freeze_count(): await asyncio.sleep(0.01)\n"
            "    print(gc.get_threshold())\n"
            "uvloop.run(main())",
            "(50000, 20, 50)",
        ),
        (
            "grpc_threads_1",
            "import asyncio, threading, uvloop\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop()\n"
            "    names = [loop.run_in_executor(None, threading.get_ident) for _ in range(8)]\n"
            "    print(len(set(await asyncio.gather(*names))))\n"
            "uvloop.run(main())",
            "1",
        ),
    ],
)
def test_a_trick_is_in_force(name, source, expected):
    assert told(TRICKS[name], source) == expected


@pytest.mark.parametrize(("role", "polls"), [("subscriber", True), ("broker", False)])
def test_a_busy_loop_goes_round_though_nothing_happens(role, polls):
    source = """
import asyncio, sitecustomize, uvloop
rounds = 0
go_on = sitecustomize._keep_polling
def counted(loop):
    global rounds
    rounds += 1
    go_on(loop)
sitecustomize._keep_polling = counted
async def main():
    for _ in range(50):
        await asyncio.sleep(0.002)
    print(rounds > 1_000)
uvloop.run(main())
"""
    told_role = json.dumps({"role": role})
    assert told(TRICKS["busy_subscriber"], source, told_role) == str(polls)


def test_socket_buffers_are_set_at_both_ends_of_what_the_loop_connects(tmp_path):
    trick = Trick("b", "b", start={"socket_buffer_bytes": 64 << 10})
    source = f"""
import asyncio, socket, uvloop
class End(asyncio.Protocol):
    def connection_made(self, transport):
        found.append(transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
        if len(found) == 2: both.set_result(None)
async def main():
    global both
    loop = asyncio.get_running_loop()
    both = loop.create_future()
    server = await loop.create_unix_server(End, {str(tmp_path / "s")!r})
    transport, _ = await loop.create_unix_connection(End, {str(tmp_path / "s")!r})
    await both
    transport.close(); server.close()
    print(found)
found = []
uvloop.run(main())
"""
    assert told(trick, source) == str([128 << 10] * 2)  # Linux doubles what is asked for.


def test_grpc_options_are_added_to_those_of_the_program():
    source = """
import sys, grpc
sys.argv
kept = grpc.aio.insecure_channel
import grpc.aio._channel as c
seen = []
c.Channel.__init__ = lambda self, target, options, *rest, **named: seen.append(options)
kept("localhost:1", options=[("a", 1)])
print(seen[0])
"""
    assert (
        told(TRICKS["grpc_latency"], source)
        == "[('a', 1), ('grpc.optimization_target', 'latency')]"
    )


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no affinity to choose")
def test_each_role_has_its_core():
    source = "import os; print(sorted(os.sched_getaffinity(0)))"
    cores = sorted(os.sched_getaffinity(0))
    trick = TRICKS["affinity_split"]
    assert told(trick, source) == str(cores[:1])
    for role in ("publisher", "subscriber"):
        assert told(trick, source, json.dumps({"role": role})) == str(cores[1:2])


def test_after_a_trick_the_environment_is_what_it_was(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "x")
    monkeypatch.delenv("PYTHONOPTIMIZE", raising=False)
    trick = Trick("t", "t", {"PYTHONOPTIMIZE": "1"}, {"gc": "off"})
    with trick.applied():
        assert os.environ["PYTHONPATH"] == f"{SITE}:x"
        assert json.loads(os.environ[TRICK_VARIABLE]) == {"gc": "off"}
    assert os.environ["PYTHONPATH"] == "x"
    assert "PYTHONOPTIMIZE" not in os.environ
    assert TRICK_VARIABLE not in os.environ


def test_a_gain_is_that_of_neighbours_in_time():
    gain = gain_of([100, 200], [110, 240], more_is_better=True)
    assert (gain.median, gain.low, gain.high) == pytest.approx((0.15, 0.1, 0.2))
    assert gain_of([110.0], [100.0], more_is_better=False).median == pytest.approx(0.1)
    with pytest.raises(ValueError, match="no rounds"):
        gain_of([], [], more_is_better=True)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([Gain(0.05, 0.04, 0.06)], Verdict.ACCEPT),
        ([Gain(0.03, 0.03, 0.03)], Verdict.REJECT),  # Not above 3 %.
        ([Gain(0.05, 0.00, 0.06)], Verdict.REJECT),  # Rounds differ by more.
        ([Gain(0.05, 0.04, 0.06), Gain(-0.05, -0.06, -0.04)], Verdict.REJECT),  # Paid elsewhere.
        ([Gain(0.05, 0.04, 0.06), Gain(-0.02, -0.03, -0.01)], Verdict.ACCEPT),
        ([Gain(0.05, 0.04, 0.06), Gain(-0.04, -0.20, 0.30)], Verdict.REJECT),  # Perhaps.
    ],
)
def test_the_verdict(gains, verdict):
    assert verdict_of(gains) is verdict


def test_the_table_has_a_row_for_each_trick_tried_or_not():
    side = {"messages_per_second": 100.0, "p50_us": 50.0, "p95_us": 90.0}
    better = {"messages_per_second": 110.0, "p50_us": 50.0, "p95_us": 90.0}
    tricks = [
        {"name": "a", "title": "A", "peer": "bellwire_tcp", "rounds": [{"without": side, "with": better}] * 3},
        {"name": "b", "title": "B", "peer": "bellwire_tcp", "rounds": [], "missing": "no such thing"},
        {"name": "c", "title": "C", "peer": "bellwire_tcp", "rounds": [], "error": "x\nended"},
        {"name": "p", "title": "P", "peer": "", "rounds": [{"without": {"batch_us": 9.0}, "with": {"batch_us": 9.0}}]},
    ]  # fmt: skip
    page = render_tricks(PROVENANCE | {"settings": {"rounds": 3}, "tricks": tricks})
    assert "| A | Bellwire TCP | 100 → 110 | +10.0% (+10.0% … +10.0%) | 50 → 50 |" in page
    assert "| accept |" in page
    assert "not tried: no such thing |" in page
    assert "failed: x ended |" in page
    assert "| P | encode step | – | – | 9 → 9 |" in page


def test_the_pool_makes_the_same_block_but_for_ids_and_times():
    payloads = [b"a", b"bc"]
    blocks = [fresh(payloads), pooled(payloads, [Message(), Message()])]
    for block in blocks:
        messages = MessageBlock.FromString(block).messages
        assert [message.data for message in messages] == payloads
        assert len({message.id for message in messages}) == 2
    assert len(blocks[0]) == len(blocks[1])

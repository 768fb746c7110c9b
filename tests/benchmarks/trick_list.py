"""The tricks that are tried: each one setting, applied from outside to all processes of a measurement."""

import glob
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SITE: Final = Path(__file__).with_name("trick_site")
TRICK_VARIABLE: Final = "BELLWIRE_BENCH_TRICK"
SOCKET: Final = "bellwire_socket"
TCP: Final = "bellwire_tcp"
DIRECT: Final = "bellwire_direct"
_JEMALLOC: Final = next(iter(sorted(glob.glob("/usr/lib/*/libjemalloc.so.2"))), "")
_CORES: Final = sorted(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Trick:
    """One setting."""

    name: str
    title: str
    environment: Mapping[str, str] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    """What `trick_site/sitecustomize.py` does at the start of each process."""
    peer: str = SOCKET
    missing: str = ""
    """Why it cannot be tried here; empty = it can."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let processes started meanwhile have the setting."""
        changes = dict(self.environment)
        if self.start:
            before = os.environ.get("PYTHONPATH", "")
            changes["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SITE), before)))
            changes[TRICK_VARIABLE] = json.dumps(dict(self.start))
        kept = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        try:
            yield
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _cpus(broker: list[int], clients: list[int]) -> dict[str, Any]:
    return {"cpus": {"broker": broker, "publisher": clients, "subscriber": clients}}


_ONE_CORE: Final = "" if len(_CORES) > 1 else "this machine has one core"
TRICKS: Final[dict[str, Trick]] = {
    trick.name: trick
    for trick in (
        Trick(
            "gc_freeze",
            "gc.freeze() once connected, thresholds 50,000/20/50",
            start={"gc": "freeze"},
        ),
        Trick("gc_thresholds", "gc thresholds 50,000/20/50", start={"gc": "thresholds"}),
        Trick("gc_off", "gc off", start={"gc": "off"}),
        Trick(
            "switch_interval",
            "sys.setswitchinterval(0.5 ms)",
            start={"switch_interval_seconds": 0.0005},
        ),
        Trick("optimize", "python -O", {"PYTHONOPTIMIZE": "1"}),
        Trick("asyncio_loop", "asyncio's own loop instead of uvloop", start={"loop": "asyncio"}),
        Trick(
            "buffers_64k",
            "SO_SNDBUF, SO_RCVBUF 64 KiB",
            start={"socket_buffer_bytes": 64 << 10},
        ),
        Trick(
            "buffers_1m",
            "SO_SNDBUF, SO_RCVBUF 1 MiB",
            start={"socket_buffer_bytes": 1 << 20},
        ),
        Trick(
            "affinity_split",
            "coordinator on one core, clients on another",
            start=_cpus(_CORES[:1], _CORES[1:2]),
            missing=_ONE_CORE,
        ),
        Trick(
            "affinity_one",
            "all on one core",
            start=_cpus(_CORES[:1], _CORES[:1]),
            missing=_ONE_CORE,
        ),
        Trick(
            "busy_subscriber",
            "the subscriber's event loop never sleeps",
            start={"busy": ["subscriber"]},
            peer=DIRECT,
        ),
        Trick(
            "busy_clients",
            "the event loops of publisher and subscriber never sleep",
            start={"busy": ["publisher", "subscriber"]},
            peer=DIRECT,
        ),
        Trick("arena_1", "MALLOC_ARENA_MAX=1", {"MALLOC_ARENA_MAX": "1"}),
        Trick("malloc", "PYTHONMALLOC=malloc (no pymalloc)", {"PYTHONMALLOC": "malloc"}),
        Trick(
            "jemalloc",
            "jemalloc by LD_PRELOAD",
            {"LD_PRELOAD": _JEMALLOC},
            missing="" if _JEMALLOC else "libjemalloc2 is not installed",
        ),
        Trick(
            "fork_support",
            "GRPC_ENABLE_FORK_SUPPORT=0",
            {"GRPC_ENABLE_FORK_SUPPORT": "0"},
            peer=TCP,
        ),
        Trick("poll", "GRPC_POLL_STRATEGY=poll", {"GRPC_POLL_STRATEGY": "poll"}, peer=TCP),
        Trick(
            "grpc_threads_1",
            "thread pools of gRPC server and loop: 1",
            start={"grpc_threads": 1},
            peer=TCP,
        ),
        Trick(
            "grpc_threads_16",
            "thread pools of gRPC server and loop: 16",
            start={"grpc_threads": 16},
            peer=TCP,
        ),
        Trick(
            "grpc_single_threaded",
            "grpc.experimental SingleThreadedUnaryStream",
            start={"grpc_options": [["SingleThreadedUnaryStream", 1]]},
            peer=TCP,
        ),
        Trick(
            "grpc_latency",
            "grpc.optimization_target=latency",
            start={"grpc_options": [["grpc.optimization_target", "latency"]]},
            peer=TCP,
        ),
        Trick(
            "grpc_no_bdp",
            "no bandwidth probes of gRPC, window 4 MiB",
            start={
                "grpc_options": [
                    ["grpc.http2.bdp_probe", 0],
                    ["grpc.http2.lookahead_bytes", 4 << 20],
                ]
            },
            peer=TCP,
        ),
        Trick(
            "grpc_minimal_stack",
            "grpc.minimal_stack=1",
            start={"grpc_options": [["grpc.minimal_stack", 1]]},
            peer=TCP,
        ),
        Trick(
            "grpc_read_chunks",
            "gRPC reads at least 64 KiB at a time",
            start={"grpc_options": [["grpc.experimental.tcp_min_read_chunk_size", 64 << 10]]},
            peer=TCP,
        ),
        Trick(
            "grpc_pollers",
            "gRPC's own pollers instead of its event engine",
            {"GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener"},
            peer=TCP,
        ),
        Trick(
            "protobuf_python",
            "protobuf in pure Python instead of upb",
            {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        ),
        Trick(
            "numba", "numba", missing="nothing on the way of a message is a numeric loop in Python"
        ),
    )
}

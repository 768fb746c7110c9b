"""Applies one trick to a process of a measurement, before anything of it is imported.

Python imports a module of this name at its start (site, PEP 370 era); `tricks.py` puts this folder on
PYTHONPATH. What to do is JSON in BELLWIRE_BENCH_TRICK. Nothing of the product knows of it.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

FREEZE_AFTER_SECONDS = 0.25  # Everything is connected then, and the warm-up still runs.
THRESHOLDS = (50_000, 20, 50)  # Some hundred batches of allocations instead of seven messages.
CONNECTION_MAKERS = (
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
)


def apply(trick: dict[str, Any]) -> None:
    """Apply what the trick names; an unknown name is a mistake and ends the process."""
    appliers: dict[str, Callable[[Any], None]] = {
        "gc": _apply_gc,
        "switch_interval_seconds": sys.setswitchinterval,
        "cpus": _apply_cpus,
        "loop": _apply_loop,
        "busy": _apply_busy,
        "socket_buffer_bytes": _apply_socket_buffers,
        "grpc_options": _apply_grpc_options,
        "grpc_threads": _apply_grpc_threads,
    }
    for name, value in trick.items():
        appliers[name](value)


def role() -> str:
    """Give the role of a worker: its description is the last argument."""
    try:
        described = json.loads(sys.orig_argv[-1])
        return str(described["role"])
    except (ValueError, KeyError, TypeError):
        return ""


def _apply_gc(how: str) -> None:
    if how == "off":
        gc.disable()
    elif how == "thresholds":
        gc.set_threshold(*THRESHOLDS)
    elif how == "freeze":
        _around_main(lambda loop: loop.call_later(FREEZE_AFTER_SECONDS, _freeze))
    else:
        raise ValueError(f"gc: {how!r}")


def _freeze() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def _apply_cpus(cpus: dict[str, list[int]]) -> None:
    wanted = cpus.get(role())
    if wanted:
        os.sched_setaffinity(0, wanted)


def _apply_loop(name: str) -> None:
    import asyncio

    import uvloop

    if name != "asyncio":
        raise ValueError(f"loop: {name!r}")
    setattr(uvloop, "run", asyncio.run)  # noqa: B010 - its type is another


def _apply_busy(roles: list[str]) -> None:
    if role() in roles:
        _around_main(_keep_polling)


def _keep_polling(loop: Any) -> None:
    loop.call_soon(_keep_polling, loop)


def _apply_grpc_options(options: list[list[Any]]) -> None:
    import grpc

    more = [(str(key), value) for key, value in options]
    for name in ("insecure_channel", "server"):
        _with_options(grpc.aio, name, more)


def _with_options(module: Any, name: str, more: list[tuple[str, Any]]) -> None:
    make = getattr(module, name)

    def made(*arguments: Any, options: Any = (), **named: Any) -> Any:
        return make(*arguments, options=[*(options or ()), *more], **named)

    setattr(module, name, made)


def _apply_grpc_threads(count: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    make = grpc.aio.server

    def server(*arguments: Any, **named: Any) -> Any:
        return make(ThreadPoolExecutor(count), *arguments, **named)

    setattr(grpc.aio, "server", server)  # noqa: B010 - its type is another
    _around_main(lambda loop: loop.set_default_executor(ThreadPoolExecutor(count)))


def _apply_socket_buffers(size_bytes: int) -> None:
    import uvloop

    def overridden(name: str) -> Any:
        make = getattr(uvloop.Loop, name)

        async def create(self: Any, factory: Any, *arguments: Any, **named: Any) -> Any:
            return await make(self, _resized(factory, size_bytes), *arguments, **named)

        return create

    # Sets the buffers of each connection that is made through the loop; gRPC makes its own elsewhere.
    loop = type("Loop", (uvloop.Loop,), {name: overridden(name) for name in CONNECTION_MAKERS})
    _around_main(lambda _: None, loop)


def _resized(factory: Any, size_bytes: int) -> Any:
    def make() -> Any:
        protocol = factory()
        kind = type(protocol)

        def connection_made(self: Any, transport: Any) -> None:
            _resize(transport, size_bytes)
            kind.connection_made(self, transport)

        # By a class over its own: the protocol may have slots and take no attribute of an instance.
        over = {"__slots__": (), "connection_made": connection_made}
        protocol.__class__ = type(kind.__name__, (kind,), over)
        return protocol

    return make


def _resize(transport: Any, size_bytes: int) -> None:
    import socket

    connection = transport.get_extra_info("socket")
    if connection is not None:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, option, size_bytes)


def _around_main(before: Any, loop_factory: Any = None) -> None:
    """Do something on the loop of the process before its own main runs."""
    import asyncio

    import uvloop

    def run(main: Any) -> Any:
        async def prepared() -> Any:
            before(asyncio.get_running_loop())
            return await main

        factory = loop_factory or uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(prepared())

    setattr(uvloop, "run", run)  # noqa: B010 - its type is another


if "BELLWIRE_BENCH_TRICK" in os.environ:
    apply(json.loads(os.environ["BELLWIRE_BENCH_TRICK"]))

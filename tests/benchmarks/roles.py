"""The three processes of a measurement. Each answers commands; between commands it only works."""

import time
from array import array
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.open_loop import NANOSECONDS_PER_SECOND, Schedule, run_open_loop
from tests.benchmarks.payload import PayloadMaker
from tests.benchmarks.peers import AcknowledgingPublisher, PeerPublisher, load_peer, load_server
from tests.benchmarks.sink import Sink
from tests.benchmarks.timerfd import KernelTimer
from tests.benchmarks.wire_bytes import tcp_bytes_of_this_process

LEAD_SECONDS: Final = 0.01  # A schedule starts a little in the future, so message 0 is not late.
# A saturated system may take this many times the planned duration before the rest counts as unsent.
OVERRUN_FACTOR: Final = 2
FLOOD_CHUNK_MESSAGES: Final = 1_000  # Made and handed over at once: one of the largest batches.
QUIET_SECONDS: Final = 2.0  # Silence after which messages still missing count as lost.

Reply = dict[str, Any]


class Role(Protocol):
    """Answers the commands of the conductor."""

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Carry one command out."""


class PublisherRole:
    """Generates load."""

    def __init__(self, publisher: PeerPublisher) -> None:
        self._publisher = publisher
        self._payloads = PayloadMaker()

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `paced`, `flood` or `one_by_one`, or ask the broker for its `commits`."""
        if command == "paced":
            return await self._paced(**arguments)
        if command == "flood":
            return await self._flood(**arguments)
        if command == "one_by_one":
            return await self._one_by_one(**arguments)
        if command == "commits":
            return await self._commits()
        raise ValueError(f"a publisher cannot {command!r}")

    async def _paced(self, *, first: int, rate: int, seconds: float) -> Reply:
        start_ns = time.monotonic_ns() + _nanoseconds(LEAD_SECONDS)
        schedule = Schedule(start_ns, rate, max(1, round(rate * seconds)))
        send, make = self._publisher.send, self._payloads.make

        async def send_one(index: int, intended_ns: int, began_ns: int) -> None:
            await send(make(first + index, intended_ns, began_ns))

        with KernelTimer() as timer:
            report = await run_open_loop(
                schedule,
                send_one,
                wait_until=timer.wait_until,
                give_up_ns=start_ns + _nanoseconds(seconds * OVERRUN_FACTOR),
            )
        await self._publisher.flush()
        late = LatencyHistogram.of(report.lateness_ns).quantiles()
        return {
            "sent": report.sent,
            "unsent": report.unsent,
            "offered_per_second": rate,
            "start_ns": start_ns,
            "seconds": _seconds(time.monotonic_ns() - start_ns),
            "generator_late": late,
        }

    async def _flood(self, *, first: int, seconds: float) -> Reply:
        make_many = self._payloads.make_many
        start_ns = now_ns = time.monotonic_ns()
        end_ns = start_ns + _nanoseconds(seconds)
        sent = 0
        while now_ns < end_ns:
            payloads = make_many(first + sent, FLOOD_CHUNK_MESSAGES, now_ns)
            await self._publisher.send_many(payloads)
            sent += FLOOD_CHUNK_MESSAGES
            now_ns = time.monotonic_ns()
        await self._publisher.flush()
        done_ns = time.monotonic_ns()
        return {"sent": sent, "start_ns": start_ns, "seconds": _seconds(done_ns - start_ns)}

    async def _one_by_one(self, *, first: int, seconds: float) -> Reply:
        publish, make = self._acknowledging().publish_acknowledged, self._payloads.make
        start_ns = now_ns = time.monotonic_ns()
        end_ns = start_ns + _nanoseconds(seconds)
        took_ns = array("q")
        while now_ns < end_ns:
            await publish(make(first + len(took_ns), now_ns, now_ns))
            began_ns, now_ns = now_ns, time.monotonic_ns()
            took_ns.append(now_ns - began_ns)
        return {
            "sent": len(took_ns),
            "seconds": _seconds(now_ns - start_ns),
            "acknowledged": LatencyHistogram.of(took_ns).to_json(),
        }

    async def _commits(self) -> Reply:
        if not isinstance(self._publisher, AcknowledgingPublisher):
            return {"commits": None}
        times = await self._publisher.commit_times()
        return {"commits": None if times is None else times._asdict()}

    def _acknowledging(self) -> AcknowledgingPublisher:
        if not isinstance(self._publisher, AcknowledgingPublisher):
            raise TypeError(f"{type(self._publisher).__name__} acknowledges nothing it has stored")
        return self._publisher


class SubscriberRole:
    """Receives and accounts."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `begin` (a phase) or `finish` (it)."""
        if command == "begin":
            self.sink.begin(**arguments)
            return {}
        if command == "finish":
            return await self._finish(**arguments)
        raise ValueError(f"a subscriber cannot {command!r}")

    async def _finish(self, *, expected: int) -> Reply:
        sink = self.sink
        await sink.wait_for(expected, quiet_seconds=QUIET_SECONDS)
        reply: Reply = {
            "received": sink.arrivals.received,
            "duplicates": sink.arrivals.duplicates,
            "out_of_order": sink.arrivals.out_of_order,
            "last_ns": sink.last_ns,
        }
        if sink.from_intended_ns:
            reply["from_intended"] = LatencyHistogram.of(sink.from_intended_ns).to_json()
            reply["from_began"] = LatencyHistogram.of(sink.from_began_ns).quantiles()
        return reply


class BrokerRole:
    """Stands between the two; it has nothing to be told."""

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Refuse: a broker takes no commands but the common ones."""
        raise ValueError(f"a broker cannot {command!r}")


class Wired:
    """Adds the commands that every role has."""

    def __init__(self, role: Role) -> None:
        self._role = role

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Answer `wire`, pass the rest on."""
        if command == "wire":
            totals = tcp_bytes_of_this_process()
            return {"tcp": None if totals is None else list(totals)}
        return await self._role.do(command, arguments)


@asynccontextmanager
async def open_role(
    role: str,
    peer_name: str,
    *,
    directory: str,
    address: str = "",
    batch_messages_max: int | None = None,
    rows_per_message: int | None = None,
    builds_book: bool = False,
    narrow: bool = False,
) -> AsyncIterator[tuple[Role, Reply]]:
    """Start one role of a peer; give it and what it has to say of itself.

    With `rows_per_message` the load is columns.
    """
    async with AsyncExitStack() as stack:
        if role == "broker":
            server = load_server(peer_name)
            broker = await stack.enter_async_context(server.serve(Path(directory)))
            yield Wired(BrokerRole()), {"address": broker.address, "pid": broker.pid}
        elif role == "publisher":
            connected = load_peer(peer_name).publisher(
                address, batch_messages_max=batch_messages_max
            )
            publisher = await stack.enter_async_context(connected)
            if rows_per_message is None:
                yield Wired(PublisherRole(publisher)), {}
            else:
                # Here, because not every peer's environment has numpy.
                from tests.benchmarks.column_role import ColumnPublisherRole

                yield Wired(ColumnPublisherRole(publisher, rows_per_message, narrow)), {}
        elif role == "subscriber":
            sink = Sink()
            if rows_per_message is not None:
                from tests.benchmarks.column_sink import ColumnSink

                sink = ColumnSink(rows_per_message, builds_book=builds_book)
            subscriber = SubscriberRole(sink)
            await stack.enter_async_context(
                load_peer(peer_name).subscriber(address, subscriber.sink)
            )
            yield Wired(subscriber), {}
        else:
            raise ValueError(f"there is no role {role!r}")


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS_PER_SECOND)


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / NANOSECONDS_PER_SECOND

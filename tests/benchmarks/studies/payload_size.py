"""Bytes of the demo's own stream over Bellwire, and as JSON over HTTP."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from statistics import mean, median
from typing import Final

from tests.benchmarks.cells import ABSENT, number
from tests.benchmarks.figure import Figure
from tests.benchmarks.one_run import run_once
from tests.benchmarks.process import MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import DURATIONS_DEFAULT, Durations
from tests.benchmarks.studies.record_demo import read_json, read_messages
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table

BARS: Final = 400  # Enough for some dozen orders; it plays in about ten seconds.
BARS_SHORT: Final = 150
RECORDING_SECONDS_MAX: Final = 120.0
RATE_PER_SECOND: Final = 1_000
BATCH_MESSAGES_MAX: Final = 100
LANE: Final = "grpc over TCP"
# How the stream is played: name, messages per second (0 = as fast as it goes), JSON objects in one request.
PACED: Final = "one by one"
BATCHED: Final = "batched"
MODES: Final = {PACED: (RATE_PER_SECOND, 1), BATCHED: (0, BATCH_MESSAGES_MAX)}
HTTP: Final = "JSON over HTTP"
IDENTITY: Final = "Bellwire without LZ4"
LZ4: Final = "Bellwire"
SYSTEMS: Final = (HTTP, IDENTITY, LZ4)
LEGS: Final = ("publish", "deliver")


class PayloadStudy:
    """Records the demo, plays it on each system, and reads the bytes from the kernel."""

    def __init__(self, bars: int = BARS, bars_short: int = BARS_SHORT) -> None:
        self._bars = bars
        self._bars_short = bars_short

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Count once."""
        del peer
        short = durations.load_seconds < DURATIONS_DEFAULT.load_seconds
        recording = workplace.directory / "recording.jsonl"
        await _record(recording, self._bars_short if short else self._bars, workplace)
        played: Reply = {HTTP: await _over_http(recording, workplace)}
        for system in (IDENTITY, LZ4):
            played[system] = await _over_bellwire(recording, workplace, compress=system == LZ4)
        return {"bytes_per_message": played, **_contents(recording)}

    def headline(self, measurement: Measurement) -> str:
        """Give what is saved."""
        return ", ".join(
            f"{mode}: {_saving(LZ4, HTTP, mode, [measurement]):.0%} smaller" for mode in MODES
        )

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = (*LEGS, "both", "smaller than JSON over HTTP", "LZ4's part of it")
        table = Table(f"{title}, TCP bytes per message", ("system", "stream", *heads))
        for mode in MODES:
            for system in SYSTEMS:
                legs = [number(_bytes(system, mode, leg, measurements)) for leg in LEGS]
                both = number(_both(system, mode, measurements))
                saved = _saving(system, HTTP, mode, measurements)
                table.rows.append(
                    (
                        system,
                        mode,
                        *legs,
                        both,
                        ABSENT if system == HTTP else f"{saved:.1%}",
                        f"{_lz4_part(mode, measurements):.1%}" if system == LZ4 else ABSENT,
                    )
                )
        count, protobuf, as_json = (
            number(median(each[key] for each in measurements))
            for key in ("messages", "protobuf_bytes", "json_bytes")
        )
        table.notes.append(
            f"{count} messages; without any framing one is {protobuf} bytes of protobuf or"
            f" {as_json} bytes of JSON (means)"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the saving of each way to send."""
        return [Figure(mode, LANE, _saving(LZ4, HTTP, mode, measurements)) for mode in MODES]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give bytes over both legs, a line for each way to send, over the systems in order."""
        return [
            {
                "name": mode,
                "x_label": f"system: {', '.join(SYSTEMS)}",
                "y_label": "TCP bytes per message, both legs",
                "x": [float(index) for index in range(len(SYSTEMS))],
                "y": [_both(system, mode, measurements) for system in SYSTEMS],
            }
            for mode in MODES
        ]


def _bytes(system: str, mode: str, leg: str, measurements: Sequence[Measurement]) -> float:
    return median(float(each["bytes_per_message"][system][mode][leg]) for each in measurements)


def _both(system: str, mode: str, measurements: Sequence[Measurement]) -> float:
    return sum(_bytes(system, mode, leg, measurements) for leg in LEGS)


def _saving(ours: str, theirs: str, mode: str, measurements: Sequence[Measurement]) -> float:
    return 1 - _both(ours, mode, measurements) / _both(theirs, mode, measurements)


def _lz4_part(mode: str, measurements: Sequence[Measurement]) -> float:
    """Give what LZ4 alone takes off, as a share of the bytes of JSON over HTTP."""
    saved = _both(IDENTITY, mode, measurements) - _both(LZ4, mode, measurements)
    return saved / _both(HTTP, mode, measurements)


def _contents(recording: Path) -> Reply:
    return {
        "messages": len(read_json(recording)),
        "protobuf_bytes": mean(message.ByteSize() for _, message in read_messages(recording)),
        "json_bytes": mean(len(body) for _, body in read_json(recording)),
    }


async def _record(path: Path, bars: int, workplace: Workplace) -> None:
    await run_once(
        "demo",
        *("-m", "tests.benchmarks.studies.record_demo", str(path), str(bars)),
        seconds_max=RECORDING_SECONDS_MAX,
        workplace=workplace,
        failed="the demo could not be recorded",
    )


async def _over_http(recording: Path, workplace: Workplace) -> Reply:
    """Play to a server; delivery would be the same requests again, from the server to a webhook."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_worker(workplace, "http-server"))
        where = {"address": server.about["address"], "recording": str(recording)}
        client = await stack.enter_async_context(_worker(workplace, "http-client", **where))
        found = {}
        for mode, (rate, batch) in MODES.items():
            before = await _tcp_bytes(client)
            played = await client.do("play", batch_messages_max=batch, rate=rate)
            moved = (await _tcp_bytes(client) - before) / played["sent"]
            found[mode] = dict.fromkeys(LEGS, round(moved, 2))
        return found


async def _over_bellwire(recording: Path, workplace: Workplace, *, compress: bool) -> Reply:
    async with AsyncExitStack() as stack:

        async def start(role: str, **options: object) -> Worker:
            return await stack.enter_async_context(_worker(workplace, role, **options))

        broker = await start("broker", transport="tcp")
        address = broker.about["address"]
        subscriber = await start("counting-subscriber", address=address)
        publisher = await start(
            "recorded-publisher", address=address, recording=str(recording), compress=compress
        )
        arrived = (await publisher.do("begin"))["sent"]
        await subscriber.do("await", expected=arrived)
        found = {}
        for mode, (rate, _) in MODES.items():
            before = [await _tcp_bytes(each) for each in (publisher, subscriber)]
            sent = (await publisher.do("play", rate=rate))["sent"]
            arrived += sent
            received = (await subscriber.do("await", expected=arrived))["received"]
            if received != arrived:
                raise MeasurementError(f"{received:,} of {arrived:,} messages arrived")
            after = [await _tcp_bytes(each) for each in (publisher, subscriber)]
            found[mode] = {
                leg: round((new - old) / sent, 2)
                for leg, new, old in zip(LEGS, after, before, strict=True)
            }
        return found


def _worker(
    workplace: Workplace, role: str, **options: object
) -> AbstractAsyncContextManager[Worker]:
    return workplace.worker(f"study-{role}", "bellwire", name=role, **options)


async def _tcp_bytes(worker: Worker) -> int:
    """Give the bytes a process has moved over TCP so far, both directions."""
    tcp = (await worker.do("wire"))["tcp"]
    if tcp is None:
        raise MeasurementError(f"{worker.role} has no TCP connection to count on")
    sent, received = tcp
    return int(sent + received)


STUDY: Final = PayloadStudy()

"""The rows and figures of `inference_bus`: medians over the rounds, and ratios round by round."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from tests.benchmarks.cells import ABSENT
from tests.benchmarks.figure import Figure
from tests.benchmarks.studies.inference_load import ROWS
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table
from tests.benchmarks.tactical_models import INT8

LITSERVE: Final = "litserve"
GRPC: Final = "bellwire_tcp"
SOCKET: Final = "bellwire_socket"
CALLS: Final = "calls"
TOPICS: Final = "topics"
RAW: Final = "raw bytes"
# Calls have no socket lane: on one host they are gRPC over a Unix socket.
CARRIERS: Final = {
    (GRPC, CALLS): "calls, grpc over TCP",
    (GRPC, TOPICS): "topics, grpc over TCP",
    (SOCKET, CALLS): "calls, grpc over a Unix socket",
    (SOCKET, TOPICS): "topics, socket lane",
    (LITSERVE, RAW): "LitServe, raw bytes over HTTP",
}
IN_FLIGHT: Final = (1, 8)
JUDGED_IN_FLIGHT: Final = IN_FLIGHT[-1]
RATE: Final = "observations_per_second"
BYTES_PER_MB: Final = 1e6
MICROS_PER_MILLI: Final = 1e3
BESIDE_GRPC: Final = "socket lane beside grpc"
AGENT: Final = "agent"
MEMORY: Final = "agent MB"
HEADS: Final = (
    "way",
    "in flight",
    "obs/s",
    "p50 µs",
    "p99 µs",
    "× LitServe",
    "CPU ms/msg",
    "RSS MB, idle → loaded",
)

Way = tuple[str, str]
"""A system, and how it is asked."""


def table_of(title: str, measurements: Sequence[Measurement]) -> Table:
    """Give a row for each way and number in flight."""
    table = Table(f"{title}, {ROWS} observations a message", HEADS)
    for way, found in _by_way(measurements):
        for count in IN_FLIGHT:
            table.rows.append(_row(way, count, found, measurements))
    table.notes.append(
        f"{INT8}, one agent (LitServe: one worker), one caller; p50 and p99 of a message, from arrays to"
        " arrays, closed loop; × LitServe: obs/s with as many in flight, round by round; memory of LitServe"
        " is that of all its processes"
    )
    return table


def figures_of(measurements: Sequence[Measurement]) -> list[Figure]:
    """Give the rates on gRPC, the socket lane's beside it, and the agents' memory."""
    on_grpc = [
        Figure("grpc", CARRIERS[way], cell_of(found, way[1], JUDGED_IN_FLIGHT, RATE))
        for way, found in _by_way(measurements)
        if way[0] != LITSERVE and way != (SOCKET, TOPICS)
    ]
    beside = ratio_of(measurements, (SOCKET, TOPICS), (GRPC, TOPICS), JUDGED_IN_FLIGHT)
    memory = [
        Figure(MEMORY, CARRIERS[peer, TOPICS], _mb(found, AGENT, "rss_bytes"))
        for (peer, way), found in _by_way(measurements)
        if way == TOPICS
    ]
    lanes = [] if beside is None else [Figure(BESIDE_GRPC, CARRIERS[SOCKET, TOPICS], beside)]
    return [*on_grpc, *lanes, *memory]


def cell_of(measurements: Sequence[Measurement], way: str, in_flight: int, key: str) -> float:
    """Give the median over the rounds of one figure."""
    return median(float(each["ways"][way][str(in_flight)][key]) for each in measurements)


def ratio_of(
    measurements: Sequence[Measurement], ours: Way, theirs: Way, in_flight: int
) -> float | None:
    """Divide the rates of two ways round by round; None where no round has both."""
    mine, others = (
        {
            each["round"]: cell_of([each], way, in_flight, RATE)
            for each in measurements
            if each["peer"] == peer
        }
        for peer, way in (ours, theirs)
    )
    ratios = [mine[number] / others[number] for number in mine if number in others]
    return median(ratios) if ratios else None


def _by_way(measurements: Sequence[Measurement]) -> Iterator[tuple[Way, list[Measurement]]]:
    for peer, way in CARRIERS:
        found = [each for each in measurements if each["peer"] == peer]
        if found:
            yield (peer, way), found


def _row(
    way: Way, in_flight: int, found: Sequence[Measurement], measurements: Sequence[Measurement]
) -> tuple[str, ...]:
    figures = (cell_of(found, way[1], in_flight, key) for key in (RATE, "p50_us", "p99_us"))
    beside = None
    if way[0] != LITSERVE:
        beside = ratio_of(measurements, way, (LITSERVE, RAW), in_flight)
    return (
        CARRIERS[way],
        str(in_flight),
        *(f"{each:,.0f}" for each in figures),
        ABSENT if beside is None else f"{beside:.2f}",
        _cpu(found, way[1], in_flight),
        _memory(found),
    )


def _cpu(found: Sequence[Measurement], way: str, in_flight: int) -> str:
    cells = [each["ways"][way][str(in_flight)]["cpu_us"] for each in found]
    each_role = (
        (role, median(cell[role] for cell in cells) / MICROS_PER_MILLI) for role in cells[0]
    )
    return " + ".join(f"{role} {millis:.1f}" for role, millis in each_role)


def _memory(found: Sequence[Measurement]) -> str:
    return " + ".join(
        f"{role} {_mb(found, role, 'idle_rss_bytes'):.0f} → {_mb(found, role, 'rss_bytes'):.0f}"
        for role in found[0]["rss_bytes"]
    )


def _mb(measurements: Sequence[Measurement], role: str, key: str) -> float:
    return median(float(each[key][role]) for each in measurements) / BYTES_PER_MB

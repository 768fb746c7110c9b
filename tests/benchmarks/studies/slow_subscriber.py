"""What a subscriber that reads a hundredth costs one that keeps up."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from tests.benchmarks.cells import ABSENT, number
from tests.benchmarks.figure import Figure
from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.process import MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table
from tests.benchmarks.usage import measured_usage

RATE_PER_SECOND: Final = 1_000
SLOW_SHARE: Final = 0.01
LOAD_SHARE: Final = 0.3  # Of the seconds of other scenarios: there are many phases in a round.
TURNS: Final = (
    6  # Alone and beside so often in a round, by turns: this machine's own moods last seconds.
)
LOGS: Final = ("memory", "durable")
# What stands between two phases that differ in nothing: how far p99 moves by itself.
CONTROL: Final = "nobody"
BLOCK: Final = "BLOCK"
DISCONNECT: Final = "DISCONNECT"
POLICIES: Final = (CONTROL, BLOCK, "DROP_OLDEST", "CONFLATE", DISCONNECT)
TRANSPORTS: Final = {"bellwire_tcp": "tcp", "bellwire_socket": "unix"}
LANES: Final = {"bellwire_tcp": "grpc over TCP", "bellwire_socket": "socket lane"}
NANOSECONDS_PER_MICROSECOND: Final = 1_000


@dataclass(slots=True)
class _Processes:
    publisher: Worker
    broker: Worker
    fast: Worker
    slow: Worker
    sent: int = 0


class SlowSubscriberStudy:
    """Alternates, in the same processes, a fast subscriber alone and beside a slow one."""

    def __init__(self, policies: Sequence[str] = POLICIES, turns: int = TURNS) -> None:
        self._policies = policies
        self._turns = turns

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Measure each policy on each kind of topic once.

        Raises:
            MeasurementError: A process failed, or a message was lost that must not be.
        """
        seconds = durations.load_seconds * LOAD_SHARE
        cases: Reply = {}
        async with _processes(TRANSPORTS[peer], workplace) as processes:
            for log in LOGS:
                for policy in self._policies:
                    await _aim(processes, log, policy)
                    await _fast_phase(processes, durations.warm_up_seconds)
                    turns = [
                        await _turn(processes, log, policy, seconds) for _ in range(self._turns)
                    ]
                    cases[f"{log} {policy}"] = _together(turns)
        others = median(each["alone"]["others"] for each in cases.values())
        return {"cases": cases, "processes": {"others": {"cpu_share": others}}}

    def headline(self, measurement: Measurement) -> str:
        """Give the p99 beside by that alone of each policy."""
        return ", ".join(
            f"{case} × {_p99_ratio(case, [measurement]):.2f}" for case in measurement["cases"]
        )

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table for each kind of topic."""
        return [_table(f"{title}: {log} topic, µs", log, measurements) for log in LOGS]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the worst ratio of each kind of topic on each transport."""
        return [
            Figure(
                log, LANES[peer], max(_p99_ratio(f"{log} {policy}", found) for policy in _real())
            )
            for peer, found in _by_peer(measurements)
            for log in LOGS
        ]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give p99 alone and beside, a line each, over the policies in the order of POLICIES."""
        return [
            {
                "name": f"{peer} {log} {part}",
                "x_label": f"policy: {', '.join(POLICIES)}",
                "y_label": "p99, µs",
                "x": [float(index) for index in range(len(POLICIES))],
                "y": [_percentile_us(f"{log} {policy}", part, 99, found) for policy in POLICIES],
            }
            for peer, found in _by_peer(measurements)
            for log in LOGS
            for part in ("alone", "beside")
        ]


def _real() -> list[str]:
    return [policy for policy in POLICIES if policy != CONTROL]


def _by_peer(measurements: Sequence[Measurement]) -> Iterator[tuple[str, list[Measurement]]]:
    for peer in TRANSPORTS:
        found = [each for each in measurements if each["peer"] == peer]
        if found:
            yield peer, found


def _percentile_us(
    case: str, part: str, percent: float, measurements: Sequence[Measurement]
) -> float:
    """Give a percentile over the messages of all turns and rounds."""
    pooled = LatencyHistogram()
    for measurement in measurements:
        pooled.merge(LatencyHistogram.from_json(measurement["cases"][case][part]["from_intended"]))
    return pooled.percentile(percent) / NANOSECONDS_PER_MICROSECOND


def _p99_us(histogram: LatencyHistogram) -> float:
    return histogram.percentile(99) / NANOSECONDS_PER_MICROSECOND


def _p99_ratios(case: str, measurements: Sequence[Measurement]) -> list[float]:
    """Divide the p99 of each turn beside by its neighbour's alone.

    Turn by turn, because a single stall of the machine holds up enough messages to be the p99 of all.
    """
    return sorted(
        beside / alone
        for each in measurements
        for alone, beside in zip(
            *(each["cases"][case][part]["p99_us"] for part in ("alone", "beside")), strict=True
        )
    )


def _p99_ratio(case: str, measurements: Sequence[Measurement]) -> float:
    return median(_p99_ratios(case, measurements))


def _middle_half(case: str, measurements: Sequence[Measurement]) -> str:
    ratios = _p99_ratios(case, measurements)
    if len(ratios) < TURNS:
        return ABSENT
    low, _, high = quantiles(ratios, n=4)
    return f"{low:.2f}–{high:.2f}"


def _table(title: str, log: str, measurements: Sequence[Measurement]) -> Table:
    heads = (
        "p50 alone",
        "beside",
        "p99 alone",
        "beside",
        "p99 × alone",
        "middle half",
        "slow read",
        "dropped",
        "ended",
    )
    table = Table(title, ("lane", "slow subscriber", *heads))
    for peer, found in _by_peer(measurements):
        for policy in POLICIES:
            case = f"{log} {policy}"
            shown = [
                number(_percentile_us(case, part, percent, found))
                for percent in (50, 99)
                for part in ("alone", "beside")
            ]
            slow = [each["cases"][case]["slow"] for each in found]
            table.rows.append(
                (
                    LANES[peer],
                    policy,
                    *shown,
                    f"{_p99_ratio(case, found):.2f}",
                    _middle_half(case, found),
                    *_fates(slow),
                )
            )
    return table


def _fates(slow: Sequence[Reply | None]) -> tuple[str, str, str]:
    told = [each for each in slow if each is not None]
    if not told:
        return ABSENT, ABSENT, ABSENT
    read, dropped = (number(median(each[key] for each in told)) for key in ("read", "dropped"))
    return read, dropped, ", ".join(sorted({each["ended"] for each in told} - {""})) or ABSENT


@asynccontextmanager
async def _processes(transport: str, workplace: Workplace) -> AsyncIterator[_Processes]:
    async with AsyncExitStack() as stack:

        async def start(role: str, name: str, **options: object) -> Worker:
            worker = workplace.worker(f"study-{role}", "bellwire", name=name, **options)
            return await stack.enter_async_context(worker)

        broker = await start("broker", "broker", transport=transport, durable=True)
        address = broker.about["address"]
        yield _Processes(
            publisher=await start("aimed-publisher", "publisher", address=address),
            broker=broker,
            fast=await start("aimed-subscriber", "subscriber", address=address),
            slow=await start("slow-subscriber", "slow", address=address),
        )


def _topic(log: str, policy: str) -> str:
    return f"slow.{log}.{policy}"


async def _aim(processes: _Processes, log: str, policy: str) -> None:
    topic, durable = _topic(log, policy), log == "durable"
    # With BLOCK the log must hold what the slow one has not read, or publishers wait, as they should.
    roomy = policy in (CONTROL, BLOCK)
    await processes.publisher.do("aim", topic=topic, durable=durable, roomy=roomy)
    await processes.fast.do("aim", topic=topic, durable=durable)


async def _turn(processes: _Processes, log: str, policy: str, seconds: float) -> Reply:
    alone = await _fast_phase(processes, seconds)
    beside, slow = await _beside(processes, log, policy, seconds)
    return {"alone": alone, "beside": beside, "slow": slow}


def _together(turns: Sequence[Reply]) -> Reply:
    """Put the turns of a case together: their messages, and what the slow one told, summed."""
    slow = [turn["slow"] for turn in turns if turn["slow"] is not None]
    counted = ("read", "dropped", "received")  # The last only where it was told to catch up.
    told = {key: sum(each.get(key, 0) for each in slow) for key in counted} if slow else None
    if told is not None:
        told["ended"] = ", ".join(sorted({each["ended"] for each in slow} - {""}))
    return {part: _pooled([turn[part] for turn in turns]) for part in ("alone", "beside")} | {
        "slow": told
    }


def _pooled(phases: Sequence[Reply]) -> Reply:
    pooled = LatencyHistogram()
    for phase in phases:
        pooled.merge(LatencyHistogram.from_json(phase["from_intended"]))
    return {
        "sent": sum(phase["sent"] for phase in phases),
        "from_intended": pooled.to_json(),
        "p99_us": [_p99_us(LatencyHistogram.from_json(phase["from_intended"])) for phase in phases],
        "others": median(phase["others"] for phase in phases),
    }


async def _beside(
    processes: _Processes, log: str, policy: str, seconds: float
) -> tuple[Reply, Reply | None]:
    if policy == CONTROL:
        return await _fast_phase(processes, seconds), None
    await processes.slow.do(
        "open",
        topic=_topic(log, policy),
        name=f"slow.{policy}" if log == "durable" else "",
        policy=policy,
        per_second=RATE_PER_SECOND * SLOW_SHARE,
        first_sequence=processes.sent,
    )
    beside = await _fast_phase(processes, seconds)
    keeps_all = policy == BLOCK
    if policy == DISCONNECT:
        slow = await processes.slow.do("until_ended")
    else:
        slow = await processes.slow.do("catch_up", expected=beside["sent"] if keeps_all else 0)
    await processes.slow.do("close")
    if keeps_all and slow["received"] != beside["sent"]:
        raise MeasurementError(
            f"{log} topic, {policy}: the slow subscriber caught up on {slow['received']:,} of"
            f" {beside['sent']:,} messages; nothing may be lost"
        )
    return beside, slow


async def _fast_phase(processes: _Processes, seconds: float) -> Reply:
    publisher, fast = processes.publisher, processes.fast
    await fast.do("begin", first_sequence=processes.sent, timed=True)
    with measured_usage((publisher, processes.broker, fast, processes.slow)) as usage:
        published = await publisher.do(
            "paced", first=processes.sent, rate=RATE_PER_SECOND, seconds=seconds
        )
        received = await fast.do("finish", expected=published["sent"])
    processes.sent += published["sent"]
    if received["received"] != published["sent"]:
        raise MeasurementError(
            f"the fast subscriber received {received['received']:,} of {published['sent']:,} messages;"
            " nothing may be lost"
        )
    return {
        "sent": published["sent"],
        "from_intended": received["from_intended"],
        "others": usage["others"]["cpu_share"],
    }


STUDY: Final = SlowSubscriberStudy()

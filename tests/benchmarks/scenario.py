"""What is measured: the loads, and how long and how often each is applied."""

from dataclasses import dataclass
from typing import Final

ROUNDS_DEFAULT: Final = 5  # An odd number, so that the median is a round that happened.
ROUNDS_QUICK: Final = 1


@dataclass(frozen=True, slots=True)
class Latency:
    """Open-loop load at a fixed rate; each message is timed from its intended send to decode."""

    name: str
    title: str
    rate_per_second: int
    batch_messages_max: int | None = None


@dataclass(frozen=True, slots=True)
class Throughput:
    """As many messages as the system takes; timed from the first encode to the last decode."""

    name: str
    title: str
    batch_messages_max: int


Scenario = Latency | Throughput

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Latency("latency-1k", "One-way latency, paced 1 message per ms", 1_000),
        Latency("latency-10k", "One-way latency, paced 10 k messages/s", 10_000),
        Throughput("throughput-100", "Throughput, batches of at most 100", 100),
        Throughput("throughput-1000", "Throughput, batches of at most 1,000", 1_000),
    )
}


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of load in one measurement; the warm-up is left out of every figure."""

    warm_up_seconds: float
    load_seconds: float


# 16 measurements per round with about 1.5 s of process start each: five rounds stay below 8 minutes
# and give 15,000 latencies at 1/ms over all rounds, 15 of them beyond p99.9.
DURATIONS_DEFAULT: Final = Durations(warm_up_seconds=0.5, load_seconds=3.0)
# One round of about a minute: does it work, and which order of magnitude is it.
DURATIONS_QUICK: Final = Durations(warm_up_seconds=0.3, load_seconds=1.5)

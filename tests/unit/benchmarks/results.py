"""Builds small result documents for the tests of what is made of them."""

from collections.abc import Iterable

from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.summary import Document, Measurement

USAGE = {
    "publisher": {"cpu_seconds": 0.1, "rss_bytes": 40_000_000},
    "broker": {"cpu_seconds": 0.2, "rss_bytes": 50_000_000},
    "subscriber": {"cpu_seconds": 0.4, "rss_bytes": 60_000_000},
    "others": {"cpu_share": 0.05},
}
WIRE = {"publisher": {"sent": 200_000, "received": 0}, "subscriber": None}


def throughput(
    round_number: int, peer: str, rate: int, *, scenario: str = "throughput-100", lost: int = 0
) -> Measurement:
    return {
        "round": round_number,
        "scenario": scenario,
        "peer": peer,
        "sent": 1_000,
        "received": 1_000 - lost,
        "lost": lost,
        "duplicates": 0,
        "out_of_order": 0,
        "seconds": 1_000 / rate,
        "messages_per_second": rate,
        "processes": USAGE,
        "wire": WIRE,
    }


def latency(
    round_number: int,
    peer: str,
    values_us: Iterable[int],
    *,
    scenario: str = "latency-1k",
    seconds: float = 1.0,
    unsent: int = 0,
) -> Measurement:
    histogram = LatencyHistogram.of(value * 1_000 for value in values_us)
    measurement = throughput(round_number, peer, 1_000, scenario=scenario)
    del measurement["messages_per_second"]
    return measurement | {
        "seconds": seconds,
        "unsent": unsent,
        "offered_per_second": 1_000,
        "generator_late": histogram.quantiles(),
        "from_intended": histogram.to_json(),
        "from_began": histogram.quantiles(),
    }


def durable(
    round_number: int,
    peer: str,
    rate: int,
    *,
    scenario: str = "durable-throughput-100",
    commits: dict[str, int] | None = None,
    written_bytes: int | None = 500_000,
) -> Measurement:
    return throughput(round_number, peer, rate, scenario=scenario) | {
        "disk": {"kept_bytes": 130_000, "written_bytes": written_bytes},
        "commits": commits,
    }


def commit(
    round_number: int, peer: str, values_us: Iterable[int], *, commits: dict[str, int] | None = None
) -> Measurement:
    measurement = durable(round_number, peer, 1_000, scenario="durable-commit", commits=commits)
    del measurement["messages_per_second"]
    histogram = LatencyHistogram.of(value * 1_000 for value in values_us)
    return measurement | {"acknowledged": histogram.to_json()}


def beside(
    round_number: int, peer: str, alone_us: int, memory_us: int, durable_us: int
) -> Measurement:
    def paced(value_us: int, **more: int) -> Measurement:
        return latency(round_number, peer, [value_us] * 100) | more

    return {
        "round": round_number,
        "scenario": "durable-beside",
        "peer": peer,
        "variants": {
            "alone": paced(alone_us),
            "memory": paced(memory_us, neighbour_messages_per_second=300_000),
            "durable": paced(durable_us, neighbour_messages_per_second=200_000),
        },
    }


def levels(
    round_number: int, peer: str, p50_us_by_rate: dict[int, int], **more: float
) -> Measurement:
    def paced(rate: int, value_us: int) -> Measurement:
        measured = latency(round_number, peer, [value_us] * 1_000, scenario="load")
        return measured | {"offered_per_second": rate, "seconds": 1_000 / rate} | more

    return {
        "round": round_number,
        "scenario": "load",
        "peer": peer,
        "variants": {str(rate): paced(rate, value) for rate, value in p50_us_by_rate.items()},
    }


def failure(
    round_number: int,
    peer: str,
    *,
    scenario: str = "throughput-100",
    error: str = "broker ended unasked",
) -> Measurement:
    return {"round": round_number, "scenario": scenario, "peer": peer, "error": error}


def document(*measurements: Measurement, missing: dict[str, str] | None = None) -> Document:
    return {
        "format": 1,
        "taken_at": "2026-11-21T00:00:00+00:00",
        "command": "python tests/benchmarks/run.py",
        "commit": "0123456789ab",
        "machine": {
            "cpu": "a processor",
            "cores": 2,
            "memory_gib": 4.0,
            "kernel": "Linux",
            "load_average_at_start": 0.1,
        },
        "versions": {"python": "CPython 3.11"},
        "missing": missing or {},
        "settings": {
            "rounds": 3,
            "warm_up_seconds": 0.5,
            "load_seconds": 3.0,
            "payload_bytes": 200,
        },
        "measurements": list(measurements),
    }

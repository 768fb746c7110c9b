"""The final report of a demo: facts first, words only where a figure needs them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bellwire.cli.demo.hops import Hop
from bellwire.cli.demo.processes import ProcessCost
from bellwire.cli.demo.trading import TradingSummary
from bellwire.cli.trace_choice import trace_json

if TYPE_CHECKING:
    from bellwire.cli.span_tree import SpanTree

__all__ = ["BusFacts", "DataFacts", "Report", "TopicFacts", "report_json"]

JSON_MEANING: Final = (
    "one compact object a message by the protobuf JSON mapping; HTTP headers not counted"
)
BYTES_MEANING: Final = "batch blocks as published, LZ4 above 512 B; gRPC framing not counted"
DIGEST_MEANING: Final = "SHA-256 over all signals, orders and fills; lockstep runs repeat it"


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was played."""

    source: str
    sha256: str  # of the file's bytes
    symbol: str
    interval: str
    bars: int
    first_open_unix_nano: int
    last_close_unix_nano: int
    gaps: int


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What went through one topic, as the coordinator counted it."""

    name: str
    messages: int
    batches: int
    bytes_sent: int
    bytes_opened: int  # the same batches before compression
    json_bytes: int


@dataclass(frozen=True, slots=True)
class BusFacts:
    """What went over the bus."""

    topics: tuple[TopicFacts, ...]

    @property
    def total(self) -> TopicFacts:
        """The sum over all topics."""
        return TopicFacts(
            name="all topics",
            messages=sum(topic.messages for topic in self.topics),
            batches=sum(topic.batches for topic in self.topics),
            bytes_sent=sum(topic.bytes_sent for topic in self.topics),
            bytes_opened=sum(topic.bytes_opened for topic in self.topics),
            json_bytes=sum(topic.json_bytes for topic in self.topics),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a demo found out."""

    version: str
    lockstep: bool
    seed: int
    data: DataFacts
    startup_seconds: float  # until every process was ready
    run_seconds: float  # from then to the end of the data
    bus: BusFacts
    trading: TradingSummary
    hops: tuple[Hop, ...]
    processes: tuple[ProcessCost, ...]
    digest: str
    trace: SpanTree | None
    traces: int
    spans: int
    run_directory: Path

    @property
    def pace(self) -> str:
        """The word for how the bars were paced."""
        return "lockstep" if self.lockstep else "free-run"


def report_json(report: Report) -> dict[str, object]:
    """Return the report as one JSON object; durations in seconds, sizes in bytes."""
    return {
        "bellwire": report.version,
        "venue": report.trading.quality.venue or "paper",
        "pace": report.pace,
        "seed": report.seed,
        "data": asdict(report.data),
        "startup_seconds": report.startup_seconds,
        "run_seconds": report.run_seconds,
        "digest": report.digest,
        "digest_meaning": DIGEST_MEANING,
        "bus": {
            "topics": [asdict(topic) for topic in report.bus.topics],
            "total": asdict(report.bus.total),
            "bytes_sent_meaning": BYTES_MEANING,
            "json_bytes_meaning": JSON_MEANING,
        },
        "trading": {
            "signals": report.trading.signals,
            "decided_by": dict(report.trading.decided_by),
            "decisions": report.trading.decisions,
            "orders": report.trading.orders,
            **_plain(asdict(report.trading.quality)),
        },
        "latency": {
            "percentiles": "nearest rank over every recorded value",
            "hops": [_hop_json(hop) for hop in report.hops],
        },
        "processes": [asdict(process) for process in report.processes],
        "spans": report.spans,
        "traces": report.traces,
        "trace": trace_json(report.trace) if report.trace else None,
        "run_directory": str(report.run_directory),
    }


def _hop_json(hop: Hop) -> dict[str, object]:
    seconds = asdict(hop.seconds) if hop.seconds else {"n": 0}
    return {"name": hop.name, "meaning": hop.meaning, **seconds}


def _plain(value: Any) -> Any:
    """Return decimals as text, which keeps their digits."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return str(value) if isinstance(value, Decimal) else value

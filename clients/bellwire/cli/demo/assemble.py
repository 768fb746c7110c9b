"""Make the report of what was recorded and what the processes left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse
from bellwire.cli.demo.digest import decision_digest
from bellwire.cli.demo.fill_trace import typical_fill_trace
from bellwire.cli.demo.hops import RunSpans, measure_hops
from bellwire.cli.demo.json_size import message_json
from bellwire.cli.demo.processes import ProcessCost
from bellwire.cli.demo.recording import Recording
from bellwire.cli.demo.report import BusFacts, Report, TopicFacts
from bellwire.cli.demo.trading import summarize_trading
from bellwire.telemetry import read_trace_dir

if TYPE_CHECKING:
    from bellwire.cli.demo.plan import DemoPlan

__all__ = ["RunFacts", "assemble_report"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was seen while the processes ran."""

    recording: Recording
    stats: Sequence[GetTopicStatsResponse]
    costs: Sequence[ProcessCost]
    startup_seconds: float
    run_seconds: float


def assemble_report(plan: DemoPlan, facts: RunFacts) -> Report:
    """Read the trace files and compute every figure; call it once all processes are gone."""
    spans = RunSpans(read_trace_dir(plan.run.traces).spans)
    return Report(
        version=metadata.version("bellwire"),
        lockstep=plan.options.lockstep,
        seed=plan.options.seed,
        data=plan.data.facts(),
        startup_seconds=facts.startup_seconds,
        run_seconds=facts.run_seconds,
        bus=_bus_facts(facts),
        trading=summarize_trading(facts.recording),
        hops=tuple(measure_hops(facts.recording, spans, lockstep=plan.options.lockstep)),
        processes=tuple(facts.costs),
        digest=decision_digest(facts.recording),
        trace=typical_fill_trace(facts.recording, spans),
        traces=len({span.trace_id for span in spans.spans}),
        spans=len(spans.spans),
        run_directory=plan.run.path,
    )


def _bus_facts(facts: RunFacts) -> BusFacts:
    as_json: Counter[str] = Counter()
    for recorded in facts.recording.messages:
        as_json[recorded.topic] += len(message_json(recorded))
    return BusFacts(
        tuple(
            TopicFacts(
                name=stats.name,
                messages=stats.published_messages,
                batches=stats.published_batches,
                bytes_sent=stats.published_bytes,
                bytes_opened=stats.published_uncompressed_bytes,
                json_bytes=as_json[stats.name],
            )
            for stats in facts.stats
        )
    )

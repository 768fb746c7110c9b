"""The sampler: a child does as its parent did, except where a span is forced.

Imports the OpenTelemetry SDK: only `setup` imports this module, and only when asked to trace.
"""

from collections.abc import Sequence

from opentelemetry.context import Context, get_value
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from bellwire.telemetry.provider import FORCE_KEY


class ForcibleSampler(Sampler):
    """ParentBased(TraceIdRatioBased), which a mark in the context overrules.

    The mark is set for roots that were drawn before any tracing call and for spans made after
    the fact of slow and failed messages.
    """

    def __init__(self, root_ratio: float) -> None:
        self._root_ratio = root_ratio
        self._usual = ParentBased(TraceIdRatioBased(root_ratio))

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide for one span."""
        is_forced = parent_context is not None and get_value(FORCE_KEY, parent_context) is True
        chosen: Sampler = ALWAYS_ON if is_forced else self._usual
        return chosen.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Name the sampler."""
        return f"Forcible(ParentBased(TraceIdRatioBased({self._root_ratio})))"

"""Spans as light as they can be: recorded here, batched and exported by the OpenTelemetry SDK.

The SDK's own tracer asks a sampler, validates every attribute, locks around every change and copies the
span once it has ended. Here it is known beforehand that a span is wanted and what it says, and one
thread works on it.

Imports the OpenTelemetry SDK: only `setup` imports this module, and only when asked to trace.
"""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.util.types import AnyValue, Attributes

from bellwire.telemetry.provider import SCOPE_PREFIX, AttributeValue

logger = logging.getLogger(__name__)

ATTRIBUTES_MAX: Final = 128  # The SDK's default, as the next one.
EVENTS_MAX: Final = 128
TRACE_ID_BITS: Final = 128
SPAN_ID_BITS: Final = 64
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status(StatusCode.UNSET)


class Recorder:
    """Makes spans of one process.

    Args:
        resource: What they all belong to.
        on_end: Takes each span that has ended, on the thread that ended it.
    """

    def __init__(self, resource: Resource, on_end: Callable[[ReadableSpan], None]) -> None:
        self._resource = resource
        self._on_end = on_end
        self._scopes: dict[str, InstrumentationScope] = {}

    def start(
        self,
        component: str,
        name: str,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, AttributeValue],
        links: Sequence[Link] = (),
        start_ns: int | None = None,
    ) -> Span:
        """Start a span that will be exported."""
        scope = self._scopes.get(component)
        if scope is None:
            scope = self._scopes[component] = InstrumentationScope(SCOPE_PREFIX + component)
        if parent is None:
            context = SpanContext(_new_id(TRACE_ID_BITS), _new_id(SPAN_ID_BITS), False, _SAMPLED)
        else:
            context = SpanContext(
                parent.trace_id, _new_id(SPAN_ID_BITS), False, _SAMPLED, parent.trace_state
            )
        return RecordedSpan(
            self._on_end,
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            links=links,
            kind=kind,
            status=_UNSET,
            start_time=time.time_ns() if start_ns is None else start_ns,
            instrumentation_scope=scope,
        )


class RecordedSpan(Span, ReadableSpan):
    """A span in the hands of one thread, until it ends; then it is read by exporters.

    Changes after its end are ignored, as the API asks.
    """

    _attributes: dict[str, AttributeValue]

    def __init__(
        self,
        on_end: Callable[[ReadableSpan], None],
        *,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        resource: Resource,
        attributes: dict[str, AttributeValue],
        links: Sequence[Link],
        kind: SpanKind,
        status: Status,
        start_time: int,
        instrumentation_scope: InstrumentationScope,
    ) -> None:
        # What ReadableSpan's own constructor does, but for its defaults.
        self._on_end = on_end
        self._name = name
        self._context = context
        self._parent = parent
        self._resource = resource
        self._attributes = attributes
        self._links = links
        self._kind = kind
        self._status = status
        self._start_time = start_time
        self._end_time = None
        self._instrumentation_info = None
        self._instrumentation_scope = instrumentation_scope
        self._events: list[Event] = []
        self._dropped_attributes = 0
        self._dropped_events = 0

    @property
    def dropped_attributes(self) -> int:
        """Attributes beyond the bound."""
        return self._dropped_attributes

    @property
    def dropped_events(self) -> int:
        """Events beyond the bound."""
        return self._dropped_events

    def get_span_context(self) -> SpanContext:
        """Return its ids."""
        context = self._context
        assert context is not None
        return context

    def is_recording(self) -> bool:
        """Tell whether it has not ended."""
        return self._end_time is None

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set an attribute; what no exporter can write is refused with a warning."""
        if self._end_time is not None:
            return
        if not _is_writable(value):
            logger.warning("attribute %r of span %r has type %s", key, self._name, type(value))
        elif len(self._attributes) >= ATTRIBUTES_MAX and key not in self._attributes:
            self._dropped_attributes += 1
        else:
            self._attributes[key] = value  # type: ignore[assignment]  # Spans of users say more.

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """Add an event; `timestamp` in nanoseconds since the Unix epoch, None = now."""
        if self._end_time is not None:
            return
        if len(self._events) >= EVENTS_MAX:
            self._dropped_events += 1
            return
        kept = {key: value for key, value in (attributes or {}).items() if _is_writable(value)}
        self._events.append(Event(name, kept, timestamp))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an event that describes an exception, by the conventions."""
        described = {
            "exception.type": type(exception).__qualname__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**described, **(attributes or {})}, timestamp)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK is final, UNSET changes nothing."""
        if isinstance(status, StatusCode):
            status = Status(status, description)
        if (
            self._end_time is None
            and self._status.status_code is not StatusCode.OK
            and status.status_code is not StatusCode.UNSET
        ):
            self._status = status

    def update_name(self, name: str) -> None:
        """Call it something else."""
        if self._end_time is None:
            self._name = name

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Link to another span."""
        if self._end_time is None and context.is_valid:
            self._links = (*self._links, Link(context, attributes))

    def end(self, end_time: int | None = None) -> None:
        """End it, `end_time` in nanoseconds since the Unix epoch, None = now; again does nothing."""
        if self._end_time is not None:
            return
        self._end_time = time.time_ns() if end_time is None else end_time
        self._on_end(self)


def _new_id(bits: int) -> int:
    return random.getrandbits(bits) or 1


def _is_writable(value: object) -> bool:
    if isinstance(value, (str, bool, int, float, bytes)):
        return True
    if isinstance(value, (list, tuple)):
        return all(map(_is_writable, value))
    return isinstance(value, Mapping) and all(map(_is_writable, value.values()))

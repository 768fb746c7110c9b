"""What makes our spans, and how many new traces are begun."""

import random
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracerProvider,
    ProxyTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    TracerProvider,
)

AttributeValue: TypeAlias = str | bool | int | float
SCOPE_PREFIX: Final = "bellwire."
_EMPTY: Final = Context()


class SpanMaker(Protocol):
    """Starts spans."""

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
        """Start a span of a component, for example "client"; it takes the attributes over.

        Args:
            component: Who speaks; the scope is `bellwire.{component}`.
            name: Operation first.
            parent: None = it begins a trace.
            kind: Of the span.
            attributes: See `names`.
            links: To other spans that led here.
            start_ns: Nanoseconds since the Unix epoch; None = now.
        """


class TracerMaker:
    """Starts spans by a tracer provider of the API, whose sampler has the last word."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

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
        """Start a span; it may be one that does not record."""
        context = _EMPTY if parent is None else context_under(parent)
        return self._provider.get_tracer(SCOPE_PREFIX + component).start_span(
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            links=links or None,
            start_time=start_ns,
        )


class _Installed:
    """What is in force; one per process, replaced by `install`."""

    maker: SpanMaker | None = None
    root_ratio: float = 0.0
    ended_global: TracerProvider | None = None


def install(maker: SpanMaker | None, root_ratio: float) -> None:
    """Make our spans with `maker` and begin a trace for this share of causeless messages.

    Args:
        maker: None = the global tracer provider of the OpenTelemetry API, if somebody has set one.
        root_ratio: 0..1.
    """
    _Installed.maker = maker
    _Installed.root_ratio = root_ratio


def retire(provider: TracerProvider) -> None:
    """Forget a provider that was shut down; the API's global one can be set only once."""
    install(None, 0.0)
    if trace.get_tracer_provider() is provider:
        _Installed.ended_global = provider


def span_maker() -> SpanMaker | None:
    """Return what makes spans; None = nobody records any, and none need be described."""
    if _Installed.maker is not None:
        return _Installed.maker
    others = trace.get_tracer_provider()
    if others is _Installed.ended_global:
        return None
    if isinstance(others, (ProxyTracerProvider, NoOpTracerProvider)):
        return None
    return TracerMaker(others)


def begins_trace() -> bool:
    """Draw whether a message that nothing caused begins a trace.

    Drawn here, before any tracing call: asking the SDK's sampler costs about 7 µs per message.
    """
    ratio = _Installed.root_ratio
    return ratio > 0.0 and (ratio >= 1.0 or random.random() < ratio)


def context_under(parent: SpanContext) -> Context:
    """Return the context in which children of a span of another process are made."""
    return trace.set_span_in_context(NonRecordingSpan(parent), _EMPTY)

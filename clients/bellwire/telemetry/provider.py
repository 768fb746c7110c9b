"""Which tracer makes our spans, and how many new traces are begun."""

import random
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, create_key, set_value
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Tracer, TracerProvider

SCOPE_PREFIX: Final = "bellwire."
FORCE_KEY: Final = create_key("bellwire-record")  # in a context: the sampler must say yes


class _Installed:
    """The provider in force; one per process, replaced by `install`."""

    provider: TracerProvider | None = None
    root_ratio: float = 0.0
    ended_global: TracerProvider | None = None
    tracers: dict[str, Tracer] = {}  # noqa: RUF012  # replaced, never shared


def install(provider: TracerProvider | None, root_ratio: float) -> None:
    """Make our spans with `provider` and begin a trace for this share of causeless messages.

    Args:
        provider: None = the global one of the OpenTelemetry API.
        root_ratio: 0..1.
    """
    _Installed.provider = provider
    _Installed.root_ratio = root_ratio
    _Installed.tracers = {}


def retire(provider: TracerProvider) -> None:
    """Forget a provider that was shut down; the API's global one can be set only once."""
    install(None, 0.0)
    if trace.get_tracer_provider() is provider:
        _Installed.ended_global = provider


def records() -> bool:
    """Tell whether anything records spans; without an SDK no span is even described."""
    if _Installed.provider is not None:
        return True
    others = trace.get_tracer_provider()
    if others is _Installed.ended_global:
        return False
    return not isinstance(others, (ProxyTracerProvider, NoOpTracerProvider))


def tracer(component: str) -> Tracer:
    """Return the tracer of a component, for example "client"; a no-op one without an SDK."""
    found = _Installed.tracers.get(component)
    if found is None:
        provider = _Installed.provider or trace.get_tracer_provider()
        found = provider.get_tracer(SCOPE_PREFIX + component)
        _Installed.tracers[component] = found
    return found


def begins_trace() -> bool:
    """Draw whether a message that nothing caused begins a trace.

    Drawn here, before any tracing call: asking the SDK's sampler costs about 7 µs per message.
    """
    ratio = _Installed.root_ratio
    return ratio > 0.0 and (ratio >= 1.0 or random.random() < ratio)


def forced(context: Context) -> Context:
    """Return the context with the mark that makes the sampler say yes."""
    return set_value(FORCE_KEY, True, context)

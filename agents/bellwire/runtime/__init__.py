"""Agents: a base class, decorators, and processes that are started, pinned and supervised."""

from bellwire.runtime.agent import Agent
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.context import MessageContext
from bellwire.runtime.decorators import on_watermark, subscribe, tool
from bellwire.runtime.publication import NO_CAUSE, Cause, Output, Outputs, Publication

__all__ = [
    "NO_CAUSE",
    "Agent",
    "CallContext",
    "Cause",
    "MessageContext",
    "Output",
    "Outputs",
    "Publication",
    "on_watermark",
    "subscribe",
    "tool",
]

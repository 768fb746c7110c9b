"""What a tool may know of the call it answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallContext:
    """Give a tool parameter this annotation to get the call's envelope."""

    call_id: str
    """Unique on this agent's stream."""
    deadline_unix_nano: int
    """After this wall-clock time the caller has gone away; 0 = not stated."""
    principal: str = ""
    """Authenticated identity of the caller; empty without authentication."""
    attempt: int = 1
    """1 = first try."""
    traceparent: str = ""
    """W3C traceparent of the caller."""
    capability: str = ""
    """Name it was called by; empty where no bus is in between."""

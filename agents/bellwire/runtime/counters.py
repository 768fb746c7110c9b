"""What an agent counts; plain integers, read when somebody asks."""

from dataclasses import dataclass


@dataclass(slots=True)
class RunCounters:
    """Counted since the process started."""

    handled: int = 0
    """Messages whose handlers returned."""
    published: int = 0
    """Messages the bus acknowledged."""
    errors: int = 0
    """Handlers that raised, and outputs the bus refused."""
    released: int = 0
    """Messages given back to be delivered again."""
    poison: int = 0
    """Messages given up after too many failures, or undecodable ones."""
    duplicates: int = 0
    """Messages that came again after they were handled."""
    calls: int = 0
    """Tool calls answered."""
    call_errors: int = 0
    """Tool calls that failed, were refused or came too late."""

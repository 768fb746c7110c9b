"""For tests of what runs on the bus: a bus in memory, and a real coordinator on a free port."""

from bellwire.testing.in_memory_bus import InMemoryBus
from bellwire.testing.server import RunningCoordinator, running_coordinator

__all__ = ["InMemoryBus", "RunningCoordinator", "running_coordinator"]

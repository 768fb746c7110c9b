"""For tests of what runs on the bus: a bus in memory, a real coordinator on a free port, a bad network."""

from bellwire.testing.chaos_proxy import ChaosProxy, Way
from bellwire.testing.in_memory_bus import InMemoryBus
from bellwire.testing.server import RunningCoordinator, running_coordinator

__all__ = ["ChaosProxy", "InMemoryBus", "RunningCoordinator", "Way", "running_coordinator"]

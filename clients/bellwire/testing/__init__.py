"""For tests of what runs on the bus: a bus in memory, a real coordinator, a bad network, a meter for leaks."""

from bellwire.testing.chaos_proxy import ChaosProxy, Way
from bellwire.testing.in_memory_bus import InMemoryBus
from bellwire.testing.leak_meter import Leak, LeakMeter, LeakMeterSettings
from bellwire.testing.server import RunningCoordinator, running_coordinator

__all__ = [
    "ChaosProxy",
    "InMemoryBus",
    "Leak",
    "LeakMeter",
    "LeakMeterSettings",
    "RunningCoordinator",
    "Way",
    "running_coordinator",
]

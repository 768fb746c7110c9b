"""The public doors: what is exported is on purpose."""

import bellwire.runtime
import bellwire.telemetry


def test_runtime_exports_what_agents_and_launchers_need() -> None:
    assert set(bellwire.runtime.__all__) == {
        "NO_CAUSE",
        "Agent",
        "AgentRunner",
        "AgentSpec",
        "AssignedPartition",
        "CallContext",
        "Cause",
        "ChildContext",
        "MessageContext",
        "Output",
        "Outputs",
        "PlacementSettings",
        "ProcessSpec",
        "Publication",
        "RunSettings",
        "Supervisor",
        "SupervisorSettings",
        "inference",
        "on_watermark",
        "run_agent",
        "subscribe",
        "tool",
    }
    assert all(hasattr(bellwire.runtime, name) for name in bellwire.runtime.__all__)


def test_telemetry_exports_exist() -> None:
    assert all(hasattr(bellwire.telemetry, name) for name in bellwire.telemetry.__all__)

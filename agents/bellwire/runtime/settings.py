"""How an agent is run; plain values, because they cross to its process as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.runtime.look_back import LOOKED_AT_MAX
from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Bounds and policies of one running agent.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    broadcast: bool = field(
        default=False,
        metadata=setting(
            unit="",
            why="off: replicas of one name compete for messages; on: each sees all, newest first",
        ),
    )
    window_messages: int = field(
        default=1000,
        metadata=setting(
            unit="messages",
            why="ten full batches: more would only wait inside the agent",
            ge=1,
            le=1_000_000,
        ),
    )
    attempts_max: int = field(
        default=3,
        metadata=setting(
            unit="attempts",
            why="a fault that outlives three tries is in the message; it is skipped and counted",
            ge=1,
            le=100,
        ),
    )
    crash_on_error: bool = field(
        default=False,
        metadata=setting(unit="", why="off: a failing handler costs its message, not the process"),
    )
    retry_delay_first_seconds: float = field(
        default=0.05,
        metadata=setting(unit="s", why="upper bound of the first wait; doubles", gt=0, le=60),
    )
    retry_delay_max_seconds: float = field(
        default=1.0,
        metadata=setting(unit="s", why="the partition stands still meanwhile", gt=0, le=300),
    )
    rewind_wait_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s",
            why="a released message comes back within its delay, or another replica has it",
            gt=0,
            le=600,
        ),
    )
    assign_timeout_seconds: float = field(
        default=30.0,
        metadata=setting(
            unit="s",
            why="of silence, not in all: while messages arrive `on_assigned` goes on; then it is tried again,"
            " and nothing is lost",
            gt=0,
            le=600,
        ),
    )
    look_messages_max: int = field(
        default=LOOKED_AT_MAX,
        metadata=setting(
            unit="messages",
            why="looked through, a look back, for those of the type wanted: fifty watermarks beside each of ten"
            " thousand signals, some seconds",
            ge=1,
            le=100_000_000,
        ),
    )
    publish_timeout_seconds: float = field(
        default=30.0,
        metadata=setting(
            unit="s",
            why="a full topic may hold an agent up; after this the process ends and nothing is lost",
            gt=0,
            le=3600,
        ),
    )
    slow_seconds: float = field(
        default=1.0,
        metadata=setting(
            unit="s",
            why="a handler slower than this gets a span though its trace is not sampled",
            gt=0,
            le=3600,
        ),
    )
    lease_seconds: float = field(
        default=10.0,
        metadata=setting(unit="s", why="a silent agent gets no calls after this", ge=1.0, le=300.0),
    )
    load_every_seconds: float = field(
        default=1.0,
        metadata=setting(unit="s", why="what routing sees of the load is never older", gt=0, le=60),
    )
    calls_max: int = field(
        default=64,
        metadata=setting(
            unit="calls",
            why="tool calls worked on at once; beyond, calls are refused as AGENT_BUSY",
            ge=1,
            le=10_000,
        ),
    )
    call_timeout_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s", why="for calls without a deadline; the bus's own default", gt=0, le=3600
        ),
    )
    stop_grace_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s", why="to finish messages and calls in hand after SIGTERM", gt=0, le=600
        ),
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        check_settings(self)

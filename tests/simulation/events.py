"""Events of a history: what somebody saw happen, one at a time, in the order it was seen.

A history may be written down where it happens, one event per line (`to_line`), and read back (`from_line`).
Who records decides how much is seen: a subscriber knows what it was handed and what it accepted; the
simulation also knows what the store holds. The checker judges what it is given.

A *log* is named by any text that is the same for the same log, for example "orders/0" for partition 0 of a
durable topic. A memory topic has a new log, and needs a new name, after each start of its coordinator.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Final, TypeAlias

PERSISTED: Final = "PERSISTED"
ACCEPTED: Final = "ACCEPTED"
RELEASED: Final = "RELEASED"
REJECTED: Final = "REJECTED"
EXPIRED: Final = "EXPIRED"  # The lease ended: it goes back as if it had been released.
GIVEN_UP: Final = "GIVEN_UP"  # On its way to the dead letters.
VOID: Final = "VOID"  # Delivered before the cursor was moved: it only frees the window.


@dataclass(frozen=True, slots=True)
class Published:
    """A producer handed a message over.

    Attributes:
        producer: Anything that publishes in order; with `sequence` unique.
        sequence: Increases with each message of this producer.
        content: What must be found in every copy; empty = not compared.
    """

    id: str
    topic: str
    producer: str
    sequence: int
    content: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The producer was told that its message is stored; only level PERSISTED binds.

    Attributes:
        log: Where it is; empty = the producer was not told.
        offset: Where in the log; -1 = the producer was not told.
    """

    id: str
    topic: str
    log: str = ""
    offset: int = -1
    level: str = PERSISTED


@dataclass(frozen=True, slots=True)
class Appended:
    """A message is in its log: committed, or appended where nothing is committed.

    Attributes:
        epoch: Of its producer; 0 = not known.
        only_subscription: Who alone gets it; empty = everybody.
    """

    id: str
    topic: str
    log: str
    offset: int
    epoch: int = 0
    only_subscription: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription exists from now on.

    Attributes:
        topics: Names, no patterns.
        ordered: Whether its ordering is PARTITION.
        once: Whether nothing may be delivered twice unless it was released.
    """

    subscription: str
    topics: tuple[str, ...]
    ordered: bool = True
    once: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A subscription begins at this offset of a log; what lies before is not owed."""

    subscription: str
    log: str
    offset: int


@dataclass(frozen=True, slots=True)
class Sought:
    """The cursor was moved: what lies before and was not delivered is no longer owed."""

    subscription: str
    log: str
    offset: int


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The subscription has ended; nothing is owed to it any more."""

    subscription: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What may be in flight to a member from now on; 0 bytes = not checked."""

    member: str
    messages: int
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message was delivered.

    Attributes:
        size_bytes: What it weighs against the window at least.
    """

    subscription: str
    member: str
    id: str
    topic: str
    log: str
    offset: int
    attempt: int = 0
    content: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery ended: ACCEPTED, RELEASED, REJECTED, EXPIRED, GIVEN_UP or VOID."""

    subscription: str
    member: str
    log: str
    offset: int
    disposition: str = ACCEPTED


@dataclass(frozen=True, slots=True)
class Left:
    """A member is gone; what it held is to be delivered again."""

    member: str


@dataclass(frozen=True, slots=True)
class Saved:
    """The position of a subscription is durable.

    Attributes:
        open_runs: (first, last exclusive) below `next_offset` that are not settled.
    """

    subscription: str
    log: str
    next_offset: int
    open_runs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The message is in the dead letters, durably."""

    subscription: str
    log: str
    offset: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A named policy took the message: expired, overflow, conflated, retention, or not meant for it."""

    subscription: str
    log: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """A dead letter is appended again: its id may be at one more offset."""

    id: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The coordinator was started again; everything in flight is to be delivered again."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A memory log is gone with its coordinator; nothing of it is owed."""

    log: str


Event: TypeAlias = (
    Published
    | Acknowledged
    | Appended
    | Subscribed
    | Started
    | Sought
    | Unsubscribed
    | Granted
    | Delivered
    | Settled
    | Left
    | Saved
    | DeadLettered
    | Dropped
    | Redriven
    | Restarted
    | Forgotten
)

_BY_NAME: Final = {kind.__name__: kind for kind in Event.__args__}


def to_line(event: Event) -> str:
    """Return the event as one line of JSON, without its end."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, separators=(",", ":"))


def from_line(line: str) -> Event:
    """Read what `to_line` wrote.

    Raises:
        ValueError: It is no event.
    """
    found = json.loads(line)
    kind = _BY_NAME.get(found.pop("event", ""))
    if kind is None:
        raise ValueError(f"line is no event: {line!r}")
    names = {field.name for field in fields(kind)}
    if not found.keys() <= names:
        raise ValueError(f"{kind.__name__} has no field {sorted(found.keys() - names)}: {line!r}")
    for name in ("topics", "open_runs"):
        if name in found:
            found[name] = tuple(tuple(i) if isinstance(i, list) else i for i in found[name])
    event: Event = kind(**found)
    return event

"""What a crash test does, and the roles its processes fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.crash.processes import Child
from tests.crash.recording import Follower

from bellwire.admin.v1.topic_pb2 import Topic

KEPT_MESSAGES: Final = 400  # Of the short log; what a named subscription needs stays longer.
TOPICS: Final = {
    "orders": Topic(name="orders", partition_count=4),
    "fills": Topic(name="fills", partition_count=2, retention_messages=KEPT_MESSAGES),
}
SHORT: Final = "fills"
PUBLISHERS: Final = 2
SERVED: Final = ("acknowledged", "delivered")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        rate: Messages per second of each publisher.
        level: Asked of the coordinator. Less than PERSISTED is recorded as PERSISTED all the same: a lie
            that the checker must find.
        orderly: Stop the coordinator with SIGTERM instead, which drains it.
        slow_disk: Each commit of the coordinator takes tests.crash.slow_disk.COMMIT_SECONDS at least.
        log: Where the topics are kept, "sqlite" or "memory". What memory holds is lost: to be found, too.
    """

    rounds: int = 20
    seed: int = 1
    rate: float = 800.0
    level: str = "PERSISTED"
    log: str = "sqlite"
    orderly: bool = False
    slow_disk: bool = False


@dataclass(slots=True)
class Seat:
    """A role, filled by one process after another.

    Attributes:
        group: Those of whom one at least must be served: the members of a subscription compete.
    """

    kind: str
    name: str
    group: str
    topics: Sequence[str]
    arguments: tuple[str, ...]
    lives: int = 0
    child: Child | None = None
    follower: Follower | None = None

    @property
    def life(self) -> str:
        """Name of the process that fills it now."""
        return f"{self.name}.{self.lives}"

    @property
    def mortal(self) -> bool:
        """Whether it may be killed. An ephemeral subscription ends with its process, and is owed nothing."""
        return self.name != "tape"

    def was_served(self, since_ns: int) -> bool:
        """Whether its recording says so, of a moment after this one; each line is looked at once."""
        assert self.follower is not None
        lines = self.follower.new_lines()
        return any(line["kind"] in SERVED and line["at"] > since_ns for line in lines)


def seats_of(plan: Plan) -> Iterator[Seat]:
    """Yield the roles of a plan, none of them filled."""
    for number in range(PUBLISHERS):
        level = plan.level if plan.log == "sqlite" else "RECEIVED"  # All that memory can promise.
        load = ("--rate", str(plan.rate), "--level", level)
        yield Seat("publisher", f"publisher-{number}", f"publisher-{number}", tuple(TOPICS), load)
    for subscription, ordering in (("settlement", "PARTITION"), ("audit", "NONE")):
        for member in "ab":
            what = ("--subscription", subscription, "--ordering", ordering)
            yield Seat("subscriber", f"{subscription}-{member}", subscription, tuple(TOPICS), what)
    # Nobody keeps a short log for an ephemeral subscription while it is not connected.
    kept = tuple(topic for topic in TOPICS if topic != SHORT)
    yield Seat("subscriber", "tape", "tape", kept, ())

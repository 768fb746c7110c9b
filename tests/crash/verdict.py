"""What the recordings of a run amount to: counts, recovery times, and what the history checker found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.crash.recording import Line, events_of, log_of, read_all
from tests.simulation.history import History, Kind, Violation

NANOS: Final = 1_000_000_000
MILLIS: Final = 1_000
KINDS_SHOWN: Final = (
    Kind.LOST,
    Kind.DUPLICATE,
    Kind.OUT_OF_ORDER,
    Kind.PHANTOM,
    Kind.MIXED_UP,
    Kind.GAP,
)


@dataclass(slots=True)
class Recoveries:
    """Seconds from a coordinator's readiness until each publisher was served by it."""

    ready_ns: int | None = None
    waiting: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)

    def crash(self) -> None:
        """Take note that nobody is served any more."""
        self.ready_ns = None
        self.waiting.clear()

    def restart(self, ready_ns: int, clients: Iterable[str]) -> None:
        """Take note of a coordinator that is ready, and of who is to come back to it."""
        self.ready_ns = ready_ns
        self.waiting = set(clients)

    def served(self, client: str, at_ns: int) -> None:
        """Take note that a client got something."""
        if self.ready_ns is not None and client in self.waiting:
            self.waiting.discard(client)
            self.seconds.append(max(0, at_ns - self.ready_ns) / NANOS)


@dataclass(slots=True)
class Verdict:
    """The outcome of a run."""

    kills: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    publishers: Recoveries = field(default_factory=Recoveries)
    start_seconds: list[float] = field(default_factory=list)
    store_seconds: list[float] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def found(self, kind: Kind) -> int:
        """Count violations of a kind."""
        return sum(violation.kind is kind for violation in self.violations)

    def text(self) -> str:
        """Return the counts as one line."""
        kills = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        counts = self.counts
        shown = [f"{kind.value} {self.found(kind)}" for kind in KINDS_SHOWN]
        others = len(self.violations) - sum(map(self.found, KINDS_SHOWN))
        return "; ".join(
            (
                f"{counts['rounds']} rounds, killed {kills}",
                f"{counts['published']:,} messages published, {counts['acknowledged']:,} acknowledged, "
                f"{counts['refused']} refused",
                f"{counts['delivered']:,} deliveries, {counts['redelivered']:,} of them again, "
                f"{counts['dead_lettered']} dead letters, {counts['evicted']:,} evicted",
                ", ".join((*shown, f"other {others}")),
                f"publishers were served {times_text(self.publishers.seconds)} after it listened",
                f"coordinator listened {times_text(self.start_seconds)} after its start, "
                f"of which the store took {times_text(self.store_seconds)}",
            )
        )


def times_text(seconds: Sequence[float]) -> str:
    """Return median and maximum."""
    if not seconds:
        return "(never measured)"
    return f"p50 {median(seconds):.2f} s, max {max(seconds):.2f} s"


@dataclass(slots=True)
class Owed:
    """Which messages were promised, and who got them, by their ids.

    The history checker goes by places in the log. A lost message whose place was given to another one is
    mixed up to it; here it is lost.
    """

    acknowledged: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    delivered: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    topics: dict[str, set[str]] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        """Take note of a line."""
        if line["kind"] == "acknowledged":
            self.acknowledged[line["topic"]].update(id_ for id_, _ in line["places"])
        elif line["kind"] == "delivered":
            self.delivered[line["subscription"]].update(id_ for id_, _ in line["messages"])
        elif line["kind"] == "subscribed":
            self.topics[line["subscription"]] = set(line["topics"])

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield (id, subscription) of what was acknowledged and never delivered."""
        for subscription, topics in self.topics.items():
            for topic in topics:
                for id_ in self.acknowledged[topic] - self.delivered[subscription]:
                    yield id_, subscription


def judge(folder: Path) -> Verdict:
    """Read all recordings of a folder and check their history."""
    verdict, history, owed = Verdict(), History(), Owed()
    seen: set[tuple[str, str, int]] = set()
    for line in read_all(folder):
        _count(verdict, line, seen)
        owed.take(line)
        for event in events_of(line):
            history.add(event)
        if line["kind"] == "stuck":
            history.report(Kind.STUCK, f"not drained: {line['left']}")
    verdict.violations = history.finish()
    known = {violation.text.split()[0] for violation in verdict.violations}
    for id_, subscription in owed.missing():
        if id_ not in known:
            history.report(
                Kind.LOST, f"{id_} was acknowledged and never delivered to {subscription}"
            )
    return verdict


def _count(verdict: Verdict, line: Line, seen: set[tuple[str, str, int]]) -> None:
    kind, counts = line["kind"], verdict.counts
    if kind == "killed":
        verdict.kills[line["what"]] += 1
    if kind in ("killed", "stopped") and line["who"] == "coordinator":
        verdict.publishers.crash()
    if kind == "evicted":
        counts[kind] += line["messages"]
    elif kind == "round":
        counts["rounds"] += 1
    elif kind == "ready":
        verdict.publishers.restart(line["ready_ns"], line["publishers"])
        if line["again"]:
            verdict.start_seconds.append(line["start_seconds"])
            if line["recovery"]:
                verdict.store_seconds.append(line["recovery"]["duration_millis"] / MILLIS)
    elif kind == "published":
        counts[kind] += len(line["messages"])
    elif kind == "acknowledged":
        counts[kind] += len(line["places"])
        verdict.publishers.served(line["publisher"], line["at"])
    elif kind == "delivered":
        log = log_of(line["topic"], line["partition"])
        places = {
            (line["subscription"], log, line["offset"] + i) for i in range(len(line["messages"]))
        }
        counts[kind] += len(places)
        counts["redelivered"] += len(places & seen)
        seen |= places
    elif kind not in ("killed", "stopped"):
        counts[kind] += 1

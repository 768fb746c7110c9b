"""What was published, and where it is: the half of a history that knows no subscriptions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.simulation import events as ev
from tests.simulation.violation import Kind


@dataclass(slots=True)
class Place:
    """Owed to every subscription of the topic, or to one alone."""

    id: str
    topic: str
    only_subscription: str = ""


class Appends:
    """Messages by id, by place, and by what is owed.

    Args:
        report: Called with each violation.

    Attributes:
        published: By id.
        where: Offsets of a message by id and log.
        places: What is known to be at a place, as (id, content).
        owed: What subscriptions must get, by log and offset.
        unplaced: Topics of acknowledged messages whose place nobody was told.
    """

    def __init__(self, report: Callable[[Kind, str], None]) -> None:
        self._report = report
        self.published: dict[str, ev.Published] = {}
        self.where: dict[str, dict[str, set[int]]] = {}
        self.places: dict[tuple[str, int], tuple[str, str]] = {}
        self.owed: defaultdict[str, dict[int, Place]] = defaultdict(dict)
        self.unplaced: dict[str, str] = {}
        self._redriven: Counter[str] = Counter()
        self._redriven_places: set[tuple[str, int]] = set()
        self._appended: defaultdict[str, set[int]] = defaultdict(set)
        self._epochs: dict[tuple[str, str], int] = {}

    def is_missing(self, log: str, offset: int) -> bool:
        """Tell whether it is known what the logs hold, and that this place is not among it."""
        appended = self._appended.get(log)
        return bool(self._appended) and (appended is None or offset not in appended)

    def on_published(self, event: ev.Published) -> None:
        """Note what a producer handed over."""
        known = self.published.setdefault(event.id, event)
        if known is not event and known.content != event.content:
            self._report(Kind.MIXED_UP, f"message {event.id} was published with two contents")

    def on_acknowledged(self, event: ev.Acknowledged) -> None:
        """Note what a producer was told."""
        if event.level != ev.PERSISTED:
            return  # It may be gone with the process.
        if event.offset < 0:
            if self._appended and not self.where.get(event.id):
                self._report(
                    Kind.UNPERSISTED, f"message {event.id} was acknowledged, no log has it"
                )
            self.unplaced[event.id] = event.topic
            return
        if self.is_missing(event.log, event.offset):
            text = f"message {event.id} was acknowledged at {event.log}@{event.offset}"
            self._report(Kind.UNPERSISTED, f"{text}, where the store holds nothing")
        self.place(event.id, event.log, event.offset)
        self.owed[event.log].setdefault(event.offset, Place(event.id, event.topic))

    def on_appended(self, event: ev.Appended) -> None:
        """Note what a log holds."""
        published = self.published.get(event.id)
        if published is None:
            self._report(
                Kind.PHANTOM, f"{event.id} at {event.log}@{event.offset} was not published"
            )
        elif event.epoch and not event.only_subscription:
            self._check_epoch(published.producer, event)
        self.place(event.id, event.log, event.offset)
        appended = self._appended[event.log]
        if event.offset != len(appended):
            text = f"{event.id} was appended at {event.log}@{event.offset}"
            self._report(Kind.GAP, f"{text}, next was @{len(appended)}")
        appended.add(event.offset)
        if event.only_subscription:
            self._redriven_places.add((event.log, event.offset))
        place = Place(event.id, event.topic, event.only_subscription)
        self.owed[event.log][event.offset] = place

    def _check_epoch(self, producer: str, event: ev.Appended) -> None:
        name = producer.split("#", 1)[0]  # Instances of one named producer are "name#1", "name#2".
        latest = self._epochs.get((name, event.log), 0)
        if event.epoch < latest:
            text = f"{event.id} of epoch {event.epoch} of {name} is at {event.log}@{event.offset}"
            self._report(Kind.FENCED, f"{text}, behind epoch {latest}")
        self._epochs[name, event.log] = max(latest, event.epoch)

    def on_redriven(self, event: ev.Redriven) -> None:
        """Allow a message one more place."""
        self._redriven[event.id] += 1

    def place(self, id_: str, log: str, offset: int, content: str = "") -> None:
        """Note that a message is at a place; it must be the only one there, and be nowhere else."""
        known = self.places.setdefault((log, offset), (id_, content))
        if known[0] != id_:
            self._report(Kind.MIXED_UP, f"{log}@{offset} holds {known[0]} and {id_}")
        published = self.published.get(id_)
        if content and published is not None and published.content not in ("", content):
            self._report(
                Kind.MIXED_UP, f"{id_} at {log}@{offset} has another content than published"
            )
        offsets = self.where.setdefault(id_, {}).setdefault(log, set())
        if offset not in offsets:
            offsets.add(offset)
            if len(offsets) > 1 + self._redriven[id_]:
                self._report(Kind.DUPLICATE, f"{id_} is in {log} at {sorted(offsets)}")

    def check_order(self) -> None:
        """Check that each log holds a producer's messages in the order they were published."""
        logs: defaultdict[tuple[str, str], list[tuple[int, int, str]]] = defaultdict(list)
        for id_, places in self.where.items():
            published = self.published.get(id_)
            if published is not None:
                for log, offsets in places.items():
                    for offset in offsets:
                        if (log, offset) not in self._redriven_places:
                            found = (published.sequence, offset, id_)
                            logs[published.producer, log].append(found)
        for (producer, log), placed in logs.items():
            placed.sort()
            for before, after in pairwise(placed):
                if after[1] < before[1]:
                    text = f"{producer} published {before[2]} before {after[2]}"
                    places_text = f"they are at {log}@{before[1]} and @{after[1]}"
                    self._report(Kind.OUT_OF_ORDER, f"{text}, {places_text}")

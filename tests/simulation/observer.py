"""Writes down what happens: two histories, a trace, and a digest that tells one run from another.

`wire` is recorded where the coordinator acts and is exact; `users` is what producers and consumers see.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tests.simulation import events as ev
from tests.simulation.clock import VirtualLoop
from tests.simulation.history import History
from tests.simulation.violation import Kind, Violation

from bellwire.bus.v1.subscriber_pb2 import Delivery
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.log import records as rec
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.batch import open_batch


class Observer:
    """Everything a run shows.

    Attributes:
        faults: Faults by kind.
        verbose: Whether the trace is printed.
        is_named: Tells whether a producer id belongs to a named producer.
        durable_logs: Names of logs that survive, by (topic, partition).
    """

    def __init__(self, loop: VirtualLoop, *, verbose: bool = False) -> None:
        self._loop = loop
        self.verbose = verbose
        self.users = History()
        self.wire = History(exact=True)
        self.faults: Counter[str] = Counter()
        self.is_named: Callable[[int], bool] = lambda producer_id: False
        self.durable_logs: dict[tuple[str, int], str] = {}
        self._digest = hashlib.blake2b(digest_size=8)
        self._topics_of_logs: dict[int, tuple[str, str]] = {}
        self._labels: dict[Subscription, str] = {}
        self._memory_logs: list[str] = []
        self._untold: list[ev.Event] = []
        self._sought_since_take: set[tuple[str, str]] = set()

    # ------------------------------------------------------------ trace

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        line = f"{self._loop.time():10.6f} {text}"
        self._digest.update(line.encode())
        if self.verbose:
            print(line)

    def fault(self, kind: str, text: str = "") -> None:
        """Note that something is made to go wrong."""
        self.faults[kind] += 1
        self.note(f"FAULT {kind} {text}")

    def digest(self) -> str:
        """Return what two runs have in common exactly when their traces are the same."""
        return self._digest.copy().hexdigest()

    def violations(self) -> list[Violation]:
        """Return what was found so far."""
        return self.users.violations + self.wire.violations

    def report(self, kind: Kind, text: str) -> None:
        """Note a violation that no history shows."""
        self.note(f"VIOLATION {kind.value}: {text}")
        self.wire.report(kind, text)

    def both(self, event: ev.Event) -> None:
        """Add an event that both histories know."""
        self.users.add(event)
        self.wire.add(event)

    # ------------------------------------------------------------ names

    def know_log(self, log_id: int, topic: str, partition: int, *, durable: bool) -> str:
        """Give a log its name; a name says partition and life."""
        known = self._topics_of_logs.get(log_id)
        if known is None:
            name = f"{topic}/{partition}#{log_id % 10_000}"
            self._topics_of_logs[log_id] = (name, topic)
            if durable:
                self.durable_logs[topic, partition] = name
            else:
                self._memory_logs.append(name)
            return name
        return known[0]

    def log(self, log_id: int) -> str:
        """Return the name of a log."""
        return self._topics_of_logs[log_id][0]

    def label(self, subscription: Subscription, new: str = "") -> str:
        """Return a subscription's name; those that have none get one when they are opened."""
        if subscription.name:
            return subscription.name
        return self._labels.setdefault(subscription, new or f"unnamed-{len(self._labels)}")

    def readers(self, subscription: Subscription) -> Iterable[tuple[History, str]]:
        """Return the histories that know a subscription, and what they call it."""
        label = self.label(subscription)
        yield self.wire, label
        yield self.users, label.split("~", 1)[0]  # "client~stream" is one subscription to its user.

    # ------------------------------------------------------------ the coordinator

    def appended(self, log_id: int, entry: Entry) -> None:
        """A batch is in its log for good."""
        log, topic = self._topics_of_logs[log_id]
        header = entry.batch.header
        epoch = header.producer_epoch + 1 if self.is_named(header.producer_id) else 0
        self.note(f"appended {log}@{entry.base_offset}+{entry.count}")
        for offset, message in enumerate(entry.messages(), entry.base_offset):
            only = header.only_subscription
            if only:
                self.both(ev.Redriven(message.id))
            self.both(ev.Appended(message.id, topic, log, offset, epoch, only))

    def taken(self) -> None:
        """A group is taken: its cursors are recorded as they are now."""
        self._sought_since_take.clear()

    def sought(self, subscription: Subscription, log_id: int, offset: int) -> None:
        """A cursor was moved."""
        log = self.log(log_id)
        self.note(f"sought {subscription.name} {log}@{offset}")
        self._sought_since_take.add((subscription.name, log))
        for history, name in self.readers(subscription):
            history.add(ev.Sought(name, log, offset))

    def committed(self, records: Sequence[rec.Record], *, in_doubt: bool) -> None:
        """The store has a transaction; in doubt = the coordinator learns that only when it starts again."""
        for record in records:
            if isinstance(record, rec.EntryRecord):
                self.appended(record.log_id, record.entry)
            elif isinstance(record, rec.CursorRecord):
                log = self.log(record.log_id)
                runs = tuple((first, last) for first, last, *_ in record.open_runs)
                self.note(f"saved {record.subscription} {log}@{record.next_offset} {runs}")
                if (record.subscription, log) not in self._sought_since_take:
                    saved = ev.Saved(record.subscription, log, record.next_offset, runs)
                    self._tell_wire(saved, in_doubt=in_doubt)
            elif isinstance(record, rec.DeadLetterRecord):
                log = self.log(record.log_id)
                self.note(f"dead letter of {record.subscription} {log}@{record.offset}")
                buried = ev.DeadLettered(record.subscription, log, record.offset)
                self.users.add(buried)
                self._tell_wire(buried, in_doubt=in_doubt)

    def _tell_wire(self, event: ev.Event, *, in_doubt: bool) -> None:
        if in_doubt:
            self._untold.append(event)
        else:
            self.wire.add(event)

    def restarted(self) -> None:
        """The coordinator is gone, and its memory logs with it."""
        untold, self._untold = self._untold, []
        for event in untold:
            self.wire.add(event)
        self.both(ev.Restarted())
        for log in self._memory_logs:
            self.both(ev.Forgotten(log))
        self._memory_logs.clear()
        self._labels.clear()

    def sent(self, subscription: str, member: str, delivery: Delivery) -> None:
        """A delivery leaves the coordinator."""
        header = delivery.batch.header
        log = self.log(delivery.log_id)
        self.note(
            f"sent {log}@{delivery.first_offset}+{header.message_count} to {member} attempt {delivery.attempt}"
        )
        for offset, message in enumerate(open_batch(delivery.batch), delivery.first_offset):
            self.wire.add(
                ev.Delivered(
                    subscription,
                    member,
                    message.id,
                    header.topic,
                    log,
                    offset,
                    delivery.attempt,
                    message.data.decode(),
                    message.ByteSize(),
                )
            )

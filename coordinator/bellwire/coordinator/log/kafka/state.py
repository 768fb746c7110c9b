"""What the compacted topic `_bellwire_state` holds: the latest record of everything but entries. No I/O.

A key is a JSON list, first what it is; a value is a JSON object with the fields of the record, bytes in Base64;
no value = it is gone. So it reads with any Kafka tool, and compaction keeps what is needed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from typing import Any, Final, TypeAlias, cast

from bellwire.coordinator.log.kafka.opener import Opener
from bellwire.coordinator.log.kafka.positions import EndRecord, PlaceRecord
from bellwire.coordinator.log.memory_store import matches
from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLetterRecord,
    DeadLettersRemovedRecord,
    EntryRecord,
    EvictedRecord,
    ProducerNameRecord,
    ProducerRecord,
    Record,
    ResultRecord,
    ResultsExpiredRecord,
    SegmentRecord,
    Snapshot,
    SubscriptionDeletedRecord,
    SubscriptionRecord,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.wire.errors import DataCorruptError, SchemaVersionError

FORMAT: Final = 1

Key: TypeAlias = tuple[str | int, ...]
Json: TypeAlias = dict[str, Any]

StateRecord: TypeAlias = Record | PlaceRecord | EndRecord

STORE: Final[Key] = ("store",)
_KINDS: Final[dict[type, str]] = {
    TopicRecord: "topic",
    SegmentRecord: "segment",
    EvictedRecord: "evicted",
    ProducerRecord: "producer",
    ProducerNameRecord: "producer-name",
    SubscriptionRecord: "subscription",
    CursorRecord: "cursor",
    DeadLetterRecord: "dead-letter",
    ResultRecord: "result",
    PlaceRecord: "place",
    EndRecord: "end",
}
_KEYS: Final[dict[type, tuple[str, ...]]] = {
    TopicRecord: ("name",),
    SegmentRecord: ("log_id", "base_offset"),
    EvictedRecord: ("log_id",),
    ProducerRecord: ("log_id", "producer_id"),
    ProducerNameRecord: ("name",),
    SubscriptionRecord: ("name",),
    CursorRecord: ("subscription", "log_id"),
    DeadLetterRecord: ("id",),
    ResultRecord: ("scope", "request_id"),
    PlaceRecord: ("log_id", "base_offset"),
    EndRecord: ("log_id",),
}
_TYPES: Final = {kind: type_ for type_, kind in _KINDS.items()}


class Changes:
    """What a transaction writes to the topic: the last value of each key; None = it is gone."""

    def __init__(self) -> None:
        self.values: dict[Key, StateRecord | None] = {}
        self.before: dict[Key, StateRecord | None] = {}

    def encoded(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield keys and values as they are written."""
        for key, record in self.values.items():
            yield encode_key(key), None if record is None else encode_value(encode(record))


class State:
    """The latest record of each key.

    Attributes:
        incarnation: Counts the openings from 1; 0 = never opened.
        commits: Counts the transactions.
        is_open: Whether it was not closed.
        last_dead_letter_id: Greatest ever given.
        opener: Who opened it last.
    """

    def __init__(self) -> None:
        self._records: dict[str, dict[Key, StateRecord]] = {kind: {} for kind in _TYPES}
        self._removals: Final[dict[type, Callable[[Any], Iterable[Key]]]] = {
            TopicDeletedRecord: self._of_topic,
            SubscriptionDeletedRecord: self._of_subscription,
            DeadLettersRemovedRecord: self._of_letters,
            ResultsExpiredRecord: self._of_expired_results,
        }
        self.incarnation = 0
        self.commits = 0
        self.is_open = False
        self.last_dead_letter_id = 0
        self.opener = Opener()

    # ------------------------------------------------------------ changes

    def apply(self, record: StateRecord, changes: Changes) -> None:
        """Take in a record, and note what it changes in the topic."""
        if isinstance(record, EntryRecord):
            return
        gone = self._removals.get(type(record))
        if gone is not None:
            self._remove(list(gone(record)), changes)
            return
        if isinstance(record, EvictedRecord):
            known = self.low_offset(record.log_id)
            if record.low_offset <= known:
                return
            self._remove(list(self._evicted(record)), changes)
        if isinstance(record, DeadLetterRecord):
            self.last_dead_letter_id = max(self.last_dead_letter_id, record.id)
        key = key_of(record)
        changes.before.setdefault(key, self._of(key).get(key))
        self._of(key)[key] = record
        changes.values[key] = record

    def forget_places(self, log_id: int, bases: Iterable[int], changes: Changes) -> None:
        """Take out places that nothing is read from any more."""
        self._remove([("place", log_id, base) for base in bases], changes)

    def _remove(self, keys: Iterable[Key], changes: Changes) -> None:
        for key in keys:
            record = self._of(key).pop(key, None)
            if record is not None:
                changes.before.setdefault(key, record)
                changes.values[key] = None

    def undo(self, changes: Changes) -> None:
        """Take back what `apply` did: the transaction was aborted."""
        for key, record in changes.before.items():
            if record is None:
                self._of(key).pop(key, None)
            else:
                self._of(key)[key] = record

    def _of(self, key: Key) -> dict[Key, StateRecord]:
        return self._records[cast(str, key[0])]

    def _of_topic(self, record: TopicDeletedRecord) -> Iterator[Key]:
        yield ("topic", record.name)
        logs = frozenset(record.log_ids)
        for kind in ("segment", "producer", "evicted", "place", "end"):
            yield from (key for key in self._records[kind] if key[1] in logs)
        yield from (key for key in self._records["cursor"] if key[2] in logs)

    def _of_subscription(self, record: SubscriptionDeletedRecord) -> Iterator[Key]:
        yield ("subscription", record.name)
        yield from (key for key in self._records["cursor"] if key[1] == record.name)

    def _of_letters(self, record: DeadLettersRemovedRecord) -> Iterator[Key]:
        return (("dead-letter", id_) for id_ in record.ids)

    def _of_expired_results(self, record: ResultsExpiredRecord) -> Iterator[Key]:
        return (
            key
            for key, result in self._records["result"].items()
            if cast(ResultRecord, result).expire_ns <= record.time_ns
        )

    def _evicted(self, record: EvictedRecord) -> Iterator[Key]:
        return (
            key
            for key, segment in self._records["segment"].items()
            if key[1] == record.log_id
            and cast(SegmentRecord, segment).next_offset <= record.low_offset
        )

    # ------------------------------------------------------------ what is there

    def load(self, key: Key, value: Json | None) -> None:
        """Take in what was read from the topic.

        Raises:
            SchemaVersionError, DataCorruptError
        """
        if key == STORE:
            self._load_store(value or {})
            return
        if key[0] not in _TYPES:
            raise SchemaVersionError(
                f"the state topic holds a record of kind {key[0]!r}, which this version does not know: use a newer one"
            )
        if value is None:
            self._of(key).pop(key, None)
        else:
            self._of(key)[key] = decode(key, value)
        if key[0] == "dead-letter":
            self.last_dead_letter_id = max(self.last_dead_letter_id, int(key[1]))

    def _load_store(self, value: Json) -> None:
        if value.get("format", FORMAT) != FORMAT:
            raise SchemaVersionError(
                f"the state topic has format {value['format']}, this version reads {FORMAT}: use a newer one"
            )
        self.incarnation = int(value.get("incarnation", 0))
        self.commits = int(value.get("commits", 0))
        self.is_open = bool(value.get("open", False))
        self.opener = Opener(str(value.get("opened_by", "")), int(value.get("opened_ns", 0)))
        self.last_dead_letter_id = max(
            self.last_dead_letter_id, int(value.get("last_dead_letter_id", 0))
        )

    def store_value(self) -> Json:
        """Return the value of the key that each transaction writes."""
        return {
            "format": FORMAT,
            "incarnation": self.incarnation,
            "commits": self.commits,
            "open": self.is_open,
            "opened_by": self.opener.name,
            "opened_ns": self.opener.opened_ns,
            "last_dead_letter_id": self.last_dead_letter_id,
        }

    def topics(self) -> list[TopicRecord]:
        """Return the topics, by name."""
        return cast(list[TopicRecord], self._sorted("topic"))

    def places(self) -> list[PlaceRecord]:
        """Return where entries are, by log and offset."""
        return cast(list[PlaceRecord], self._sorted("place"))

    def ends(self) -> list[EndRecord]:
        """Return where logs end."""
        return cast(list[EndRecord], self._sorted("end"))

    def low_offset(self, log_id: int) -> int:
        """Return the offset below which a log was evicted."""
        evicted = self._records["evicted"].get(("evicted", log_id))
        return cast(EvictedRecord, evicted).low_offset if evicted is not None else 0

    def snapshot(self, *, after_crash: bool) -> Snapshot:
        """Return what the engine begins with."""
        letters: dict[str, int] = {}
        for letter in cast(Iterable[DeadLetterRecord], self._records["dead-letter"].values()):
            letters[letter.topic] = letters.get(letter.topic, 0) + 1
        return Snapshot(
            topics=self.topics(),
            segments=cast(list[SegmentRecord], self._sorted("segment")),
            producers=cast(list[ProducerRecord], self._sorted("producer")),
            producer_names=cast(list[ProducerNameRecord], self._sorted("producer-name")),
            subscriptions=cast(list[SubscriptionRecord], self._sorted("subscription")),
            cursors=cast(list[CursorRecord], self._sorted("cursor")),
            results=cast(list[ResultRecord], self._sorted("result")),
            dead_letters=letters,
            last_dead_letter_id=self.last_dead_letter_id,
            incarnation=self.incarnation,
            after_crash=after_crash,
        )

    def _sorted(self, kind: str) -> list[StateRecord]:
        records = self._records[kind]
        return [records[key] for key in sorted(records)]

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        return list(islice(self._matching(query), query.limit))

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        ids = [letter.id for letter in self._matching(query)]
        return len(ids), max(ids, default=0)

    def _matching(self, query: DeadLetterQuery) -> Iterator[DeadLetterRecord]:
        wanted = frozenset(query.ids)
        letters = cast(list[DeadLetterRecord], self._sorted("dead-letter"))
        return (
            letter
            for letter in letters
            if letter.topic == query.topic
            and (not wanted or letter.id in wanted)
            and matches(letter, query)
        )


# ---------------------------------------------------------------- keys and values


def key_of(record: StateRecord) -> Key:
    """Return the key of a record that stays."""
    kind = type(record)
    return (_KINDS[kind], *(getattr(record, name) for name in _KEYS[kind]))


def encode_key(key: Key) -> bytes:
    """Return a key as it is written."""
    return json.dumps(key, ensure_ascii=False, separators=(",", ":")).encode()


def encode_value(value: Json) -> bytes:
    """Return a value as it is written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode_pair(key: bytes | None, value: bytes | None) -> tuple[Key, Json | None]:
    """Return a key and a value that were read.

    Raises:
        DataCorruptError: They are none of ours.
    """
    try:
        found = json.loads(key or b"")
        content = None if value is None else json.loads(value)
        if not isinstance(found, list) or not found or not isinstance(content, dict | None):
            raise TypeError
    except (ValueError, TypeError):
        raise DataCorruptError(
            f"the state topic holds a record that is none of ours: key {key!r:.100}, value {value!r:.100}; "
            "something else writes to it"
        ) from None
    return tuple(found), content


def encode(record: StateRecord) -> Json:
    """Return the fields of a record, those of its key left out."""
    left_out = _KEYS[type(record)]
    return {
        field.name: _plain(getattr(record, field.name))
        for field in fields(record)
        if field.name not in left_out
    }


def decode(key: Key, value: Json) -> StateRecord:
    """Return the record of a key and a value.

    Raises:
        DataCorruptError: A field is missing or has another type.
    """
    kind = _TYPES[cast(str, key[0])]
    given = {**value, **dict(zip(_KEYS[kind], key[1:], strict=False))}
    try:
        return cast(
            StateRecord,
            kind(**{field.name: _typed(field.type, given[field.name]) for field in fields(kind)}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataCorruptError(
            f"the state topic holds a damaged record, key {key}: {error!r}"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _typed(type_: Any, value: Any) -> Any:
    name = str(type_)
    if name == "bytes":
        return base64.b64decode(value, validate=True)
    if name.startswith("tuple"):
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        return _tuples(value)
    if not isinstance(value, int if name == "int" else str):
        raise TypeError(f"{value!r} is no {name}")
    return value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value

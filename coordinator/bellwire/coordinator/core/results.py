"""Idempotent requests: the response to a request id is kept, and given again to whoever repeats it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from google.protobuf.message import Message

from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.log.records import ResultRecord, ResultsExpiredRecord
from bellwire.wire.errors import BellwireError, CallerError, IdempotencyKeyReusedError

REQUEST_ID_BYTES_MAX: Final = 128
NANOS: Final = 1_000_000_000
SWEEP_SECONDS: Final = 60.0

NOT_COMPARED: Final = ("traceparent", "tracestate", "meta")  # A retry is traced anew.

Waiter: TypeAlias = "Callable[[bytes | None, BellwireError | None], None]"


@dataclass(slots=True)
class _Result:
    digest: bytes
    response: bytes | None  # None = in progress.
    expire_ns: int
    waiters: list[Waiter]
    is_durable: bool = False


def digest_of(request: Message) -> bytes:
    """Return what tells one request from another, its request_id and its trace aside."""
    bare = type(request)()
    bare.CopyFrom(request)
    for field in ("request_id", *NOT_COMPARED):
        if field in bare.DESCRIPTOR.fields_by_name:
            bare.ClearField(field)
    return sha256(bare.SerializeToString(deterministic=True)).digest()


class Results:
    """Responses by (scope, request id); bounded, the oldest go first, and each goes after its time."""

    def __init__(
        self,
        journal: Journal,
        results_max: int,
        ttl_seconds: float,
        records: Iterable[ResultRecord] = (),
    ) -> None:
        self._journal = journal
        self._results_max = results_max
        self._ttl_ns = int(ttl_seconds * NANOS)
        self._results: OrderedDict[tuple[str, str], _Result] = OrderedDict()
        self._sweep_at = 0.0
        for record in sorted(records, key=lambda record: record.expire_ns):
            self._results[record.scope, record.request_id] = _Result(
                record.digest, record.response, record.expire_ns, [], is_durable=True
            )

    def __len__(self) -> int:
        return len(self._results)

    def begin(
        self, scope: str, request_id: str, digest: bytes, now_ns: int, waiter: Waiter
    ) -> bool:
        """Tell whether the request is new and must be carried out; then `finish` or `give_up` must follow.

        Otherwise `waiter` is called with the response, at once or when the first one has it.

        Raises:
            IdempotencyKeyReusedError: The id was used for another request.
            CallerError: The id is too long.
        """
        if len(request_id.encode()) > REQUEST_ID_BYTES_MAX:
            raise CallerError(
                f"request_id holds {len(request_id.encode())} bytes, limit is {REQUEST_ID_BYTES_MAX}"
            )
        found = self._results.get((scope, request_id))
        if found is None or (found.response is not None and found.expire_ns <= now_ns):
            self._results[scope, request_id] = _Result(digest, None, now_ns + self._ttl_ns, [])
            self._bound()
            return True
        if found.digest != digest:
            raise IdempotencyKeyReusedError(
                f"request_id {request_id!r} was used before for another {scope}: use a new id for a new request",
                metadata={"request_id": request_id, "rpc": scope},
            )
        if found.is_durable:
            waiter(found.response, None)
        else:
            found.waiters.append(waiter)
        return False

    def finish(self, scope: str, request_id: str, response: bytes) -> None:
        """Keep a response, in the same group as what the request has staged."""
        found = self._results.get((scope, request_id))
        if found is None:
            return
        found.response = response
        record = ResultRecord(scope, request_id, found.digest, response, found.expire_ns)

        def undo(error: BellwireError | None) -> None:
            if error is not None:
                self.give_up(scope, request_id, error)

        if self._journal.broken is None:
            self._journal.stage(record, undo=undo, size_bytes=len(response))

    def settle(self, scope: str, request_id: str) -> None:
        """Tell those who wait for the same request: its response is durable."""
        found = self._results.get((scope, request_id))
        if found is not None:
            found.is_durable = True
            waiters, found.waiters = found.waiters, []
            for waiter in waiters:
                waiter(found.response, None)

    def give_up(self, scope: str, request_id: str, error: BellwireError) -> None:
        """Forget a request that ended in an error: it may be made again."""
        found = self._results.pop((scope, request_id), None)
        if found is not None:
            for waiter in found.waiters:
                waiter(None, error)

    def tick(self, now: float, now_ns: int) -> None:
        """Forget what has had its time."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        gone = 0
        while self._results:
            key, oldest = next(iter(self._results.items()))
            if oldest.response is None or oldest.expire_ns > now_ns:
                break
            del self._results[key]
            gone += 1
        if gone and self._journal.broken is None:
            self._journal.stage(ResultsExpiredRecord(now_ns))

    def _bound(self) -> None:
        while len(self._results) > self._results_max:
            key = next((k for k, r in self._results.items() if r.response is not None), None)
            if key is None:
                return
            del self._results[key]

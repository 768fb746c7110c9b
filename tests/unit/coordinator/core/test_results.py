"""bellwire.coordinator.core.results: a request id gives its first response again, and no other."""

from __future__ import annotations

import pytest

from bellwire.agent.v1.invocation_pb2 import InvokeRequest
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.results import Results, digest_of
from bellwire.coordinator.log.records import ResultRecord, ResultsExpiredRecord
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    IdempotencyKeyReusedError,
    PeerError,
    StoreFullError,
)

RPC = "a/B"


class Asker:
    """Somebody with a request."""

    def __init__(self, results: Results, digest: bytes = b"d") -> None:
        self.told: list[bytes | BellwireError | None] = []
        self.results = results
        self.digest = digest

    def ask(self, request_id: str = "r", now_ns: int = 0) -> bool:
        return self.results.begin(
            RPC,
            request_id,
            self.digest,
            now_ns,
            lambda data, error: self.told.append(data or error),
        )


@pytest.fixture
def journal() -> Journal:
    return Journal(1 << 20)


@pytest.fixture
def results(journal: Journal) -> Results:
    return Results(journal, 3, 60.0)


def test_the_first_is_carried_out_and_the_second_gets_its_response(results: Results):
    first, second = Asker(results), Asker(results)
    assert first.ask()
    results.finish(RPC, "r", b"done")
    results.settle(RPC, "r")
    assert not second.ask()
    assert second.told == [b"done"]


def test_one_that_comes_while_the_first_runs_waits_until_the_response_is_durable(results: Results):
    first, second = Asker(results), Asker(results)
    first.ask()
    assert not second.ask()
    results.finish(RPC, "r", b"done")
    assert second.told == []
    results.settle(RPC, "r")
    assert second.told == [b"done"]


def test_the_same_id_for_another_request_is_refused(results: Results):
    Asker(results).ask()
    with pytest.raises(IdempotencyKeyReusedError, match="'r' was used before for another a/B"):
        Asker(results, b"other").ask()


def test_a_request_that_failed_may_be_made_again(results: Results):
    first, second = Asker(results), Asker(results)
    first.ask()
    second.ask()
    results.give_up(RPC, "r", PeerError("lost"))
    assert isinstance(second.told[0], PeerError)
    assert first.ask()


def test_a_response_that_was_not_written_is_forgotten(results: Results, journal: Journal):
    first, second = Asker(results), Asker(results)
    first.ask()
    results.finish(RPC, "r", b"done")
    second.ask()
    group = journal.take()
    assert group is not None
    journal.failed(group, StoreFullError("full"))
    assert isinstance(second.told[0], StoreFullError)
    assert first.ask()


def test_responses_go_after_their_time_and_when_there_are_too_many(
    results: Results, journal: Journal
):
    for name in "abcd":
        asker = Asker(results)
        assert asker.ask(name)
        results.finish(RPC, name, b"done")
        results.settle(RPC, name)
    assert len(results) == 3
    assert Asker(results).ask("a"), "the oldest has gone"
    assert Asker(results).ask("d", now_ns=60_000_000_000), "its time is over"
    results.tick(0.0, 60_000_000_000)
    group = journal.take()
    assert group is not None
    assert isinstance(group.records[-1], ResultsExpiredRecord)


def test_what_was_stored_is_known_after_a_restart(journal: Journal):
    record = ResultRecord(RPC, "r", b"d", b"done", 10)
    results = Results(journal, 3, 60.0, [record])
    asker = Asker(results)
    assert not asker.ask()
    assert asker.told == [b"done"]


def test_an_endless_id_is_refused(results: Results):
    with pytest.raises(CallerError, match="request_id holds 129 bytes, limit is 128"):
        Asker(results).ask("x" * 129)


def test_the_digest_tells_requests_apart_but_not_their_ids_and_traces():
    one = InvokeRequest(capability="a", request_id="1", traceparent="x")
    two = InvokeRequest(capability="a", request_id="2", traceparent="y")
    assert digest_of(one) == digest_of(two)
    assert digest_of(one) != digest_of(InvokeRequest(capability="b"))

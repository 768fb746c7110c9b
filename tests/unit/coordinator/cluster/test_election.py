"""The rules of an election, one by one."""

from __future__ import annotations

from bellwire.coordinator.cluster.election import Answer, Election, LeaseTimes, Role
from bellwire.coordinator.cluster.holder import Holder

TIMES = LeaseTimes(3.0)
ME = Holder("127.0.0.1:7400", "me", 1)
OTHER = Holder("127.0.0.1:7401", "other", 1)


def elected(now: float = 10.0) -> Election:
    """One that has the lease and has opened the store."""
    election = Election(ME, TIMES, now)
    election.answered(Answer(ME, taken=True), now, now)
    election.opened(now)
    return election


def test_a_free_lease_is_taken_and_then_the_store_is_opened() -> None:
    election = Election(ME, TIMES, 10.0)
    assert election.may_take(10.0)
    election.answered(Answer(ME, taken=True), 10.0, 10.1)
    assert (election.role, election.open_at()) == (Role.OPENING, 10.1)
    assert not election.may_serve(10.1)
    election.opened(10.4)
    assert election.may_serve(10.4)


def test_a_holder_serves_for_half_the_time_to_live_since_it_sent_a_renewal() -> None:
    election = elected(10.0)
    assert election.may_serve(11.4)
    assert not election.may_serve(11.5)
    election.answered(Answer(ME), 11.0, 11.3)
    assert election.may_serve(12.4)
    assert not election.may_serve(12.5)


def test_who_was_late_serves_again_only_after_a_commit() -> None:
    election = elected(10.0)
    election.answered(Answer(ME), 12.0, 12.1)  # A pause of two seconds.
    assert not election.may_serve(12.1)
    assert election.wants_proof()
    election.proved(12.05, 12.2)  # Begun before the doubt: it says nothing.
    assert not election.may_serve(12.2)
    election.proved(12.2, 12.3)
    assert election.may_serve(12.3)
    assert not election.wants_proof()


def test_a_lease_that_was_gone_is_written_again_and_doubted() -> None:
    election = elected(10.0)
    election.answered(Answer(ME, taken=True), 11.0, 11.0)
    assert election.may_serve(11.0)  # What was confirmed before still holds.
    assert election.wants_proof()
    assert not election.may_serve(11.5)


def test_while_redis_is_away_commits_keep_it_serving() -> None:
    election = elected(10.0)
    election.failed(11.0)
    assert election.wants_proof()
    election.proved(11.0, 11.1)
    assert election.may_serve(12.4)
    assert not election.may_serve(12.5)


def test_somebody_elses_lease_makes_it_a_standby() -> None:
    election = elected(10.0)
    election.answered(Answer(OTHER, left_seconds=2.0), 11.0, 11.0)
    assert election.role is Role.STANDBY
    assert election.owner == OTHER
    assert not election.may_serve(11.0)


def test_a_standby_takes_nothing_before_redis_has_answered_for_a_time_to_live() -> None:
    election = Election(ME, TIMES, 10.0)
    election.failed(10.0)
    election.answered(Answer(None), 10.5, 10.5)
    assert not election.may_take(12.9)
    assert election.may_take(13.0)


def test_the_fenced_one_that_has_the_lease_opens_again_but_not_for_ever() -> None:
    election = elected(10.0)
    found = []
    for attempt in range(3):
        now = 10.0 + attempt / 10
        election.fenced(now)
        election.answered(Answer(ME), now, now)
        found.append(election.is_contested)
        election.opened(now)
    assert found == [False, False, True]


def test_the_fenced_one_whose_successor_is_known_is_not_contested() -> None:
    election = elected(10.0)
    for attempt in range(5):
        now = 10.0 + attempt
        election.fenced(now)
        election.answered(Answer(OTHER), now, now)
        election.answered(Answer(ME, taken=True), now, now)
        assert not election.is_contested
        election.opened(now)


def test_who_cannot_open_the_store_leaves_the_lease_to_others() -> None:
    election = Election(ME, TIMES, 10.0)
    election.answered(Answer(ME, taken=True), 10.0, 10.0)
    assert [election.not_opened(10.0) for _ in range(3)] == [False, False, True]
    assert election.role is Role.STANDBY
    assert not election.may_take(15.9)
    assert election.may_take(16.0)


def test_a_standby_forgets_the_owner_when_redis_has_been_away_for_long() -> None:
    election = Election(ME, TIMES, 10.0)
    election.answered(Answer(OTHER, left_seconds=3.0), 10.0, 10.0)
    election.failed(12.9)
    assert election.owner == OTHER
    election.failed(13.0)
    assert election.owner is None

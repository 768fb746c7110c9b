"""tests.simulation.history: each kind of violation is found, and what is allowed is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.simulation import events as ev
from tests.simulation.history import History
from tests.simulation.violation import Kind

LOG = "orders/0"
DESK = "desk"


def published(*ids: str, topic: str = "orders") -> list[ev.Event]:
    """Messages of one producer, in this order."""
    return [ev.Published(id_, topic, "feed", at, f"content of {id_}") for at, id_ in enumerate(ids)]


def acknowledged(id_: str, offset: int, level: str = ev.PERSISTED) -> ev.Event:
    return ev.Acknowledged(id_, "orders", LOG, offset, level)


def appended(id_: str, offset: int, *, epoch: int = 0, only: str = "") -> ev.Event:
    return ev.Appended(id_, "orders", LOG, offset, epoch, only)


def delivered(id_: str, offset: int, member: str = "m0", size_bytes: int = 0) -> ev.Event:
    content = f"content of {id_}"
    return ev.Delivered(DESK, member, id_, "orders", LOG, offset, 0, content, size_bytes)


def settled(offset: int, how: str = ev.ACCEPTED, member: str = "m0") -> ev.Event:
    return ev.Settled(DESK, member, LOG, offset, how)


def found(events: Sequence[ev.Event], *, exact: bool = False, **subscribed: bool) -> list[Kind]:
    """The kinds of what a subscription's history shows."""
    history = History(exact=exact)
    history.add(ev.Subscribed(DESK, ("orders",), **subscribed))
    for event in events:
        history.add(event)
    return [violation.kind for violation in history.finish()]


class TestNothingIsWrong:
    def test_with_messages_done_in_order(self) -> None:
        events = [
            *published("a", "b"),
            acknowledged("a", 0),
            acknowledged("b", 1),
            delivered("a", 0),
            settled(0),
            delivered("b", 1),
            settled(1),
        ]
        assert found(events) == []

    def test_with_a_redelivery_whose_acceptance_was_not_durable(self) -> None:
        events = [
            *published("a"),
            appended("a", 0),
            delivered("a", 0),
            settled(0),
            ev.Restarted(),
            delivered("a", 0, "m1"),
            settled(0, member="m1"),
        ]
        assert found(events, exact=True) == []

    def test_with_a_second_delivery_seen_by_users(self) -> None:
        events = [*published("a"), acknowledged("a", 0), *[delivered("a", 0), settled(0)] * 2]
        assert found(events) == []

    def test_with_a_received_message_gone_in_a_crash(self) -> None:
        assert found([*published("a"), acknowledged("a", 0, "RECEIVED"), ev.Restarted()]) == []

    def test_with_a_message_that_a_policy_took(self) -> None:
        events = [*published("a"), acknowledged("a", 0), ev.Dropped(DESK, LOG, 0, "expired")]
        assert found(events) == []

    def test_with_a_message_that_is_in_the_dead_letters(self) -> None:
        events = [
            *published("a"),
            acknowledged("a", 0),
            delivered("a", 0),
            ev.DeadLettered(DESK, LOG, 0),
        ]
        assert found(events) == []

    def test_with_messages_before_the_start_and_before_a_seek(self) -> None:
        events = [
            *published("a", "b", "c"),
            appended("a", 0),
            appended("b", 1),
            appended("c", 2),
            ev.Started(DESK, LOG, 1),
            ev.Sought(DESK, LOG, 2),
            delivered("c", 2),
            settled(2),
        ]
        assert found(events) == []

    def test_with_a_redriven_dead_letter(self) -> None:
        events = [
            *published("a"),
            appended("a", 0),
            delivered("a", 0),
            ev.DeadLettered(DESK, LOG, 0),
            ev.Redriven("a"),
            appended("a", 1, only=DESK),
            delivered("a", 1),
            settled(1),
        ]
        assert found(events) == []

    def test_with_a_memory_log_gone_in_a_restart(self) -> None:
        assert found([*published("a"), appended("a", 0), ev.Forgotten(LOG)]) == []


class TestLost:
    def test_acknowledged_and_never_delivered(self) -> None:
        assert found([*published("a"), acknowledged("a", 0)]) == [Kind.LOST]

    def test_acknowledged_at_an_unknown_place_and_never_delivered(self) -> None:
        assert found([*published("a"), ev.Acknowledged("a", "orders")]) == [Kind.LOST]

    def test_delivered_to_a_member_that_died_and_to_nobody_else(self) -> None:
        events = [*published("a"), acknowledged("a", 0), delivered("a", 0), ev.Left("m0")]
        assert found(events) == [Kind.LOST]

    def test_committed_though_the_producer_never_heard_of_it(self) -> None:
        assert found([*published("a"), appended("a", 0)]) == [Kind.LOST]


class TestStoreAndCoordinatorDisagree:
    def test_acknowledged_as_persisted_before_the_store_holds_it(self) -> None:
        events = [
            *published("a", "b"),
            appended("a", 0),
            delivered("a", 0),
            settled(0),
            acknowledged("b", 1),
        ]
        assert Kind.UNPERSISTED in found(events)

    def test_delivered_before_it_is_committed(self) -> None:
        events = [*published("a", "b"), appended("a", 0), delivered("b", 1)]
        assert Kind.UNCOMMITTED in found(events)


class TestDuplicate:
    def test_appended_at_two_offsets(self) -> None:
        assert Kind.DUPLICATE in found([*published("a"), appended("a", 0), appended("a", 1)])

    def test_acknowledged_at_two_offsets(self) -> None:
        assert Kind.DUPLICATE in found(
            [*published("a"), acknowledged("a", 0), acknowledged("a", 1)]
        )

    def test_delivered_again_by_a_coordinator_that_had_heard_of_its_acceptance(self) -> None:
        events = [*published("a"), appended("a", 0), delivered("a", 0), settled(0)]
        assert found([*events, delivered("a", 0)], exact=True) == [Kind.DUPLICATE]

    def test_delivered_again_after_a_restart_although_its_acceptance_was_durable(self) -> None:
        events = [
            *published("a"),
            appended("a", 0),
            delivered("a", 0),
            settled(0),
            ev.Saved(DESK, LOG, 1),
            ev.Restarted(),
            delivered("a", 0),
        ]
        assert found(events, exact=True) == [Kind.DUPLICATE]

    def test_delivered_again_although_it_is_in_the_dead_letters(self) -> None:
        events = [
            *published("a"),
            appended("a", 0),
            delivered("a", 0),
            ev.DeadLettered(DESK, LOG, 0),
            delivered("a", 0),
        ]
        assert found(events, exact=True) == [Kind.DUPLICATE]

    def test_twice_in_the_dead_letters(self) -> None:
        letter = ev.DeadLettered(DESK, LOG, 0)
        assert found([*published("a"), acknowledged("a", 0), letter, letter]) == [Kind.DUPLICATE]

    def test_handed_twice_to_one_who_was_to_get_all_once(self) -> None:
        events = [*published("a"), acknowledged("a", 0), *[delivered("a", 0), settled(0)] * 2]
        assert found(events, once=True) == [Kind.DUPLICATE]


class TestOutOfOrder:
    def test_a_first_delivery_behind_a_newer_one(self) -> None:
        events = [
            *published("a", "b"),
            acknowledged("a", 0),
            acknowledged("b", 1),
            delivered("b", 1),
            settled(1),
            delivered("a", 0),
            settled(0),
        ]
        assert found(events) == [Kind.OUT_OF_ORDER]
        assert found(events, ordered=False) == []

    def test_a_newer_message_before_one_that_was_released(self) -> None:
        events = [
            *published("a", "b"),
            appended("a", 0),
            appended("b", 1),
            delivered("a", 0),
            settled(0, ev.RELEASED),
            delivered("b", 1),
            settled(1),
            delivered("a", 0),
            settled(0),
        ]
        assert found(events, exact=True) == [Kind.OUT_OF_ORDER]

    def test_a_newer_message_before_what_a_lost_member_held(self) -> None:
        events = [
            *published("a", "b"),
            appended("a", 0),
            appended("b", 1),
            ev.Granted("m0", 10),
            delivered("a", 0),
            ev.Left("m0"),
            delivered("b", 1, "m1"),
            settled(1),
            delivered("a", 0, "m1"),
            settled(0),
        ]
        assert found(events, exact=True) == [Kind.OUT_OF_ORDER]

    def test_appended_in_another_order_than_published(self) -> None:
        events = [
            *published("a", "b"),
            acknowledged("b", 0),
            acknowledged("a", 1),
            delivered("b", 0),
            settled(0),
            delivered("a", 1),
            settled(1),
        ]
        assert found(events) == [Kind.OUT_OF_ORDER]


class TestPhantomAndMixedUp:
    def test_delivered_and_never_published(self) -> None:
        assert Kind.PHANTOM in found([delivered("a", 0), settled(0)])

    def test_two_messages_at_one_offset(self) -> None:
        events = [*published("a", "b"), acknowledged("a", 0), delivered("b", 0), settled(0)]
        assert Kind.MIXED_UP in found(events)

    def test_another_content_than_published(self) -> None:
        changed = ev.Delivered(DESK, "m0", "a", "orders", LOG, 0, 0, "something else")
        assert Kind.MIXED_UP in found([*published("a"), changed, settled(0)])


class TestGap:
    def test_an_offset_left_out_of_the_log(self) -> None:
        assert Kind.GAP in found([*published("a", "b"), appended("a", 0), appended("b", 2)])

    def test_an_offset_nobody_knows_between_two_deliveries(self) -> None:
        events = [
            *published("a", "b"),
            delivered("a", 0),
            settled(0),
            delivered("b", 2),
            settled(2),
        ]
        assert found(events) == [Kind.GAP]


class TestWindow:
    def test_more_messages_in_flight_than_granted(self) -> None:
        events = [
            *published("a", "b"),
            appended("a", 0),
            appended("b", 1),
            ev.Granted("m0", 1),
            delivered("a", 0),
            delivered("b", 1),
        ]
        assert Kind.WINDOW in found(events, exact=True)

    def test_more_bytes_in_flight_than_granted(self) -> None:
        events = [
            *published("a"),
            appended("a", 0),
            ev.Granted("m0", 1, 100),
            delivered("a", 0, size_bytes=101),
        ]
        assert Kind.WINDOW in found(events, exact=True)

    def test_what_is_settled_makes_room(self) -> None:
        events = [
            *published("a", "b"),
            appended("a", 0),
            appended("b", 1),
            ev.Granted("m0", 1, 100),
            delivered("a", 0, size_bytes=100),
            settled(0),
            delivered("b", 1, size_bytes=100),
            settled(1),
        ]
        assert found(events, exact=True) == []


class TestFenced:
    def test_an_older_epoch_behind_a_newer_one(self) -> None:
        events = [*published("a", "b"), appended("a", 0, epoch=2), appended("b", 1, epoch=1)]
        assert Kind.FENCED in found(events)


class TestLines:
    @pytest.mark.parametrize(
        "event",
        [
            ev.Published("a", "orders", "feed", 1, "content"),
            ev.Subscribed(DESK, ("orders", "signals"), ordered=False),
            ev.Saved(DESK, LOG, 5, ((1, 2), (3, 4))),
            ev.Restarted(),
        ],
    )
    def test_an_event_survives_its_line(self, event: ev.Event) -> None:
        assert ev.from_line(ev.to_line(event)) == event

    @pytest.mark.parametrize(
        "line", ["not json", "{}", '{"event":"Nothing"}', '{"event":"Left","who":"m0"}']
    )
    def test_what_is_no_event_is_refused(self, line: str) -> None:
        with pytest.raises((ValueError, TypeError)):
            ev.from_line(line)

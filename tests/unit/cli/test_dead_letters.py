"""bellwire.cli.dead_letter_choice, dead_letter_view and redriving: which, what they show, how far it came."""

from __future__ import annotations

from typing import Any

import pytest

from bellwire.admin.v1.dead_letter_pb2 import (
    DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
    DEAD_LETTER_CAUSE_REJECTED,
    DeadLetter,
    DeadLetterFilter,
    RedriveDeadLettersResponse,
)
from bellwire.bus.v1.message_pb2 import Message, Position, PositionRange
from bellwire.cli.dead_letter_choice import choose
from bellwire.cli.dead_letter_view import cause_word, letter_json, letter_lines
from bellwire.cli.faults import UsageFault
from bellwire.cli.redriving import count_within, range_texts

NOON = 1_500_033_600_000_000_000  # 2017-07-14 12:00 UTC


def letter(**changes):
    about: dict[str, Any] = {
        "id": 7,
        "message": Message(id="m", key="EURUSD", type="acme.v1.Note", data=b"buy"),
        "position": Position(topic="orders.paper", partition=1, offset=42),
        "reason": "no such account",
        "attempts": 3,
        "subscription": "risk",
        "time_unix_nano": NOON,
        "cause": DEAD_LETTER_CAUSE_REJECTED,
    }
    return DeadLetter(**(about | changes))


def test_flags_become_the_filter_of_the_contract():
    chosen = choose("orders", "risk", "account", "EURUSD", "2017-07-14T12:00:00Z", [3, 4])
    assert chosen.filter == DeadLetterFilter(
        subscription="risk",
        reason_contains="account",
        key="EURUSD",
        ids=[3, 4],
        before_time_unix_nano=NOON,
    )
    assert chosen.words == (
        "of orders given up by risk with 'account' in the reason with key EURUSD "
        "before 2017-07-14 12:00:00 UTC of 2 ids"
    )


def test_without_flags_all_letters_of_the_topic_are_meant():
    chosen = choose("orders", "", "", "", None, None)
    assert (chosen.filter, chosen.words) == (DeadLetterFilter(), "of orders")


def test_more_ids_than_one_filter_takes_are_refused():
    with pytest.raises(UsageFault, match="--id is given 1001 times; one filter takes 1000"):
        choose("orders", "", "", "", None, list(range(1, 1002)))


def test_a_letter_says_where_it_was_who_gave_it_up_why_and_what_it_is():
    head, why, what = (line.plain for line in letter_lines(letter()))
    assert head == "7  2017-07-14 12:00:00  orders.paper/1@42  given up by risk, delivered 3 times"
    assert why == "    rejected: no such account"
    assert what == "    EURUSD  Note  buy"


def test_a_letter_without_a_reason_says_its_cause():
    given_up = letter(reason="", cause=DEAD_LETTER_CAUSE_MAX_ATTEMPTS, attempts=1)
    head, why, _ = (line.plain for line in letter_lines(given_up))
    assert head.endswith("delivered once")
    assert why == "    max attempts"


def test_a_cause_of_a_newer_server_is_shown_by_its_number():
    assert cause_word(letter(cause=9)) == "9"


def test_foreign_text_of_a_letter_cannot_steer_the_terminal():
    hostile = letter(
        reason="\x1b[2Jgone", subscription="a\nb", message=Message(key="\x07", data=b"x")
    )
    text = "".join(line.plain for line in letter_lines(hostile))
    assert text.isprintable()
    assert r"\x1b[2Jgone" in text


def test_the_json_of_a_letter_holds_the_message_as_tail_prints_it():
    found: Any = letter_json(letter())
    assert (found["id"], found["topic"], found["partition"], found["offset"]) == (
        *(7, "orders.paper"),
        *(1, 42),
    )
    assert (found["cause"], found["reason"], found["attempts"]) == (
        "rejected",
        "no such account",
        3,
    )
    assert found["message"]["data"] == "buy"
    assert "attempt" not in found["message"]


def response(messages, remaining, positions=()):
    return RedriveDeadLettersResponse(
        messages=messages,
        remaining_messages=remaining,
        positions=[
            PositionRange(topic="t", partition=0, first_offset=first, last_offset=last)
            for first, last in positions
        ],
    )


def test_a_dry_run_counts_over_all_pages_but_not_beyond_the_limit():
    limited = count_within(response(1000, 2000), 1200)
    assert (limited.messages, limited.remaining_messages) == (1200, 1800)
    unlimited = count_within(response(1000, 2000), None)
    assert (unlimited.messages, unlimited.remaining_messages) == (3000, 0)


def test_where_messages_are_now_is_shown_up_to_what_a_person_reads():
    assert range_texts(response(3, 0, positions=[(4, 4), (7, 8)])) == ["t/0@4", "t/0@7..8"]
    many = range_texts(response(12, 0, positions=[(n, n) for n in range(0, 24, 2)]))
    assert (len(many), many[-1]) == (11, "and 2 ranges more")

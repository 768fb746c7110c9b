"""bellwire.wire.errors: one class per reason, and nothing of an error is lost on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bellwire.bus.v1.error_pb2 import ItemError
from bellwire.wire import errors
from bellwire.wire.errors import (
    AgentFailedError,
    BellwireError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    InternalError,
    NotImplementedYetError,
    PeerError,
    StatusCode,
    TopicFullError,
    error_for,
    from_item_error,
    to_item_error,
)


def subclasses(cls: type[BellwireError]) -> Iterator[type[BellwireError]]:
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
        yield from subclasses(child)


CLASSES = sorted(set(subclasses(BellwireError)), key=lambda cls: cls.__name__)
OURS = [cls for cls in CLASSES if cls.__module__ == errors.__name__]


def test_every_reason_belongs_to_one_class():
    reasons = [cls.reason for cls in OURS if "reason" in cls.__dict__]
    assert len(reasons) == len(set(reasons))
    assert len(reasons) > 30


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_an_error_comes_back_from_a_stream_item_as_what_it_was(cls):
    error = error_for(int(cls.code), cls.reason, "what was wrong", {"found": "7"}, 0.25)
    assert type(error) is cls
    again = from_item_error(ItemError.FromString(to_item_error(error).SerializeToString()))
    assert type(again) is cls
    assert again.message == "what was wrong"
    assert again.metadata == {"found": "7"}
    assert again.retry_delay_seconds == 0.25
    assert (again.code, again.reason) == (cls.code, cls.reason)


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_a_class_says_who_is_at_fault_and_has_a_sentence_of_its_own(cls):
    assert issubclass(cls, CallerError | PeerError | CapacityError | InternalError)
    assert cls.code is not StatusCode.OK
    assert cls.__doc__
    assert cls.reason == cls.reason.upper()
    assert len(cls.reason) <= 63
    if issubclass(cls, CallerError):
        assert not cls.retryable


def test_the_docstring_is_the_default_message():
    message = TopicFullError().message
    assert message == "A subscriber with policy BLOCK has not made room in the topic in time."


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (StatusCode.INVALID_ARGUMENT, CallerError),
        (StatusCode.NOT_FOUND, CallerError),
        (StatusCode.UNIMPLEMENTED, NotImplementedYetError),
        (StatusCode.UNAVAILABLE, PeerError),
        (StatusCode.CANCELLED, PeerError),
        (StatusCode.DEADLINE_EXCEEDED, DeadlineExceededError),
        (StatusCode.RESOURCE_EXHAUSTED, CapacityError),
        (StatusCode.INTERNAL, InternalError),
        (StatusCode.UNKNOWN, BellwireError),
    ],
)
def test_a_bare_status_code_finds_the_nearest_class_and_keeps_its_code(code, cls):
    error = error_for(int(code), "", "text")
    assert type(error) is cls
    assert error.code is code


def test_a_reason_nobody_knows_is_kept_and_passed_on():
    error = from_item_error(ItemError(code=9, reason="MARKET_CLOSED", message="opens at 8"))
    assert isinstance(error, CallerError)
    item = to_item_error(error)
    assert (item.code, item.reason, item.message) == (9, "MARKET_CLOSED", "opens at 8")
    assert CallerError.reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize("code", [0, -1, 17, 10_000])
def test_a_code_that_is_no_error_becomes_unknown(code):
    error = error_for(code, "", "text")
    assert type(error) is BellwireError
    assert error.code is StatusCode.UNKNOWN


def test_known_reason_wins_over_its_code():
    error = error_for(StatusCode.UNAVAILABLE, "AGENT_FAILED", "text")
    assert type(error) is AgentFailedError
    assert error.code is AgentFailedError.code


def test_no_delay_and_a_tiny_delay_are_different_on_the_wire():
    assert to_item_error(TopicFullError("x")).retry_delay_millis == 0
    soon = TopicFullError("x", retry_delay_seconds=0.0001)
    assert to_item_error(soon).retry_delay_millis == 1


def test_what_a_caller_wrote_is_quoted_only_as_far_as_trailers_can_carry():
    flood = {f"key{index}" * 100: "€" * 10_000 for index in range(100)}
    item = to_item_error(CallerError("ä" * 100_000, metadata=flood))
    assert item.message.startswith("ää")
    assert item.message.endswith("…")
    assert item.ByteSize() < 4_096


def test_text_that_fits_is_not_touched():
    text = "ä" * 512
    assert to_item_error(CallerError(text)).message == text

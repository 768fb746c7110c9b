"""What a subscription remembers over a lost stream."""

from bellwire.bus.v1.message_pb2 import Position
from bellwire.client._resume import EphemeralResume, NamedResume

KEY = ("bars", 0)


def at(offset: int) -> list[Position]:
    return [Position(topic="bars", partition=0, offset=offset)]


def skipped(bits: int) -> list[int]:
    return [index for index in range(bits.bit_length()) if bits >> index & 1]


class TestEphemeral:
    def test_before_anything_is_known_the_users_start_is_used(self) -> None:
        assert EphemeralResume().start_position() is None

    def test_a_stream_lost_before_the_first_message_resumes_where_it_started(self) -> None:
        resume = EphemeralResume()
        resume.started(at(7))
        start = resume.start_position()
        assert start is not None
        assert list(start.positions) == at(7)

    def test_it_resumes_behind_the_last_message_received(self) -> None:
        resume = EphemeralResume()
        resume.started(at(7))
        assert resume.on_received(KEY, 7, 5, 0) == 0
        start = resume.start_position()
        assert start is not None
        assert list(start.positions) == at(12)

    def test_what_the_log_dropped_between_two_streams_is_counted(self) -> None:
        resume = EphemeralResume()
        assert resume.started(at(7)) == 0
        resume.on_received(KEY, 7, 5, 0)
        assert resume.started(at(20)) == 8

    def test_nothing_is_missed_when_the_log_is_another_one(self) -> None:
        resume = EphemeralResume()
        resume.started([Position(topic="bars", partition=0, offset=7, log_id=1)])
        assert resume.started([Position(topic="bars", partition=0, offset=20, log_id=2)]) == 0

    def test_what_was_received_before_is_skipped(self) -> None:
        resume = EphemeralResume()
        resume.started(at(0))
        resume.on_received(KEY, 0, 10, 0)
        resume.started(at(10))
        assert skipped(resume.on_received(KEY, 8, 5, 0)) == [0, 1]

    def test_a_redelivery_of_the_same_stream_is_not_skipped(self) -> None:
        resume = EphemeralResume()
        resume.on_received(KEY, 0, 10, 0)
        resume.on_released(KEY, 3, 3)
        assert resume.on_received(KEY, 3, 1, 1) == 0

    def test_it_goes_back_to_what_was_released_and_skips_the_rest(self) -> None:
        resume = EphemeralResume()
        resume.started(at(0))
        resume.on_received(KEY, 0, 10, 0)
        resume.on_released(KEY, 4, 5)
        start = resume.start_position()
        assert start is not None
        assert list(start.positions) == at(4)
        resume.started(at(4))
        assert skipped(resume.on_received(KEY, 4, 8, 0)) == [2, 3, 4, 5]
        start = resume.start_position()
        assert start is not None
        assert list(start.positions) == at(12)

    def test_a_log_that_begins_again_is_not_taken_for_repeats(self) -> None:
        resume = EphemeralResume()
        resume.started(at(0))
        resume.on_received(KEY, 0, 1_000, 0)
        resume.started(at(0))
        assert resume.on_received(KEY, 0, 5, 0) == 0

    def test_the_memory_of_released_messages_is_bounded(self) -> None:
        resume = EphemeralResume()
        for first in range(0, 30_000, 1_000):
            resume.on_released(KEY, first, first + 999)
        assert len(resume._returned[KEY]) == 10_000


class TestNamed:
    def test_the_coordinator_decides_where_to_go_on(self) -> None:
        assert NamedResume(100).start_position() is None

    def test_what_was_accepted_is_recognised_when_it_is_delivered_again(self) -> None:
        resume = NamedResume(100)
        resume.on_received(KEY, 0, 10, 0)
        resume.on_accepted(KEY, 2, 4)
        resume.on_accepted(KEY, 7, 7)
        resume.started(at(10))
        assert skipped(resume.skipped_now(KEY, 0, 10, 1)) == [2, 3, 4, 7]
        assert skipped(resume.skipped_now(KEY, 4, 2, 1)) == [0]
        assert resume.skipped_now(("bars", 1), 0, 10, 1) == 0

    def test_what_was_held_from_a_log_that_is_gone_is_not_taken_for_what_has_its_offsets_now(
        self,
    ) -> None:
        resume = NamedResume(100)
        resume.on_received(KEY, 0, 10, 0, log_id=7)
        resume.on_received(KEY, 0, 10, 0, log_id=8)
        resume.on_accepted(KEY, 3, 3, 7)  # Late, by a user who held it meanwhile.
        resume.on_accepted(KEY, 5, 5, 8)
        assert skipped(resume.skipped_now(KEY, 0, 10, 1)) == [5]

    def test_a_first_delivery_is_never_skipped(self) -> None:
        resume = NamedResume(100)
        resume.on_accepted(KEY, 0, 9)
        assert resume.skipped_now(KEY, 0, 10, 0) == 0

    def test_only_a_window_of_acceptances_is_remembered(self) -> None:
        resume = NamedResume(10)
        for first in range(0, 100, 4):
            resume.on_accepted(KEY, first, first + 3)
        assert skipped(resume.skipped_now(KEY, 0, 100, 1)) == list(range(90, 100))

    def test_a_log_that_begins_again_is_not_taken_for_repeats(self) -> None:
        resume = NamedResume(100)
        resume.on_received(KEY, 0, 50, 0)
        resume.on_received(("bars", 1), 0, 5, 0)
        resume.on_accepted(KEY, 0, 49)
        resume.on_accepted(("bars", 1), 0, 4)
        resume.started([*at(3), Position(topic="bars", partition=1, offset=5)])
        assert resume.skipped_now(KEY, 0, 3, 1) == 0
        assert skipped(resume.skipped_now(("bars", 1), 0, 5, 1)) == [0, 1, 2, 3, 4]

    def test_what_was_accepted_before_a_seek_is_handed_over_again_and_again(self) -> None:
        resume = NamedResume(100)
        resume.on_received(KEY, 0, 10, 0)
        resume.on_accepted(KEY, 0, 9)
        resume.on_received(KEY, 3, 4, 0)  # As new: an operator has moved the subscription.
        assert skipped(resume.skipped_now(KEY, 0, 10, 1)) == [0, 1, 2, 7, 8, 9]
        resume.on_accepted(KEY, 3, 6)
        assert resume.skipped_now(KEY, 0, 10, 1).bit_count() == 10
        assert resume._accepted_messages == 10

    def test_a_late_first_delivery_forgets_nothing(self) -> None:
        resume = NamedResume(100)
        resume.on_received(KEY, 0, 3, 0)
        resume.on_received(KEY, 4, 3, 0)
        resume.on_accepted(KEY, 0, 2)
        resume.on_accepted(KEY, 4, 6)
        resume.on_received(KEY, 3, 1, 0)  # It was set aside until its time had come.
        assert skipped(resume.skipped_now(KEY, 0, 7, 1)) == [0, 1, 2, 4, 5, 6]


def in_log(offset: int, log_id: int) -> list[Position]:
    return [Position(topic="bars", partition=0, offset=offset, log_id=log_id)]


class TestAnotherLog:
    def test_an_ephemeral_subscription_skips_nothing_of_a_log_made_anew(self) -> None:
        resume = EphemeralResume()
        resume.started(in_log(0, 7))
        resume.on_received(KEY, 0, 10, 0, 7)
        start = resume.start_position()
        assert start is not None
        assert list(start.positions) == in_log(10, 7)
        resume.started(in_log(10, 8))
        assert resume.on_received(KEY, 10, 5, 0, 8) == 0

    def test_a_topic_made_anew_under_an_open_stream_is_read_from_its_beginning(self) -> None:
        resume = EphemeralResume()
        resume.started(in_log(0, 7))
        resume.on_received(KEY, 0, 10, 0, 7)
        assert resume.on_received(KEY, 0, 5, 0, 8) == 0
        assert skipped(resume.on_received(KEY, 0, 5, 0, 8)) == [0, 1, 2, 3, 4]

    def test_a_named_subscription_accepts_nothing_new_in_the_name_of_the_old(self) -> None:
        resume = NamedResume(1_000)
        resume.started(in_log(0, 7))
        resume.on_received(KEY, 0, 100, 0, 7)
        resume.on_accepted(KEY, 0, 99)
        assert skipped(resume.skipped_now(KEY, 0, 2, 1)) == [0, 1]
        resume.started(in_log(150, 8))
        assert resume.skipped_now(KEY, 0, 150, 1) == 0

"""Order within a partition through failures and reconnects."""

from bellwire.runtime.progress import Admission, Progress, Verdict


def progress(attempts_max: int = 3) -> Progress:
    return Progress(attempts_max=attempts_max, rewind_wait_seconds=10.0)


def test_messages_in_order_are_handled() -> None:
    p = progress()
    for offset in (0, 1, 5):  # offsets may have gaps
        assert p.admit(offset, 0, 0.0) is Admission.HANDLE
        p.handled(offset)
    assert p.handled_through == 5


def test_message_that_comes_again_after_a_reconnect_is_not_handled_twice() -> None:
    p = progress()
    p.handled(7)
    assert p.admit(6, 1, 0.0) is Admission.DUPLICATE
    assert p.admit(7, 1, 0.0) is Admission.DUPLICATE
    assert p.admit(8, 1, 0.0) is Admission.HANDLE


def test_cursor_moved_back_on_purpose_is_followed() -> None:
    p = progress()
    p.handled(7)
    assert p.admit(2, 0, 0.0) is Admission.HANDLE
    p.handled(2)
    assert p.admit(3, 1, 0.0) is Admission.HANDLE


def test_later_messages_wait_until_the_failed_one_is_back() -> None:
    p = progress()
    assert p.failed(4, 0.0) is Verdict.RETRY
    assert p.admit(5, 0, 1.0) is Admission.RELEASE
    assert p.admit(6, 2, 1.0) is Admission.RELEASE
    assert p.admit(4, 1, 1.0) is Admission.HANDLE
    p.handled(4)
    assert p.admit(5, 1, 1.0) is Admission.HANDLE


def test_partition_is_not_held_back_for_ever_for_a_message_another_replica_got() -> None:
    p = progress()
    p.failed(4, 0.0)
    assert p.admit(5, 0, 9.9) is Admission.RELEASE
    assert p.admit(5, 1, 10.0) is Admission.HANDLE


def test_message_that_fails_too_often_is_poison_and_the_next_goes_on() -> None:
    p = progress(attempts_max=3)
    assert [p.failed(4, 0.0) for _ in range(3)] == [Verdict.RETRY, Verdict.RETRY, Verdict.POISON]
    assert p.admit(4, 3, 0.0) is Admission.DUPLICATE
    assert p.admit(5, 1, 0.0) is Admission.HANDLE


def test_hopeless_message_is_poison_at_once() -> None:
    assert progress().failed(4, 0.0, hopeless=True) is Verdict.POISON


def test_success_forgets_failures() -> None:
    p = progress(attempts_max=2)
    p.failed(4, 0.0)
    p.settled(4)
    assert p.failures(4) == 0
    assert p.failed(4, 0.0) is Verdict.RETRY


def test_postponing_is_not_held_against_the_message() -> None:
    p = progress(attempts_max=2)
    for _ in range(5):
        p.postpone(4, 0.0)
    assert p.failed(4, 0.0) is Verdict.RETRY


def test_refused_output_of_an_earlier_message_rewinds_what_was_handled_after_it() -> None:
    p = progress()
    for offset in (4, 5, 6):
        p.handled(offset)
    assert p.failed(4, 0.0) is Verdict.RETRY
    assert p.admit(4, 1, 0.0) is Admission.HANDLE
    p.handled(4)
    assert p.admit(5, 1, 0.0) is Admission.HANDLE


def test_two_failures_wait_for_the_earlier_one() -> None:
    p = progress()
    p.failed(6, 0.0)
    p.failed(4, 0.0)
    assert p.admit(6, 1, 0.0) is Admission.RELEASE
    assert p.admit(4, 1, 0.0) is Admission.HANDLE

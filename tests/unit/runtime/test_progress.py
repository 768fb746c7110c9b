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
    assert p.failed(4) is Verdict.RETRY
    p.released(4, 0.0)
    assert p.admit(5, 0, 1.0) is Admission.RELEASE
    p.released(5, 1.0)
    assert p.admit(6, 2, 1.0) is Admission.RELEASE
    p.released(6, 1.0)
    for offset in (4, 5, 6, 7):
        assert p.admit(offset, 1, 1.0) is Admission.HANDLE
        p.handled(offset)


def test_message_released_later_still_comes_before_those_behind_it() -> None:
    # 2 was in hand while 0 was rewound; 3 was delivered in between for the first time.
    p = progress()
    p.released(0, 0.0)
    p.released(1, 0.0)
    p.released(2, 0.0)
    for offset in (0, 1):
        assert p.admit(offset, 1, 0.0) is Admission.HANDLE
        p.handled(offset)
    assert p.admit(3, 0, 0.0) is Admission.RELEASE
    assert p.admit(2, 1, 0.0) is Admission.HANDLE


def test_partition_is_not_held_back_for_ever_for_a_message_another_replica_got() -> None:
    p = progress()
    p.released(4, 0.0)
    for now in (5.0, 9.9):
        assert p.admit(5, 0, now) is Admission.RELEASE
        p.released(5, now)
    assert p.admit(5, 1, 10.0) is Admission.HANDLE


def test_message_that_fails_too_often_is_poison_and_the_next_goes_on() -> None:
    p = progress(attempts_max=3)
    assert [p.failed(4) for _ in range(3)] == [Verdict.RETRY, Verdict.RETRY, Verdict.POISON]
    assert p.admit(4, 3, 0.0) is Admission.DUPLICATE
    assert p.admit(5, 1, 0.0) is Admission.HANDLE


def test_hopeless_message_is_poison_at_once() -> None:
    assert progress().failed(4, hopeless=True) is Verdict.POISON


def test_success_forgets_failures() -> None:
    p = progress(attempts_max=2)
    p.failed(4)
    p.settled(4)
    assert p.failures(4) == 0
    assert p.failed(4) is Verdict.RETRY


def test_release_is_not_held_against_the_message() -> None:
    p = progress(attempts_max=2)
    for _ in range(5):
        p.released(4, 0.0)
    assert p.failed(4) is Verdict.RETRY


def test_released_messages_are_handled_again_though_they_were_handled_before() -> None:
    p = progress()
    for offset in (4, 5, 6):
        p.handled(offset)
    for offset in (4, 5, 6):
        p.released(offset, 0.0)
    for offset in (4, 5, 6):
        assert p.admit(offset, 1, 0.0) is Admission.HANDLE
        p.handled(offset)

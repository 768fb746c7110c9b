"""States of a supervised process and its restart budget."""

import pytest

from bellwire.policy.backoff import Backoff
from bellwire.runtime.errors import IllegalTransitionError
from bellwire.runtime.lifecycle import Lifecycle, ProcessState, RestartBudget


def lifecycle(restarts_max: int = 2) -> Lifecycle:
    return Lifecycle(RestartBudget(restarts_max, 60.0), Backoff(0.1, 5.0, draw=lambda: 1.0))


def running(restarts_max: int = 2) -> Lifecycle:
    life = lifecycle(restarts_max)
    life.started()
    life.ready()
    return life


def test_crash_is_followed_by_a_counted_restart_after_a_growing_delay() -> None:
    life = running()
    delays = []
    for _ in range(2):
        delays.append(life.ended(0.0, "ended with exit code 70", is_clean=False))
        assert life.state is ProcessState.BACKOFF
        life.started()
        life.ready()
    assert delays == [0.1, 0.2]
    assert life.restarts == 2


def test_used_up_budget_ends_in_failed_with_the_reason() -> None:
    life = running(restarts_max=1)
    life.ended(0.0, "was ended by SIGSEGV", is_clean=False)
    life.started()
    life.ready()
    assert life.ended(1.0, "was ended by SIGSEGV", is_clean=False) is None
    assert life.state is ProcessState.FAILED
    assert life.is_over
    assert life.reason == "was ended by SIGSEGV; the budget of 1 restarts in 60 s is used up"


def test_budget_refills_as_its_window_slides() -> None:
    budget = RestartBudget(2, 60.0)
    assert [budget.take(now) for now in (0.0, 30.0, 59.9)] == [True, True, False]
    assert [budget.take(now) for now in (60.0, 89.9, 90.0)] == [True, False, True]


def test_budget_of_none_never_restarts() -> None:
    assert RestartBudget(0, 60.0).take(0.0) is False


def test_process_that_never_was_ready_is_not_started_again() -> None:
    life = lifecycle()
    life.started()
    assert life.ended(0.0, "ended with exit code 1", is_clean=False) is None
    assert life.state is ProcessState.FAILED
    assert life.reason == "ended with exit code 1"


def test_restart_that_does_not_get_ready_uses_the_budget() -> None:
    life = running(restarts_max=2)
    life.ended(0.0, "a", is_clean=False)
    life.started()
    assert life.ended(0.0, "b", is_clean=False) is not None
    life.started()
    assert life.ended(0.0, "c", is_clean=False) is None
    assert life.state is ProcessState.FAILED


def test_waits_grow_within_the_window_and_begin_again_after_a_quiet_one() -> None:
    life = Lifecycle(RestartBudget(9, 60.0), Backoff(1.0, 60.0, draw=lambda: 1.0))
    delays = []
    for now in (0.0, 10.0, 20.0, 80.0, 90.0):
        life.started()
        life.ready()
        delays.append(life.ended(now, "crash", is_clean=False))
    assert delays == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_budget_of_none_allows_no_restart_ever() -> None:
    life = running(restarts_max=0)
    assert life.ended(0.0, "crash", is_clean=False) is None
    assert life.state is ProcessState.FAILED


def test_exit_code_zero_after_ready_is_the_end() -> None:
    life = running()
    assert life.ended(0.0, "ended with exit code 0", is_clean=True) is None
    assert (life.state, life.restarts, life.reason) == (ProcessState.STOPPED, 0, "")


def test_told_to_stop_it_is_not_started_again_however_it_ends() -> None:
    life = running()
    assert life.stop() is True
    assert life.ended(0.0, "was ended by SIGKILL", is_clean=False) is None
    assert life.state is ProcessState.STOPPED


def test_stop_while_waiting_for_the_next_start_is_the_end() -> None:
    life = running()
    life.ended(0.0, "x", is_clean=False)
    assert life.stop() is False
    assert life.state is ProcessState.STOPPED


def test_stop_before_the_first_start_is_the_end_and_stop_again_does_nothing() -> None:
    life = lifecycle()
    assert life.stop() is False
    assert life.stop() is False
    assert life.state is ProcessState.STOPPED


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ([], ProcessState.READY),
        ([ProcessState.STARTING], ProcessState.STOPPED),
        ([ProcessState.STARTING, ProcessState.READY], ProcessState.STARTING),
        ([ProcessState.STOPPED], ProcessState.STARTING),
        ([ProcessState.STARTING, ProcessState.FAILED], ProcessState.STARTING),
    ],
)
def test_illegal_transition_raises(path: list[ProcessState], to: ProcessState) -> None:
    life = lifecycle()
    for state in path:
        life.transition(state)
    with pytest.raises(IllegalTransitionError, match=to.name):
        life.transition(to)

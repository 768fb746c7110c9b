"""The breaker: closed, open, one probe, closed."""

from __future__ import annotations

import pytest

from bellwire.policy.breaker import PROBE_SECONDS_MAX, Breaker, BreakerState


def breaker(failures_max: int = 3) -> Breaker:
    """One that opens for exactly 1, 1, 1 … seconds: nothing is drawn."""
    return Breaker(failures_max, 1.0, 8.0, draw=lambda: 0.0)


def fail(circuit: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        ticket = circuit.admit(now)
        assert ticket is not None
        circuit.failed(ticket, now)


def succeed(circuit: Breaker, now: float) -> None:
    ticket = circuit.admit(now)
    assert ticket is not None
    circuit.succeeded(ticket)


def test_failures_in_a_row_open_it_and_others_do_not() -> None:
    circuit = breaker()
    fail(circuit, 0.0, 2)
    succeed(circuit, 0.0)
    fail(circuit, 0.0, 2)
    assert circuit.opened == 0
    fail(circuit, 0.0)
    assert circuit.state is BreakerState.OPEN
    assert (circuit.admit(0.5), circuit.refused, circuit.opened) == (None, 1, 1)


def test_half_open_admits_exactly_one() -> None:
    circuit = breaker(1)
    fail(circuit, 0.0)
    probe = circuit.admit(1.0)
    assert probe is not None
    assert [circuit.admit(1.0) for _ in range(5)] == [None] * 5
    circuit.succeeded(probe)
    assert circuit.state is BreakerState.CLOSED
    assert circuit.admit(1.0) is not None


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    circuit = Breaker(1, 1.0, 8.0, draw=lambda: 0.5)
    now, waited = 0.0, []
    fail(circuit, now)
    for _ in range(6):
        began = now
        while circuit.admit(now) is None:
            now += 0.25
        waited.append(now - began)
        circuit.failed(circuit._epoch, now)
    assert waited == [1.5, 2.0, 3.0, 5.0, 5.0, 5.0]


def test_a_success_of_the_probe_begins_again_from_the_shortest_wait() -> None:
    circuit = Breaker(1, 1.0, 8.0, draw=lambda: 0.5)
    fail(circuit, 0.0)
    fail(circuit, 10.0)
    succeed(circuit, 20.0)
    fail(circuit, 30.0)
    assert circuit.admit(31.4) is None
    assert circuit.admit(31.5) is not None


def test_what_was_admitted_before_it_opened_changes_nothing() -> None:
    circuit = breaker(1)
    early, late = circuit.admit(0.0), circuit.admit(0.0)
    assert early is not None
    assert late is not None
    circuit.failed(early, 0.0)
    circuit.succeeded(late)
    assert circuit.state is BreakerState.OPEN
    probe = circuit.admit(1.0)
    assert probe is not None
    circuit.failed(late, 1.0)
    assert circuit.state is BreakerState.HALF_OPEN


def test_an_abandoned_probe_lets_another_through_at_once() -> None:
    circuit = breaker(1)
    fail(circuit, 0.0)
    probe = circuit.admit(1.0)
    assert probe is not None
    circuit.abandoned(probe, 1.0)
    assert circuit.admit(1.0) is not None


def test_a_probe_nobody_reports_of_is_not_waited_for_for_ever() -> None:
    circuit = breaker(1)
    fail(circuit, 0.0)
    lost = circuit.admit(1.0)
    assert circuit.admit(1.0 + PROBE_SECONDS_MAX - 0.1) is None
    probe = circuit.admit(1.0 + PROBE_SECONDS_MAX)
    assert probe is not None
    assert lost is not None
    circuit.failed(lost, 40.0)
    assert circuit.state is BreakerState.HALF_OPEN


@pytest.mark.parametrize(("failures", "low", "high"), [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 2.0, 1.0)])
def test_bounds_out_of_range_are_refused(failures: int, low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"at least 1|must be above 0"):
        Breaker(failures, low, high)

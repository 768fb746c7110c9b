"""Whatever comes of requests, in whatever order: one probe at a time, and never open for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.policy.breaker import PROBE_SECONDS_MAX, Breaker, BreakerState

FAILURES_MAX, SECONDS_MIN, SECONDS_MAX = 2, 1.0, 4.0
steps = st.lists(
    st.tuples(
        st.sampled_from(("ask", "succeed", "fail", "abandon", "wait")),
        st.integers(0, 3),
        st.floats(0.0, 0.999),
    ),
    max_size=60,
)


@given(steps)
def test_one_probe_at_a_time_and_never_open_for_longer_than_its_bound(script) -> None:
    drawn = [0.0]
    circuit = Breaker(FAILURES_MAX, SECONDS_MIN, SECONDS_MAX, draw=lambda: drawn[0])
    now, open_since = 0.0, 0.0
    out: list[int] = []
    probes: set[int] = set()
    probe_since = 0.0
    for step, which, number in script:
        drawn[0] = number
        before = circuit.state
        if step == "wait":
            now += which * 0.7
        elif step == "ask":
            ticket = circuit.admit(now)
            if ticket is None:
                assert circuit.state is not BreakerState.CLOSED
                assert probes or now < open_since + SECONDS_MIN + SECONDS_MAX
            else:
                out.append(ticket)
                if circuit.state is BreakerState.HALF_OPEN:
                    assert now >= open_since + SECONDS_MIN
                    if probes:  # Taken for lost.
                        assert now >= probe_since + PROBE_SECONDS_MAX
                    probes, probe_since = {ticket}, now
        elif out:
            ticket = out.pop(which % len(out))
            if step == "succeed":
                circuit.succeeded(ticket)
            elif step == "fail":
                circuit.failed(ticket, now)
            else:
                circuit.abandoned(ticket, now)
            if ticket in probes:
                probes.discard(ticket)
                if step != "abandon":
                    assert circuit.state is not BreakerState.HALF_OPEN
            else:
                assert before is not BreakerState.HALF_OPEN or circuit.state is before
        if before is not BreakerState.OPEN and circuit.state is BreakerState.OPEN:
            open_since = now
        assert len(probes) <= 1

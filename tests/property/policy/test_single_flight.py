"""Every waiter is told once or has left; a flight is begun when there is none, and never twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.policy.single_flight import SingleFlight

steps = st.lists(
    st.tuples(st.sampled_from(("join", "leave", "land")), st.integers(0, 2), st.integers(0, 9))
)


@given(steps)
def test_nobody_is_forgotten_and_nothing_is_begun_twice(script) -> None:
    flights: SingleFlight[int, int] = SingleFlight()
    model: dict[int, list[int]] = {}
    waiter = 0
    for step, key, which in script:
        waiting = model.get(key, [])
        if step == "join":
            waiter += 1
            assert flights.join(key, waiter) == (key not in model)
            model.setdefault(key, []).append(waiter)
        elif step == "land":
            assert flights.land(key) == model.pop(key, [])
        elif waiting:
            gone = waiting.pop(which % len(waiting))
            assert flights.leave(key, gone) == (not waiting)
            if not waiting:
                del model[key]
        assert len(flights) == len(model)
        assert flights.waiting == sum(map(len, model.values()))

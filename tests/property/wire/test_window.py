"""A window against plain sums of what was taken and given back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.wire.window import Window

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 5), st.integers(0, 500)),
        st.tuples(st.just("back"), st.integers(0, 99), st.just(0)),
        st.tuples(st.just("resize"), st.integers(0, 8), st.integers(0, 800)),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_taken_beyond_the_limit_of_the_moment(steps: list[tuple[str, int, int]]):
    window = Window(5, 500)
    out: list[tuple[int, int]] = []
    for what, first, second in steps:
        if what == "take" and window.fits(first, second):
            window.take(first, second)
            out.append((first, second))
            assert window.messages_in_flight <= window.messages_max
            assert window.bytes_in_flight <= window.bytes_max
        elif what == "back" and out:
            window.give_back(*out.pop(first % len(out)))
        elif what == "resize":
            window.resize(first, second)
        assert window.messages_in_flight == sum(messages for messages, _ in out)
        assert window.bytes_in_flight == sum(size for _, size in out)
        assert window.messages_free == max(0, window.messages_max - window.messages_in_flight)
        assert window.bytes_free == max(0, window.bytes_max - window.bytes_in_flight)
        assert window.fits(window.messages_free, window.bytes_free) or (
            window.messages_in_flight > window.messages_max
            or window.bytes_in_flight > window.bytes_max
        )

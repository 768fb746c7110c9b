from hypothesis import given
from hypothesis import strategies as st

from bellwire.risk.event_time_merge import EventTimeMerge

INPUTS = ("first", "second", "third")
TIMES = st.lists(st.integers(0, 12), max_size=12).map(sorted)


@st.composite
def steps_of_one_input(draw, name):
    """Items in event-time order with true watermarks between them, closed at the end."""
    steps = []
    for time in draw(TIMES):
        if draw(st.booleans()):
            steps.append(("advance", name, time - 1))
        steps.append(("push", name, time))
    steps.append(("close", name, 0))
    return steps


@st.composite
def arrivals(draw):
    """Two interleavings of the same inputs, each input in its own order."""
    inputs = [draw(steps_of_one_input(name)) for name in INPUTS]
    numbered = [
        [(kind, name, time, (name, index)) for index, (kind, name, time) in enumerate(steps)]
        for steps in inputs
    ]
    return [_interleave(numbered, draw) for _ in range(2)]


def _interleave(inputs, draw):
    queues = [list(steps) for steps in inputs]
    order = []
    while any(queues):
        ready = [queue for queue in queues if queue]
        order.append(ready[draw(st.integers(0, len(ready) - 1))].pop(0))
    return order


def _run(steps):
    merge = EventTimeMerge(INPUTS)
    released = []
    for kind, name, time, tag in steps:
        if kind == "push":
            released += merge.push(name, time, (time, INPUTS.index(name), tag))
        elif kind == "advance":
            released += merge.advance(name, time)
        else:
            released += merge.close(name)
    assert merge.buffered == 0
    return released


@given(arrivals())
def test_release_order_is_by_time_and_rank_and_nothing_is_lost(both):
    steps = both[0]
    pushed = [(time, INPUTS.index(name), tag) for kind, name, time, tag in steps if kind == "push"]
    released = _run(steps)
    assert [item[:2] for item in released] == sorted(item[:2] for item in released)
    assert sorted(released) == sorted(pushed)


@given(arrivals())
def test_release_order_does_not_depend_on_who_arrived_first(both):
    assert _run(both[0]) == _run(both[1])


@given(arrivals())
def test_nothing_leaves_while_something_before_it_may_still_come(both):
    merge = EventTimeMerge(INPUTS)
    complete = dict.fromkeys(INPUTS, -1)
    for kind, name, time, tag in both[0]:
        if kind == "push":
            complete[name] = max(complete[name], time - 1)
            released = merge.push(name, time, (time, name, tag))
        elif kind == "advance":
            complete[name] = max(complete[name], time)
            released = merge.advance(name, time)
        else:
            complete[name] = 10**6
            released = merge.close(name)
        for at, source, _ in released:
            rank = INPUTS.index(source)
            for other, until in complete.items():
                if other != source:
                    assert until >= (at if INPUTS.index(other) < rank else at - 1)

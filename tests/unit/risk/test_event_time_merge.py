import pytest

from bellwire.risk.event_time_merge import (
    EventTimeMerge,
    MergeBufferFullError,
    OutOfOrderError,
    UnknownInputError,
)


def lockstep():
    return EventTimeMerge[str](["executions", "signals"])


def test_a_signal_waits_for_the_fills_of_its_bar():
    merge = lockstep()
    assert merge.push("signals", 10, "signal") == []
    assert merge.buffered == 1
    assert merge.advance("executions", 9) == []
    assert merge.advance("executions", 10) == ["signal"]
    assert merge.buffered == 0


def test_fills_go_before_signals_of_the_same_time():
    merge = lockstep()
    assert merge.push("signals", 10, "signal") == []
    # The signal at 10 says that no earlier one follows, so the fill at 10 need not wait.
    assert merge.push("executions", 10, "fill") == ["fill"]
    assert merge.advance("executions", 10) == ["signal"]


def test_a_later_fill_waits_for_earlier_signals():
    merge = lockstep()
    assert merge.push("executions", 20, "fill 20") == []
    assert merge.push("signals", 10, "signal 10") == ["signal 10"]
    assert merge.advance("signals", 20) == ["fill 20"]


def test_items_of_one_time_keep_their_order():
    merge = lockstep()
    merge.push("signals", 10, "first")
    merge.push("signals", 10, "second")
    assert merge.advance("executions", 10) == ["first", "second"]


def test_a_closed_input_holds_nothing_back():
    merge = lockstep()
    merge.push("signals", 10, "a")
    merge.push("signals", 11, "b")
    assert merge.close("executions") == ["a", "b"]
    assert merge.push("signals", 12, "c") == ["c"]


def test_an_input_must_not_go_back_in_time():
    merge = lockstep()
    merge.advance("signals", 10)
    with pytest.raises(OutOfOrderError, match="event time 10 after it had passed 10"):
        merge.push("signals", 10, "late")
    merge.push("signals", 12, "ok")
    with pytest.raises(OutOfOrderError):
        merge.push("signals", 11, "late")
    assert merge.buffered == 1


def test_an_old_watermark_is_ignored():
    merge = lockstep()
    merge.advance("executions", 10)
    assert merge.advance("executions", 5) == []
    assert merge.push("signals", 10, "signal") == ["signal"]


def test_a_full_buffer_refuses_and_loses_nothing():
    merge = EventTimeMerge[str](["executions", "signals"], buffered_items_max=2)
    merge.push("signals", 1, "a")
    merge.push("signals", 2, "b")
    with pytest.raises(MergeBufferFullError, match="holds 2 items"):
        merge.push("signals", 3, "c")
    assert merge.advance("executions", 2) == ["a", "b"]
    assert merge.push("signals", 3, "c") == []
    assert merge.advance("executions", 3) == ["c"]


def test_an_input_nobody_named_is_refused():
    with pytest.raises(UnknownInputError, match="known: executions, signals"):
        lockstep().push("bars", 1, "x")

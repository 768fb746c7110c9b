from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.tactical.synergy import Synergy, SynergyType
from bellwire.agents.tactical.synergy_detector import TYPES, Signals, SynergyDetector
from bellwire.agents.tactical.synergy_settings import SynergySettings

NOTHING = Signals()


def events(bars, window_bars=4):
    detector = SynergyDetector(SynergySettings(window_bars=window_bars))
    return [detector.push(signals) for signals in bars]


def one_after_the_other(*names, direction=1):
    return [Signals(**{name: direction}) for name in names]


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("mlmi", "nwrqk", "fvg"), SynergyType.TYPE_1),
        (("mlmi", "fvg", "nwrqk"), SynergyType.TYPE_2),
        (("nwrqk", "fvg", "mlmi"), SynergyType.TYPE_3),
        (("nwrqk", "mlmi", "fvg"), SynergyType.TYPE_4),
    ],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_the_order_of_three_signals_gives_the_type(names, kind, direction):
    found = events(one_after_the_other(*names, direction=direction))
    assert found == [None, None, Synergy(kind, direction, 0.5, names)]


@pytest.mark.parametrize("last", [("mlmi", "nwrqk"), ("nwrqk", "mlmi")])
def test_an_order_that_begins_with_a_gap_makes_nothing_until_a_newer_gap_ends_it(last):
    assert events(one_after_the_other("fvg", *last)) == [None] * 3
    *_, event = events(one_after_the_other("fvg", *last, "fvg"))
    assert event is not None
    assert event.signal_sequence == (*last, "fvg")


def test_of_signals_on_one_bar_the_slower_counts_as_the_earlier():
    assert events([Signals(-1, -1, -1)]) == [
        Synergy(SynergyType.TYPE_1, -1, 1.0, ("mlmi", "nwrqk", "fvg"))
    ]
    *_, event = events([Signals(nwrqk=1), Signals(mlmi=1, fvg=1)])
    assert event is not None
    assert event.type is SynergyType.TYPE_4


@pytest.mark.parametrize(("pause", "confidence"), [(1, 0.25), (2, None)])
def test_the_first_and_the_last_signal_lie_within_the_window(pause, confidence):
    bars = [*one_after_the_other("mlmi", "nwrqk"), *[NOTHING] * pause, Signals(fvg=1)]
    *before, event = events(bars)
    assert before == [None] * (2 + pause)
    assert (event.confidence if event else None) == confidence


def test_a_signal_the_other_way_takes_the_place_of_the_older():
    bars = [*one_after_the_other("mlmi", "nwrqk"), Signals(mlmi=-1), Signals(fvg=1)]
    assert events(bars) == [None] * 4
    *_, event = events([*bars, Signals(mlmi=1)], window_bars=9)
    assert event is not None
    assert event.signal_sequence == ("nwrqk", "fvg", "mlmi")


def test_a_signal_given_again_counts_from_its_newer_bar():
    bars = [Signals(mlmi=1), Signals(nwrqk=1), NOTHING, Signals(mlmi=1), Signals(fvg=1)]
    *_, event = events(bars)
    assert event == Synergy(SynergyType.TYPE_4, 1, 0.25, ("nwrqk", "mlmi", "fvg"))


def test_an_event_uses_its_signals_up():
    found = events([*one_after_the_other("mlmi", "nwrqk", "fvg"), Signals(fvg=1)])
    assert [event is not None for event in found] == [False, False, True, False]


def test_four_of_the_six_orders_have_a_type_and_none_begins_with_a_gap():
    assert set(TYPES) == {each for each in permutations(Signals._fields) if each[0] != "fvg"}
    assert set(TYPES.values()) == set(SynergyType)


directions = st.sampled_from((0, 0, 0, 1, -1))
series = st.lists(st.builds(Signals, directions, directions, directions), max_size=60)
windows = st.integers(1, 12)


def looked_up(bars, window):
    """Return the events by looking back over all bars at once instead of remembering three."""
    found, used = [], -1
    for now, signals in enumerate(bars):
        newest = []
        for rank, name in enumerate(Signals._fields):
            given = [bar for bar in range(used + 1, now + 1) if getattr(bars[bar], name)]
            if given:
                newest.append((given[-1], rank, name, getattr(bars[given[-1]], name)))
        newest.sort()
        order = tuple(name for _, _, name, _ in newest)
        agree = len({way for *_, way in newest}) == 1
        near = bool(newest) and now - newest[0][0] < window
        if any(signals) and order in TYPES and agree and near:
            found.append((now, TYPES[order], newest[0][3]))
            used = now
    return found


@given(series, windows)
def test_it_finds_what_a_look_back_over_all_bars_finds(bars, window):
    made = enumerate(events(bars, window))
    assert [(bar, e.type, e.direction) for bar, e in made if e] == looked_up(bars, window)


@given(series, windows)
def test_signals_turned_round_give_the_same_events_turned_round(bars, window):
    turned = [Signals(*(-way for way in signals)) for signals in bars]
    for event, mirrored in zip(events(bars, window), events(turned, window), strict=True):
        assert (event is None) == (mirrored is None)
        if event and mirrored:
            assert (event.type, event.direction) == (mirrored.type, -mirrored.direction)
            assert 0.0 < event.confidence == mirrored.confidence <= 1.0

import pytest

from bellwire.agents.tactical.synergy import InvalidSynergyError, Synergy, SynergyType, weights_of

ALL_THREE = {
    SynergyType.TYPE_1: (0.5, 0.3),
    SynergyType.TYPE_2: (0.4, 0.4),
    SynergyType.TYPE_3: (0.3, 0.5),
    SynergyType.TYPE_4: (0.35, 0.35),
}


@pytest.mark.parametrize("kind", list(SynergyType))
def test_weights_are_those_of_three_agents_without_entry(kind):
    fvg, momentum = ALL_THREE[kind]
    weights = weights_of(Synergy(kind, 1, 0.5))
    assert weights.fvg == pytest.approx(fvg / (fvg + momentum))
    assert weights.fvg + weights.momentum == pytest.approx(1.0)


def test_without_an_event_both_count_alike():
    assert (weights_of(None).fvg, weights_of(None).momentum) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"direction": 0}, "direction"),
        ({"direction": 2}, "direction"),
        ({"confidence": 1.01}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"signal_sequence": ("fvg",) * 17}, "length"),
    ],
)
def test_an_event_that_cannot_be_is_refused_by_field(fields, named):
    given = {"type": SynergyType.TYPE_1, "direction": 1, "confidence": 0.5, **fields}
    with pytest.raises(InvalidSynergyError, match=named):
        Synergy(**given)

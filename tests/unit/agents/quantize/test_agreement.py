"""How far two models' answers lie apart."""

import numpy as np
import pytest

from bellwire.agents.quantize.agreement import answers, compare
from bellwire.agents.train import SyntheticSettings, record
from bellwire.agents.train.data import generate


def sure(*rows):
    """Probabilities that are sure of these joint actions."""
    table = np.zeros((len(rows), 3, 3), "f4")
    for row, actions in enumerate(rows):
        table[row, [0, 1, 2], actions] = 1.0
    return table


def test_equal_answers_agree_in_all():
    table = sure((0, 1, 2), (2, 2, 1))
    agreement = compare(table, table, np.zeros(2))
    assert agreement.shares == {"fvg": 1.0, "momentum": 1.0, "entry": 1.0, "decision": 1.0}
    assert agreement.probability_difference_max == agreement.probability_difference_mean == 0.0


def test_each_head_is_counted_apart():
    agreement = compare(
        sure((2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
        sure((0, 2, 2), (2, 2, 2), (2, 1, 2), (2, 1, 0)),
        np.zeros(4),
    )
    assert agreement.heads == (0.75, 0.5, 0.75)
    assert agreement.rows == 4


def test_a_head_that_changes_nothing_of_the_position_leaves_the_decision_as_it_was():
    waiting = compare(sure((2, 2, 0)), sure((0, 2, 0)), np.zeros(1))
    assert (waiting.heads[0], waiting.decision) == (0.0, 1.0)
    there_already = compare(sure((2, 2, 1)), sure((2, 2, 2)), np.ones(1))
    assert (there_already.heads[2], there_already.decision) == (0.0, 1.0)
    on_the_way = compare(sure((2, 2, 1)), sure((2, 2, 2)), np.zeros(1))
    assert on_the_way.decision == 0.0


def test_probabilities_are_compared_one_by_one():
    first = np.full((1, 3, 3), 1 / 3, "f4")
    second = first.copy()
    second[0, 1] = (0.5, 0.25, 0.25)
    agreement = compare(first, second, np.zeros(1))
    assert agreement.probability_difference_max == pytest.approx(1 / 6, abs=1e-6)
    assert agreement.probability_difference_mean == pytest.approx(1 / 27, abs=1e-6)


def test_many_rows_are_asked_for_in_batches_of_a_bounded_size_and_in_order():
    tape = record(generate(SyntheticSettings(bars=2_600)))
    bars = tape.decisions[10:2_510]
    seen = []

    def policy(observations, positions):
        seen.append(observations.copy())
        return np.repeat(positions, 9, axis=1).reshape(-1, 3, 3)

    positions = np.linspace(-1, 1, 2_500)
    table = answers(policy, tape, bars, positions)
    assert [len(each) for each in seen] == [1_024, 1_024, 452]
    assert np.array_equal(np.concatenate(seen), tape.observations(np.array(bars)))
    assert table[:, 0, 0] == pytest.approx(positions, abs=1e-6)

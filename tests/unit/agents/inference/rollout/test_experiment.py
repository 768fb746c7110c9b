"""A/B: what is said of two sides, and what is not."""

import random

import pytest

from bellwire.agents.inference.rollout import Experiment, Side, Verdict, is_candidates


def seen(effect: float, count: int, seed: int = 3) -> Experiment:
    """Return an experiment whose candidate earns so much more a trade, with a spread of 1."""
    chance = random.Random(seed)
    experiment = Experiment("actor", 0.5)
    for _ in range(count):
        experiment.record_return(Side.SERVING, chance.gauss(0, 1))
        experiment.record_return(Side.CANDIDATE, chance.gauss(effect, 1))
    return experiment


@pytest.mark.parametrize(
    ("effect", "count", "verdict"),
    [
        (1.0, 99, Verdict.TOO_FEW),
        (1.0, 100, Verdict.CANDIDATE_BETTER),
        (-1.0, 100, Verdict.CANDIDATE_WORSE),
        (0.0, 100, Verdict.NO_DIFFERENCE_SHOWN),
    ],
)
def test_verdict_on_returns(effect: float, count: int, verdict: Verdict) -> None:
    measure = seen(effect, count).report().returns
    assert measure.verdict is verdict
    assert measure.difference is not None
    assert measure.difference.low < effect < measure.difference.high


def test_verdict_on_agreement_follows_the_counts() -> None:
    experiment = Experiment("actor", 0.5, samples_min=50)
    for number in range(100):
        experiment.record_agreement(Side.SERVING, agrees=number % 2 == 0)
        experiment.record_agreement(Side.CANDIDATE, agrees=number % 4 != 0)
    measure = experiment.report().agreement
    assert (measure.serving_mean, measure.candidate_mean) == (0.5, 0.75)
    assert measure.verdict is Verdict.CANDIDATE_BETTER


def test_nothing_seen_is_too_few() -> None:
    report = Experiment("actor", 0.5).report()
    assert report.returns.verdict is report.agreement.verdict is Verdict.TOO_FEW
    assert report.returns.text == "return: too few (n 0 and 0)"


def test_text_names_effect_interval_and_p_value() -> None:
    text = seen(0.0, 100).report().returns.text
    assert text.startswith("return: no difference shown; ")
    for part in ("difference", "95 % interval", " to ", "p = 0.", "n 100 and 100"):
        assert part in text


def test_sides_are_those_of_the_rollout() -> None:
    experiment = Experiment("actor", 0.3)
    for number in range(200):
        is_new = is_candidates("actor", str(number), 0.3)
        assert (experiment.side_of(str(number)) is Side.CANDIDATE) == is_new

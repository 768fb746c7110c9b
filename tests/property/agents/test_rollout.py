"""Rollouts: splits that stay, tests that behave like tests, and steps that never lose a version."""

import math

from hypothesis import assume, example, given
from hypothesis import strategies as st

from bellwire.agents.inference.rollout import (
    Author,
    Rollout,
    RolloutStepError,
    Stage,
    is_candidates,
    two_proportions,
    welch,
)
from bellwire.agents.inference.rollout.latency import PER_DOUBLING, LatencyCounts
from bellwire.agents.inference.rollout.significance import (
    Moments,
    incomplete_beta,
    student_quantile,
    student_two_sided,
)

ADA = Author("ada", "")
SHARES = st.floats(0, 1)
VALUES = st.lists(st.floats(-1e6, 1e6), max_size=30)


def moments(values: list[float]) -> Moments:
    found = Moments()
    for value in values:
        found = found.add(value)
    return found


@given(st.text(), st.text(min_size=1), SHARES, SHARES)
@example("actor", "\ud800", 0.5, 0.6)
def test_key_that_is_the_candidates_stays_so_when_the_share_grows(
    model: str, key: str, one: float, other: float
) -> None:
    smaller, larger = sorted((one, other))
    assert is_candidates(model, key, smaller) <= is_candidates(model, key, larger)
    assert is_candidates(model, key, smaller) == is_candidates(model, key, smaller)


@given(st.text(max_size=20), st.floats(0.01, 0.99))
def test_share_of_the_keys_is_the_share_asked_for(model: str, share: float) -> None:
    keys = 2_000
    taken = sum(is_candidates(model, f"SYM{number}", share) for number in range(keys))
    # Six standard errors: one false alarm in 10⁹ of these.
    assert abs(taken - keys * share) < 6 * math.sqrt(keys * share * (1 - share)) + 1


@given(st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_models_split_their_keys_independently(one: float, other: float) -> None:
    keys = 2_000
    both = sum(
        is_candidates("a", str(number), one) and is_candidates("b", str(number), other)
        for number in range(keys)
    )
    share = one * other
    assert abs(both - keys * share) < 6 * math.sqrt(keys * share * (1 - share)) + 1


@given(VALUES)
def test_moments_are_those_of_the_whole_list(values: list[float]) -> None:
    found = moments(values)
    assert found.count == len(values)
    if len(values) > 1:
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        assert math.isclose(found.mean, mean, rel_tol=1e-9, abs_tol=1e-6)
        assert math.isclose(found.variance, variance, rel_tol=1e-6, abs_tol=1e-4)


@given(VALUES, VALUES)
def test_welch_is_the_same_from_both_sides(ours: list[float], theirs: list[float]) -> None:
    one, other = welch(moments(ours), moments(theirs)), welch(moments(theirs), moments(ours))
    assert (one is None) == (other is None)
    assume(one is not None and other is not None)
    assert one is not None
    assert other is not None
    assert 0 <= one.p_value <= 1
    assert one.low <= one.effect <= one.high
    assert (one.effect, one.low, one.high) == (-other.effect, -other.high, -other.low)
    # The test and the interval are one method: they never contradict each other but by rounding.
    if abs(one.p_value - 0.05) > 1e-6:
        assert one.is_significant == (one.low > 0 or one.high < 0)


@given(st.data(), st.integers(1, 300), st.integers(1, 300))
def test_difference_of_shares_is_within_its_bounds(
    data: st.DataObject, ours: int, theirs: int
) -> None:
    our_hits = data.draw(st.integers(0, ours))
    their_hits = data.draw(st.integers(0, theirs))
    found = two_proportions(our_hits, ours, their_hits, theirs)
    assume(found is not None)
    assert found is not None
    assert -1 - 1e-12 <= found.low <= found.effect <= found.high <= 1 + 1e-12
    assert 0 <= found.p_value <= 1


@given(st.floats(0.5, 1e5), st.floats(0.5, 1e5), st.floats(0, 1))
def test_incomplete_beta_is_a_distribution_and_its_own_mirror(a: float, b: float, x: float) -> None:
    value = incomplete_beta(a, b, x)
    assert -1e-12 <= value <= 1 + 1e-12
    assert math.isclose(value + incomplete_beta(b, a, 1 - x), 1, abs_tol=1e-6)


@given(st.floats(1, 1e6), st.floats(0.55, 0.999))
def test_quantile_is_the_inverse_of_the_tail(freedom: float, probability: float) -> None:
    t = student_quantile(freedom, probability)
    assert math.isclose(student_two_sided(t, freedom), 2 * (1 - probability), rel_tol=1e-6)


@given(st.lists(st.floats(0, 1_000), min_size=1, max_size=50), st.integers(1, 100))
def test_percentile_is_never_below_the_true_one_and_not_far_above(
    seconds: list[float], percent: int
) -> None:
    counts = LatencyCounts()
    for each in seconds:
        counts.add(each)
    rank = max(1, math.ceil(percent / 100 * len(seconds)))
    true = max(sorted(seconds)[rank - 1], 1e-6)
    found = counts.percentile(percent)
    assert true * (1 - 1e-9) <= found <= true * 2 ** (1 / PER_DOUBLING) * (1 + 1e-9)


STEPS = st.one_of(
    st.tuples(
        st.just("start"),
        st.integers(-1, 6),
        st.sampled_from(Stage),
        st.sampled_from((0.0, 0.1, 1.0)),
    ),
    st.tuples(st.just("move"), st.sampled_from(Stage), st.sampled_from((0.0, 0.1, 1.0))),
    st.tuples(st.just("promote")),
    st.tuples(st.just("rollback")),
)


@given(st.lists(STEPS, max_size=20))
def test_rollout_is_always_whole_and_a_step_refused_leaves_it_as_it_was(
    steps: list[tuple[object, ...]],
) -> None:
    rollout = Rollout("actor", 1)
    served = {1}
    for number, (name, *arguments) in enumerate(steps):
        before = rollout
        try:
            rollout = getattr(rollout, str(name))(*arguments, ADA, number)
        except RolloutStepError:
            assert rollout is before
            continue
        assert len(rollout.records) == len(before.records) + 1
        has_candidate = rollout.stage is not Stage.SERVING
        assert bool(rollout.candidate) == has_candidate
        assert bool(rollout.share) == (rollout.stage in (Stage.CANARY, Stage.AB))
        assert rollout.candidate != rollout.serving
        # Nothing comes into service that was not a candidate, or served before.
        assert rollout.serving in served | {before.candidate}
        served.add(rollout.serving)
        assert name in ("promote", "rollback") or rollout.serving == before.serving


@given(st.lists(STEPS, max_size=12), st.integers(2, 9), st.sampled_from((0.1, 1.0)))
def test_promotion_is_undone_by_one_rollback(
    steps: list[tuple[object, ...]], candidate: int, share: float
) -> None:
    rollout = Rollout("actor", 1)
    for number, (name, *arguments) in enumerate(steps):
        try:
            rollout = getattr(rollout, str(name))(*arguments, ADA, number)
        except RolloutStepError:
            continue
    assume(rollout.stage is Stage.SERVING and rollout.serving != candidate)
    promoted = rollout.start(candidate, Stage.CANARY, share, ADA, 1).promote(ADA, 2)
    assert promoted.serving == candidate
    assert promoted.rollback(ADA, 3).serving == rollout.serving

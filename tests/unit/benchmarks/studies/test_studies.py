"""How studies join the run, the tables and the targets."""

import pytest
from tests.benchmarks.command import select_scenarios
from tests.benchmarks.figure import Figure
from tests.benchmarks.scenario import SCENARIOS, Study
from tests.benchmarks.studies import MODULES, load_study
from tests.benchmarks.tables import tables_of
from tests.benchmarks.targets import STUDY_TARGETS, judge_study
from tests.unit.benchmarks.results import document, failure, throughput

STUDIES = [name for name, scenario in SCENARIOS.items() if isinstance(scenario, Study)]


def test_a_run_of_everything_leaves_studies_out():
    assert not set(select_scenarios([])) & set(STUDIES)
    assert not set(select_scenarios(["bellwire_tcp"])) & set(STUDIES)
    assert len(select_scenarios([])) == len(SCENARIOS) - len(STUDIES)


def test_a_study_is_run_when_it_is_named():
    assert select_scenarios(["curves"]) == ["curves"]
    assert select_scenarios(["slow", "latency-1k"]) == ["latency-1k", "slow-subscriber"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_a_module_and_a_target(name):
    assert name in MODULES
    assert callable(load_study(name).measure)
    assert name in {target.scenario for target in STUDY_TARGETS}


def test_a_study_that_failed_is_told_and_judged_by_nothing():
    (table,) = tables_of(document(failure(1, "bellwire_tcp", scenario="curves", error="it broke")))
    assert table.rows == []
    assert table.notes == ["Bellwire TCP: failed: it broke"]


def test_a_failed_study_leaves_the_other_tables_alone():
    found = tables_of(document(throughput(1, "nats", 9), failure(1, "nats", scenario="payload")))
    assert [table.title for table in found] == [
        SCENARIOS["throughput-100"].title,
        SCENARIOS["payload"].title,
    ]


def test_a_figure_is_judged_by_its_own_target_only():
    figures = [Figure("topics", "a lane", 1.3), Figure("agents", "a lane", 1.2)]
    assert [(v.target.study_figure, v.measured, v.met) for v in judge_study("curves", figures)] == [
        ("topics", 1.3, False),
        ("agents", 1.2, True),
    ]
    assert judge_study("tracing", figures) == []


def test_a_saving_has_to_be_above_its_bound():
    (verdict,) = judge_study("payload", [Figure("batched", "a lane", 0.61)])
    assert verdict.met is True

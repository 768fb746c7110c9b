"""The verdict on a quantized model."""

import json
import math
from dataclasses import replace

import pytest

from bellwire.agents.quantize.agreement import Agreement
from bellwire.agents.quantize.gate import judge
from bellwire.agents.quantize.settings import CalibrationSettings, GateSettings
from bellwire.agents.train import Evaluation
from bellwire.wire.settings import SettingsError

SAME = Agreement(1_000, (1.0, 1.0, 1.0), 1.0, 0.0, 0.0)
SETTINGS = GateSettings(agreement_min=0.98, return_loss_max=0.01, fee_bp=10.0)


def earned(gross, turnover=0.0):
    return Evaluation(1_000, gross, 0.0, turnover, ())


def test_a_model_that_decides_and_earns_alike_passes():
    report = judge(SAME, earned(0.1), earned(0.1), SETTINGS)
    assert report.passed
    assert report.reasons == ()


@pytest.mark.parametrize("head", [0, 1, 2])
def test_one_head_below_the_bound_fails_it_and_is_named(head):
    shares = [0.98, 0.98, 0.98]
    assert judge(replace(SAME, heads=tuple(shares)), earned(0), earned(0), SETTINGS).passed
    shares[head] = 0.979
    report = judge(replace(SAME, heads=tuple(shares)), earned(0), earned(0), SETTINGS)
    assert report.reasons == (
        f"{('fvg', 'momentum', 'entry')[head]} agrees with the parent on 97.90% of 1,000 held-out bars, "
        "at least 98.00% is asked for",
    )


def test_decisions_below_the_bound_fail_it_though_each_head_is_above():
    report = judge(replace(SAME, decision=0.95), earned(0), earned(0), SETTINGS)
    assert not report.passed
    assert report.reasons[0].startswith("decision agrees")


def test_a_return_that_falls_by_more_than_the_tolerance_fails_it():
    assert judge(SAME, earned(0.1), earned(0.0901), SETTINGS).passed
    report = judge(SAME, earned(0.1), earned(0.0899), SETTINGS)
    assert report.reasons == (
        "net log return over 1,000 held-out bars is +0.0899 after +0.1000, it may fall by 0.01",
    )


def test_the_fee_counts():
    report = judge(SAME, earned(0.1, turnover=0.0), earned(0.1, turnover=11.0), SETTINGS)
    assert report.return_after == pytest.approx(0.1 - 0.011)
    assert not report.passed


def test_earning_more_is_no_fault():
    assert judge(SAME, earned(-0.1), earned(0.5), SETTINGS).passed


@pytest.mark.parametrize("broken", ["agreement", "return"])
def test_what_is_no_number_fails(broken):
    agreement = replace(SAME, decision=math.nan) if broken == "agreement" else SAME
    after = earned(math.nan) if broken == "return" else earned(0.0)
    assert not judge(agreement, earned(0.0), after, SETTINGS).passed


def test_the_report_is_json_and_names_what_was_allowed():
    report = judge(replace(SAME, decision=0.9), earned(0.1), earned(0.2), SETTINGS)
    read = json.loads(json.dumps(report.to_metadata()))
    assert read["passed"] is False
    assert read["agreement"]["decision"] == 0.9
    assert read["settings"]["agreement_min"] == 0.98
    assert (read["net_log_return_before"], read["net_log_return_after"]) == (0.1, 0.2)


@pytest.mark.parametrize(
    "values", [{"agreement_min": 0.4}, {"return_loss_max": -0.1}, {"fee_bp": -1.0}]
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(SettingsError):
        GateSettings(**values)


def test_calibration_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError):
        CalibrationSettings(rows=1)

from dataclasses import fields
from decimal import Decimal

import pytest

from bellwire.risk.limits import RiskLimits
from bellwire.wire.settings import SettingsError, setting_info


def test_every_limit_states_its_unit_and_the_reason_of_its_default():
    for field in fields(RiskLimits):
        info = setting_info(field)
        assert info is not None, field.name
        assert info.why, field.name


def test_a_base_quantity_above_the_order_limit_is_refused():
    with pytest.raises(SettingsError, match="base_qty"):
        RiskLimits(base_qty=Decimal(21_000_000))


@pytest.mark.parametrize(
    "bad",
    [
        {"position_qty_max": Decimal(0)},
        {"quantity_step": Decimal(-1)},
        {"base_qty": 1.5},
        {"orders_per_hour": 0},
        {"signal_age_seconds_max": 0.0},
        {"order_notional_max": Decimal("NaN")},
    ],
)
def test_limits_out_of_range_or_of_another_type_are_refused(bad):
    with pytest.raises(SettingsError):
        RiskLimits(**bad)


def test_rate_and_age_are_whole_nanoseconds():
    limits = RiskLimits(orders_per_hour=60, signal_age_seconds_max=0.5)
    assert limits.order_interval_nanos == 60 * 10**9
    assert limits.signal_age_nanos_max == 5 * 10**8

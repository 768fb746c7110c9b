from decimal import Decimal

import pytest
from tests.unit.execution.paper.venue import HOUR, bar

from bellwire.execution.adapters.paper.scale import NoVolumeError, scale_of
from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.risk.json_settings import from_json, to_json
from bellwire.risk.limits import RiskLimits


def bars(*volumes, open_="100.25", high="101", low="99"):
    return [bar(n, open_, high, low, volume=volume) for n, volume in enumerate(volumes)]


def test_the_base_quantity_is_what_two_median_bars_lend_to_one_digit():
    scale = scale_of(bars("5000", "7900", "100000"), Decimal("0.01"))
    assert (scale.base_qty, scale.quantity_step) == (100, Decimal("0.1"))
    large = scale_of(bars("8090640137.0"), Decimal("0.001"))
    assert (large.base_qty, large.quantity_step) == (10_000_000, 1)


def test_small_markets_get_small_steps():
    scale = scale_of(bars("12.5"), Decimal("0.001"))
    assert scale.base_qty == Decimal("0.02")
    assert scale.quantity_step == Decimal("0.00001")
    assert scale.base_qty % scale.quantity_step == 0


@pytest.mark.parametrize(
    ("prices", "tick"),
    [
        (("1.05236", "1.06", "1.05"), "0.00001"),
        (("102.0", "105.5", "100.06"), "0.01"),
        (("50000", "50100", "49000"), "1"),
        (("50", "51", "49"), "0.001"),  # whole prices would round half spreads away
        (("0.00001234", "0.00001300", "0.00001200"), "0.000000001"),
    ],
)
def test_the_tick_is_the_last_decimal_used_and_never_coarser_than_a_basis_point(prices, tick):
    open_, high, low = prices
    scale = scale_of(bars("1000", open_=open_, high=high, low=low), Decimal("0.01"))
    assert scale.price_tick == Decimal(tick)
    assert scale.reference_px == Decimal(high)


def test_orders_are_for_the_day_only_where_a_day_has_several_bars():
    assert scale_of(bars("1000"), Decimal("0.01")).route().time_in_force == "DAY"
    daily = [bar(0, volume="1000", step=24 * HOUR)]
    assert scale_of(daily, Decimal("0.01")).route().time_in_force == "GTC"


@pytest.mark.parametrize("volumes", [(), ("0", "0", "9")])
def test_bars_without_volume_give_a_clear_error(volumes):
    with pytest.raises(NoVolumeError, match="median volume of 0"):
        scale_of(bars(*volumes), Decimal("0.01"))


def test_limits_and_venue_follow_the_scale_in_plain_numbers():
    scale = scale_of(
        bars("8090640137.0", open_="1.05236", high="1.06", low="1.05"), Decimal("0.001")
    )
    limits, venue = scale.limits(), scale.venue(PaperSettings(spread_bps=Decimal(3)))
    assert (limits.base_qty, limits.order_qty_max) == (10_000_000, 20_000_000)
    assert (limits.position_qty_max, limits.order_notional_max) == (24_000_000, 106_000_000)
    assert (venue.spread_bps, venue.price_tick) == (3, Decimal("0.00001"))
    assert str(scale.base_qty) == "10000000"
    assert from_json(RiskLimits, to_json(limits)) == limits
    assert from_json(PaperSettings, to_json(venue)) == venue

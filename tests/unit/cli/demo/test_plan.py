"""Which agent a demo's policy is, and what it is told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bellwire.cli.demo.market_data import choose_market_data
from bellwire.cli.demo.plan import DemoOptions, DemoPlan
from bellwire.cli.demo.run_directory import RunDirectory
from bellwire.cli.settings import Request, load_settings
from bellwire.risk.decimal_text import decimal_text


def plan(*assignments, **options):
    chosen = DemoOptions(lockstep=True, seed=0, config=None, assignments=(), **options)
    settings = load_settings(Request(config=None, assignments=assignments))
    data = choose_market_data(None, "IBM", 100)
    return DemoPlan(data, RunDirectory(Path("/nowhere")), chosen, settings)


def test_the_trained_model_decides_unless_another_policy_is_asked_for():
    first, *others = plan().traders()
    assert first.name == "tactical"
    assert [each.name for each in others] == ["risk", "paper"]


def test_the_tactical_policy_gets_its_model_and_the_quantities_of_the_data():
    found = plan("tactical.rule=vote", policy="tactical", model=Path("/models/tactical/3"))
    agent = found.traders()[0]
    assert agent.name == "tactical"
    assert agent.settings["model_dir"] == "/models/tactical/3"
    assert agent.settings["bars_topic"] == "bars.1d"
    limits = found.limits()
    assert limits.base_qty != Decimal(10_000_000)  # IBM's volume is not that of EUR/USD
    assert agent.settings["base_qty"] == decimal_text(limits.base_qty)
    assert agent.settings["aggregation"]["rule"] == "vote"


@pytest.mark.parametrize("policy", ["rules", "tactical"])
def test_running_free_signals_stay_fresh_however_fast_event_time_flies(policy):
    options = DemoOptions(lockstep=False, seed=0, config=None, assignments=(), policy=policy)
    data = choose_market_data(None, None, 100)
    found = DemoPlan(data, RunDirectory(Path("/nowhere")), options, load_settings())
    assert found.traders()[0].settings["valid_bars"] == 1_000

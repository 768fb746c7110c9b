import re

import pytest

from bellwire.execution.order_id import OrderIdPrefixError, client_order_id


def test_the_same_signal_and_leg_always_give_the_same_id():
    assert client_order_id("rules.EURUSD.1", "order") == client_order_id("rules.EURUSD.1", "order")


def test_the_id_is_frozen_because_replays_of_old_signals_must_find_their_orders():
    assert client_order_id("rules.EURUSD.1", "order") == "BW-VFUXFFNBKD6KZS6E2CTMEZJDK"


def test_signal_leg_and_prefix_each_change_the_id():
    ids = {
        client_order_id("a", "order"),
        client_order_id("b", "order"),
        client_order_id("a", "cancel"),
        client_order_id("a", "order", "X1"),
        client_order_id("ao", "rder"),
    }
    assert len(ids) == 5


@pytest.mark.parametrize("signal_id", ["", "x" * 128, "münchen/☃", "a\0b"])
def test_every_signal_id_gives_an_id_venues_take(signal_id):
    assert re.fullmatch(r"[A-Za-z0-9-]{1,32}", client_order_id(signal_id, "order", "PREFIX"))


@pytest.mark.parametrize("prefix", ["", "TOOLONG", "a-b", "é"])
def test_a_prefix_venues_would_not_take_is_refused(prefix):
    with pytest.raises(OrderIdPrefixError, match="A-Za-z0-9"):
        client_order_id("a", "order", prefix)

"""The model that ships with the package: its files are those its card speaks of."""

import hashlib
import json

import pytest

from bellwire.agents.data import EURUSD_1H
from bellwire.agents.tactical.networks import load_weights
from bellwire.agents.train import evaluate, load_bars, policy_of, record

# Other machines sum in another order: a tie may break otherwise, and a position last another bar.
DECISIONS = 5
LOG_RETURN = 1e-3
FOLDER = EURUSD_1H.path.parent / "models" / "tactical" / "1"


@pytest.fixture(scope="module")
def card():
    return json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))


def test_the_card_names_these_weights_and_these_bars(card):
    weights = (FOLDER / "weights.npz").read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    (result,) = card["results"]
    assert result["data"]["sha256"] == hashlib.sha256(EURUSD_1H.path.read_bytes()).hexdigest()
    assert card["weights_sha256"] in (FOLDER / "card.md").read_text(encoding="utf-8")


def test_the_weights_earn_what_the_card_says_and_act_as_it_says(card):
    (result,) = card["results"]
    tape = record(load_bars("eurusd-1h"))
    tested = range(tape.decisions.stop - result["trained"]["bars"], tape.decisions.stop)
    assert tape.bars.close_time(tested.start) == result["data"]["test_first"]
    found = evaluate(policy_of(load_weights(FOLDER / "weights.npz")), tape, tested)
    for counts, told in zip(found.actions, result["trained"]["actions"], strict=True):
        assert counts == pytest.approx(told, abs=DECISIONS)
    for fee, net in result["trained"]["net_log_return"].items():
        assert found.net_log_return(float(fee)) == pytest.approx(net, abs=LOG_RETURN)

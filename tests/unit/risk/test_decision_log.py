import pytest

from bellwire.risk.decision_log import DecisionLog, Recall
from bellwire.trading.v1.risk_pb2 import RISK_VERDICT_ACCEPT, RiskDecision


def decision(signal_id):
    return RiskDecision(signal_id=signal_id, verdict=RISK_VERDICT_ACCEPT)


def test_the_same_content_is_recalled_and_replayed():
    log = DecisionLog(kept_max=10)
    assert log.recall("A", b"x", 5) is Recall.NEW
    log.store("A", b"x", 5, decision("s1"))
    assert log.recall("A", b"x", 5) is Recall.SAME
    assert log.recall("A", b"y", 5) is Recall.CONFLICT
    replayed = log.replay("A")
    assert replayed.replayed
    assert replayed.signal_id == "s1"


def test_the_first_decision_of_an_id_stays():
    log = DecisionLog(kept_max=10)
    log.store("A", b"x", 5, decision("first"))
    log.store("A", b"y", 5, decision("second"))
    assert log.replay("A").signal_id == "first"
    assert log.recall("A", b"x", 5) is Recall.SAME


def test_what_is_as_old_as_a_dropped_decision_is_not_trusted():
    log = DecisionLog(kept_max=2)
    for number, name in enumerate("ABC", start=1):
        log.store(name, b"x", number, decision(name))
    assert len(log) == 2
    assert log.recall("A", b"x", 1) is Recall.FORGOTTEN
    assert log.recall("never-seen", b"x", 1) is Recall.FORGOTTEN
    assert log.recall("new", b"x", 2) is Recall.NEW
    assert log.recall("C", b"x", 3) is Recall.SAME


def test_replaying_what_is_not_stored_is_an_error():
    with pytest.raises(KeyError):
        DecisionLog(kept_max=1).replay("A")

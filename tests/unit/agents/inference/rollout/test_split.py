"""The hash that splits keys: what other programs may rely on."""

from bellwire.agents.inference.rollout import is_candidates, position_of


def test_positions_are_those_the_documentation_promises() -> None:
    # b2sum -l 64 of the bytes "tactical\0EURUSD", and of "other\0EURUSD".
    assert position_of("tactical", "EURUSD") == 9914915885691219033
    assert position_of("other", "EURUSD") == 10658831494972615389


def test_no_share_takes_no_key_and_the_whole_takes_every_one() -> None:
    keys = [str(number) for number in range(1_000)]
    assert not any(is_candidates("actor", key, 0.0) for key in keys)
    assert all(is_candidates("actor", key, 1.0) for key in keys)


def test_request_without_a_key_is_never_the_candidates() -> None:
    assert not is_candidates("actor", "", 1.0)

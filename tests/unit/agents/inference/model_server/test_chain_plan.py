import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.inference.model_server import (
    ChainPlan,
    ChainPlanError,
    ModelServerSettings,
    parse_chain,
)
from bellwire.wire.settings import SettingsError

NAMES = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(
    lambda name: name[0] != "." and name != "hold"
)


@given(NAMES, st.lists(NAMES, min_size=1, max_size=16, unique=True), st.booleans())
def test_what_was_written_is_read(name: str, steps: list[str], holds: bool) -> None:
    text = f"{name}={','.join([*steps, *['hold'] * holds])}"
    assert parse_chain(text) == ChainPlan(name, tuple(steps), holds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "actor",
        "actor=",
        "actor=hold",
        "actor=hold,actor",
        "actor=a,a",
        "actor=a,,b",
        "=a",
        "a/b=a",
        f"actor={','.join(map(str, range(17)))}",
    ],
)
def test_what_is_no_chain_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(
        ChainPlanError, match=f"^chain is {re.escape(repr(text))}; expected "
    ) as caught:
        parse_chain(text)
    assert caught.value.text == text
    with pytest.raises(SettingsError, match=r"chains is .*; expected (NAME=STEP|1 to 16 steps)"):
        ModelServerSettings(chains=(text,))


def test_a_name_has_one_chain() -> None:
    with pytest.raises(SettingsError, match="one chain for each name"):
        ModelServerSettings(chains=("a=b", "a=c"))

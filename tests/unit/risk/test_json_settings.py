import json
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from bellwire.risk.json_settings import from_json, to_json
from bellwire.wire.settings import SettingsError, check_settings


@dataclass(frozen=True)
class Inner:
    size: Decimal = Decimal("0.5")
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int = 1
    ratio: float = 2.0
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self):
        check_settings(self)


def test_settings_cross_as_json_and_come_back_equal():
    settings = Outer(count=3, inner=Inner(Decimal("1E-9"), ("a", "b")))
    crossed = json.loads(json.dumps(to_json(settings)))
    assert crossed["inner"] == {"size": "0.000000001", "names": ["a", "b"]}
    assert from_json(Outer, crossed) == settings


def test_what_is_absent_keeps_its_default():
    assert from_json(Outer, {}) == Outer()
    assert from_json(Outer, {"inner": {"size": 7}}).inner == Inner(Decimal(7))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"cuont": 1}, "cuont"),
        ({"inner": {"size": "1e5"}}, "size"),
        ({"inner": {"size": 0.1, "nmaes": []}}, "nmaes"),
        ({"inner": 5}, "Inner"),
        ({"count": "3"}, "count"),
        ([], "Outer"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values, named):
    with pytest.raises(SettingsError, match=named):
        from_json(Outer, values)

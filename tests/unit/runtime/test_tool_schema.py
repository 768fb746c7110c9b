"""Tool arguments: the schema and the check of a call."""

import json
from typing import Any, Literal, Optional

import pytest

from bellwire.runtime import CallContext
from bellwire.runtime.errors import InvalidToolArgumentsError
from bellwire.runtime.tool_schema import Signature, signature_of


async def every_kind(
    self: object,
    symbol: str,
    count: int,
    share: float,
    flag: bool,
    names: list[str],
    weights: dict[str, float],
    context: CallContext,
    note: Optional[str] = None,  # noqa: UP045  # the old spelling must work, too
    side: Literal["buy", "sell"] = "buy",
    limit: int | None = 10,
    anything: Any = None,
    rows: list[dict[str, int]] = [],  # noqa: B006  # never called with the default
) -> None:
    """Take everything that is supported."""


@pytest.fixture(scope="module")
def signature() -> Signature:
    return signature_of("every_kind", every_kind, CallContext)


GOOD: dict[str, object] = {
    "symbol": "EURUSD",
    "count": 3,
    "share": 0.5,
    "flag": True,
    "names": ["a"],
    "weights": {"a": 1},
}


def decode(signature: Signature, **changes: object) -> dict[str, object]:
    return signature.decode(json.dumps({**GOOD, **changes}).encode())


def test_schema_says_types_defaults_and_what_is_required(signature: Signature) -> None:
    assert signature.schema() == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "symbol": {"type": "string"},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "flag": {"type": "boolean"},
            "names": {"type": "array", "items": {"type": "string"}},
            "weights": {"type": "object", "additionalProperties": {"type": "number"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "side": {"enum": ["buy", "sell"], "default": "buy"},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 10},
            "anything": {"default": None},
            "rows": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": {"type": "integer"}},
                "default": [],
            },
        },
        "required": ["symbol", "count", "share", "flag", "names", "weights"],
        "additionalProperties": False,
    }
    assert signature.injected == "context"


def test_arguments_that_fit_are_passed_on(signature: Signature) -> None:
    decoded = decode(signature, count=3.0, share=2, note=None, side="sell", anything=[1, {}])
    assert decoded["count"] == 3
    assert type(decoded["count"]) is int
    assert type(decoded["share"]) is float
    assert (decoded["note"], decoded["side"], decoded["anything"]) == (None, "sell", [1, {}])
    assert "limit" not in decoded


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"symbol": 5}, "argument 'symbol' must be string, found integer"),
        ({"count": True}, "argument 'count' must be integer, found boolean"),
        ({"count": 1.5}, "argument 'count' must be integer, found number"),
        ({"share": "x"}, "argument 'share' must be number, found string"),
        ({"flag": 1}, "argument 'flag' must be boolean, found integer"),
        ({"names": ["a", None]}, r"argument 'names\[1\]' must be string, found null"),
        ({"names": {}}, "argument 'names' must be array, found object"),
        ({"weights": {"a": "b"}}, r"argument 'weights\.a' must be number, found string"),
        ({"weights": []}, "argument 'weights' must be object, found array"),
        ({"side": "hold"}, 'argument \'side\' must be one of \\["buy", "sell"\\], found string'),
        ({"rows": [{"a": "b"}]}, r"argument 'rows\[0\]\.a' must be integer"),
        ({"extra": 1}, r"does not take 'extra'; it takes \(symbol, count, .*note\?"),
        ({"context": {}}, "does not take 'context'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_path(
    signature: Signature, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidToolArgumentsError, match=says):
        decode(signature, **changes)


def test_missing_arguments_are_all_named(signature: Signature) -> None:
    with pytest.raises(InvalidToolArgumentsError, match="misses 'symbol', 'count', 'share'"):
        signature.decode(b'{"flag":true,"names":[],"weights":{}}')


@pytest.mark.parametrize("arguments", [b"{", b"\xff", b"[" * 100_000, b'{"a":'])
def test_bytes_that_are_no_json_are_refused(signature: Signature, arguments: bytes) -> None:
    with pytest.raises(InvalidToolArgumentsError, match="no UTF-8 JSON"):
        signature.decode(arguments)


@pytest.mark.parametrize(
    ("arguments", "found"), [(b"[]", "array"), (b"null", "null"), (b'"x"', "string")]
)
def test_json_that_is_no_object_is_refused(
    signature: Signature, arguments: bytes, found: str
) -> None:
    with pytest.raises(InvalidToolArgumentsError, match=f"a JSON {found} instead of an object"):
        signature.decode(arguments)


def test_tool_without_arguments_takes_empty_bytes() -> None:
    async def nothing(self: object) -> None:
        """Take nothing."""

    bare = signature_of("nothing", nothing, CallContext)
    assert bare.decode(b"") == {}
    assert bare.schema()["required"] == []

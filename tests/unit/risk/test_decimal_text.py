from decimal import Decimal, localcontext

import pytest

from bellwire.risk.decimal_text import decimal_text, divide, is_multiple, parse_decimal, round_down


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", Decimal(0)),
        ("1.05236", Decimal("1.05236")),
        ("-3", Decimal(-3)),
        (".5", Decimal("0.5")),
        ("7.", Decimal(7)),
        ("999999999999999999", Decimal(10) ** 18 - 1),
    ],
)
def test_plain_decimals_are_read_exactly(text, number):
    assert parse_decimal(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "1e5",
        "NaN",
        "Infinity",
        "1_000",
        " 1",
        "1,5",
        "٣",  # a digit to Python, not to the contract
        "1000000000000000000",
        "0" * 65,
        "--1",
    ],
)
def test_what_the_contract_does_not_allow_is_no_decimal(text):
    assert parse_decimal(text) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("5E+6"), "5000000"),
        (Decimal("1.50"), "1.5"),
        (Decimal("-0.00"), "0"),
        (Decimal("1E-12"), "0.000000000001"),
        (Decimal("100"), "100"),
    ],
)
def test_text_is_plain_and_shortest(number, text):
    assert decimal_text(number) == text
    assert parse_decimal(text) == number


def test_division_does_not_depend_on_the_precision_of_the_thread():
    with localcontext() as context:
        context.prec = 3
        assert divide(Decimal(2), Decimal(3)) == Decimal("0.666666666666666667")


def test_rounding_down_keeps_whole_steps_at_any_size():
    assert round_down(Decimal("12345.678"), Decimal("0.05")) == Decimal("12345.65")
    huge, step = Decimal(10) ** 18 - 1, Decimal("0.000000000001")
    assert round_down(huge, step) == huge
    assert is_multiple(huge, step)
    assert not is_multiple(Decimal("1.5"), Decimal(1))

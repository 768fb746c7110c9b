"""`make cluster`: which coordinators it runs."""

from __future__ import annotations

import pytest

from bellwire.testing.cluster import groups_of


def test_without_groups_it_runs_three_of_one() -> None:
    (group,) = groups_of("", 7400, ("--x",))
    assert (group.name, group.arguments, group.ports) == ("", ("--x",), (7400, 7401, 7402))


def test_with_groups_it_runs_two_of_each() -> None:
    orders, rest = groups_of(" orders=orders.>,fills.>  rest= ", 7400, ("--x",))
    assert orders.arguments == ("--x", "--group", "orders", "--topics", "orders.>,fills.>")
    assert rest.arguments == ("--x", "--group", "rest")
    assert orders.ports + rest.ports == (7400, 7401, 7402, 7403)


@pytest.mark.parametrize("text", ["orders", "=orders.>"])
def test_what_names_no_group_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME="):
        groups_of(text, 7400, ())

"""Policies: what they are called, and which versions they want."""

import pytest

from bellwire.agents.inference.repository import (
    AllVersions,
    Latest,
    RepositorySettings,
    Specific,
    VersionPolicy,
    parse_policy,
)
from bellwire.wire.settings import SettingsError


@pytest.mark.parametrize(
    ("text", "policy", "order", "places"),
    [
        ("latest:1", Latest(1), (7, 5, 3), 1),
        ("latest:16", Latest(16), (7, 5, 3), 16),
        ("all", AllVersions(), (7, 5, 3), 3),
        ("3,9,5", Specific((3, 9, 5)), (5, 3), 3),
    ],
)
def test_policy_is_read_and_orders_the_versions(
    text: str, policy: VersionPolicy, order: tuple[int, ...], places: int
) -> None:
    assert parse_policy(text) == policy
    assert policy.order([3, 7, 5]) == order
    assert policy.places([3, 7, 5]) == places


@pytest.mark.parametrize("text", ["", "latest", "latest:0", "latest:17", "1,", "0", "ALL", "1 2"])
def test_anything_else_is_no_policy(text: str) -> None:
    with pytest.raises(ValueError, match="no policy"):
        parse_policy(text)
    with pytest.raises(SettingsError, match="latest:N"):
        RepositorySettings(versions=text)


@pytest.mark.parametrize("sizes", [(0,), tuple(range(1, 18))])
def test_sizes_that_cannot_be_warmed_up_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="warm_batches"):
        RepositorySettings(warm_batches=sizes)

"""What a coordinator of a group is made with: checks of its settings, and its connections to Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.cluster.group_watch import GroupWatch
from bellwire.coordinator.cluster.holder import Holder
from bellwire.coordinator.cluster.topic_groups import TopicGroups
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.transport.address import parse_address
from bellwire.wire.settings import SettingsError

if TYPE_CHECKING:
    from bellwire.coordinator.cluster.redis_lease import RedisLease

__all__ = ["check_advertised", "open_lease", "open_watch"]

WILDCARDS: Final = ("0.0.0.0", "::", "*")


def check_advertised(settings: CoordinatorSettings) -> None:
    """Refuse what clients could not be sent to.

    Raises:
        SettingsError, AddressError
    """
    address = parse_address(settings.advertise or settings.listen[0])
    if address.host in WILDCARDS:
        raise SettingsError(
            "coordinator",
            "advertise",
            settings.advertise,
            f"the address under which clients reach this coordinator: {address} is everywhere",
        )


def open_lease(
    settings: CoordinatorSettings, group: str, me: Holder, times: LeaseTimes
) -> RedisLease:
    """Return the lease of a group.

    Raises:
        SettingsError: The package is not installed.
    """
    try:
        from bellwire.coordinator.cluster.redis_lease import RedisLease
    except ImportError as error:
        raise _not_installed() from error
    return RedisLease(settings.redis, group, me, times)


def open_watch(
    settings: CoordinatorSettings,
    groups: TopicGroups,
    *,
    is_active: Callable[[], bool],
    on_change: Callable[[], None],
) -> GroupWatch:
    """Return what keeps the groups up to date.

    Raises:
        SettingsError: The package is not installed.
    """
    try:
        from bellwire.coordinator.cluster.redis_groups import RedisGroups
    except ImportError as error:
        raise _not_installed() from error
    times = LeaseTimes(settings.group_lease_seconds)
    store = RedisGroups(settings.redis, times)
    return GroupWatch(groups, store, times, is_active=is_active, on_change=on_change)


def _not_installed() -> SettingsError:
    return SettingsError(
        "coordinator", "redis", "…", "empty without redis; install bellwire[redis]"
    )

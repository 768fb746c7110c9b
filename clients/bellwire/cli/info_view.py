"""A coordinator and its store, as a table and as JSON."""

from __future__ import annotations

import time
from typing import Final

from rich.markup import escape
from rich.table import Table

from bellwire.admin.v1.server_pb2 import (
    CLUSTER_ROLE_ACTIVE,
    CLUSTER_ROLE_OPENING,
    CLUSTER_ROLE_STANDBY,
    ClusterInfo,
    GetServerInfoResponse,
    StoreInfo,
    TopicGroup,
)
from bellwire.cli.cache_view import add_cache, cache_json
from bellwire.cli.output import Style, console, harmless, plain_table, print_json
from bellwire.cli.recovery import recovery_json, recovery_text
from bellwire.cli.session import Target, connected
from bellwire.cli.units import (
    bytes_text,
    count_text,
    counted_text,
    duration_text,
    moment_text,
    span_text,
)

__all__ = ["info_json", "info_table", "show_info"]

MICROS_PER_SECOND: Final = 1_000_000
NANOS_PER_SECOND: Final = 1_000_000_000
KAFKA: Final = "kafka:"  # Whose disks are the brokers'.
ROLES: Final = {
    CLUSTER_ROLE_STANDBY: "standby",
    CLUSTER_ROLE_OPENING: "taking over",
    CLUSTER_ROLE_ACTIVE: "active",
}


async def show_info(target: Target, *, as_json: bool) -> None:
    """Print what runs at the other end."""
    async with connected(target) as client:
        found = await client.admin.server_info()
    if as_json:
        print_json(info_json(found))
    else:
        console().print(info_table(found, time.time_ns()))


def info_table(found: GetServerInfoResponse, now_ns: int) -> Table:
    """Return what runs, one fact a line; `now_ns` is what the time since its start is counted to."""
    table = plain_table("", "")
    table.show_header = False
    up = span_text((now_ns - found.start_time_unix_nano) / NANOS_PER_SECOND)
    draining = f"  [{Style.WARN}]draining[/]" if found.draining else ""
    table.add_row("bellwire", f"{escape(found.version)}{draining}")
    table.add_row(
        "process", f"pid {found.pid}, up {up} ({moment_text(found.start_time_unix_nano)})"
    )
    table.add_row("addresses", escape(", ".join(found.addresses)))
    if found.HasField("cluster"):
        _add_cluster(table, found.cluster, now_ns)
    table.add_row(
        "load",
        f"{found.cpu_seconds:.1f} s CPU, {bytes_text(found.rss_bytes)}, "
        f"{counted_text(found.open_streams, 'stream')}, {counted_text(found.workers, 'worker')}",
    )
    table.add_row(
        "admitted",
        f"{counted_text(found.admitted_messages, 'message')} in "
        f"{counted_text(found.admitted_batches, 'batch')}, {bytes_text(found.received_batch_bytes)}",
    )
    table.add_row("delivered", counted_text(found.delivered_messages, "message"))
    if found.HasField("store"):
        _add_store(table, found.store, now_ns)
    elif not found.HasField("cluster") or found.cluster.role == CLUSTER_ROLE_ACTIVE:
        table.add_row("store", "none: everything is kept in memory (`bellwire serve --data DIR`)")
    add_cache(table, found.cache)
    return table


def _add_cluster(table: Table, cluster: ClusterInfo, now_ns: int) -> None:
    role = ROLES.get(cluster.role, "unknown")
    style = Style.GOOD if cluster.role == CLUSTER_ROLE_ACTIVE else Style.WARN
    since = span_text((now_ns - cluster.role_since_unix_nano) / NANOS_PER_SECOND)
    table.add_row("group", f"{escape(cluster.group)}: [{style}]{role}[/] for {since}")
    owner = cluster.owner or "nobody known"
    away = f"  [{Style.BAD}]Redis is away[/]" if cluster.lease_service_away else ""
    took = f", took over in {cluster.take_over_millis} ms" if cluster.take_over_millis else ""
    table.add_row("owner", f"{escape(owner)}{took}{away}")
    if cluster.agent_directory_away or cluster.agent_directory_faults:
        table.add_row("agent directory", f"[{Style.BAD}]{_directory_text(cluster)}[/]")
    if len(cluster.groups) > 1 or any(group.topics for group in cluster.groups):
        for number, group in enumerate(cluster.groups):
            table.add_row("" if number else "topics", _group_text(group))


def _directory_text(cluster: ClusterInfo) -> str:
    faults = cluster.agent_directory_faults
    told = ["Redis is away"] if cluster.agent_directory_away else []
    told += [f"{counted_text(faults, 'fault')} of its own, see the log"] if faults else []
    return ", ".join(told)


def _group_text(group: TopicGroup) -> str:
    topics = ", ".join(group.topics) or "all others"
    owner = f" at {group.owner}" if group.owner else ", nobody active"
    return escape(harmless(f"{topics}: {group.group}{owner}"))


def _add_store(table: Table, store: StoreInfo, now_ns: int) -> None:
    on_disk = "" if store.path.startswith(KAFKA) else f", {bytes_text(store.disk_bytes)} on disk"
    table.add_row("store", f"{escape(store.path)}{on_disk}")
    if store.read_only:
        reason = escape(harmless(store.read_only_reason)) or "no reason given"
        table.add_row(f"[{Style.BAD}]read-only[/]", f"[{Style.BAD}]{reason}[/]")
    elif store.unanswered_since_unix_nano:
        table.add_row(f"[{Style.BAD}]waits[/]", f"[{Style.BAD}]{_outage_text(store, now_ns)}[/]")
    else:
        table.add_row("state", f"[{Style.GOOD}]writable[/]")
    median, p99 = (
        duration_text(micros / MICROS_PER_SECOND)
        for micros in (store.commit_p50_micros, store.commit_p99_micros)
    )
    times = f", p50 {median}, p99 {p99} of the latest" if store.commits else ""
    table.add_row("commits", f"{count_text(store.commits)}{times}")
    table.add_row("start", recovery_text(store.recovery))


def _outage_text(store: StoreInfo, now_ns: int) -> str:
    since = store.unanswered_since_unix_nano
    waited = span_text((now_ns - since) / NANOS_PER_SECOND)
    reason = escape(harmless(store.unanswered_reason)) or "no reason given"
    return f"for {waited} (since {moment_text(since)}): {reason}; nothing durable is acknowledged until it does"


def info_json(found: GetServerInfoResponse) -> dict[str, object]:
    """Return what runs as one object; `store` is null when everything is kept in memory."""
    return {
        "version": found.version,
        "pid": found.pid,
        "start_time_unix_nano": found.start_time_unix_nano,
        "addresses": list(found.addresses),
        "workers": found.workers,
        "cpu_seconds": found.cpu_seconds,
        "rss_bytes": found.rss_bytes,
        "received_batch_bytes": found.received_batch_bytes,
        "admitted_batches": found.admitted_batches,
        "admitted_messages": found.admitted_messages,
        "delivered_messages": found.delivered_messages,
        "open_streams": found.open_streams,
        "draining": found.draining,
        "cluster": _cluster_json(found.cluster) if found.HasField("cluster") else None,
        "store": _store_json(found.store) if found.HasField("store") else None,
        "cache": cache_json(found.cache),
    }


def _cluster_json(cluster: ClusterInfo) -> dict[str, object]:
    return {
        "group": cluster.group,
        "role": ROLES.get(cluster.role, "unknown"),
        "advertised": cluster.advertised,
        "owner": cluster.owner or None,
        "owner_since_unix_nano": cluster.owner_since_unix_nano,
        "role_since_unix_nano": cluster.role_since_unix_nano,
        "lease_service_away": cluster.lease_service_away,
        "take_over_millis": cluster.take_over_millis,
        "agent_directory_away": cluster.agent_directory_away,
        "agent_directory_faults": cluster.agent_directory_faults,
        "groups": [
            {
                "group": group.group,
                "topics": list(group.topics),
                "owner": group.owner or None,
                "owner_since_unix_nano": group.owner_since_unix_nano,
            }
            for group in cluster.groups
        ],
    }


def _store_json(store: StoreInfo) -> dict[str, object]:
    return {
        "path": store.path,
        "read_only": store.read_only,
        "read_only_reason": store.read_only_reason,
        "commits": store.commits,
        "commit_p50_micros": store.commit_p50_micros,
        "commit_p99_micros": store.commit_p99_micros,
        "disk_bytes": store.disk_bytes,
        "unanswered_since_unix_nano": store.unanswered_since_unix_nano or None,
        "unanswered_reason": store.unanswered_reason,
        "recovery": recovery_json(store.recovery),
    }

"""What a number needs beside it: command, commit, machine, versions, disk, method."""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.disk import IN_MEMORY
from tests.benchmarks.summary import Document, Spread


def header_of(document: Document) -> list[tuple[str, str]]:
    """Give the lines above the tables as (key, text)."""
    machine, settings = document["machine"], document["settings"]
    hardware = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    return [
        ("taken", f"{document['taken_at']}, load average {machine['load_average_at_start']}"),
        ("others", _others(document)),
        ("command", document["command"]),
        ("commit", document["commit"]),
        ("machine", f"{hardware}, {machine['kernel']}"),
        *([("disk", _disk(document["disk"]))] if "disk" in document else []),
        ("versions", ", ".join(f"{key} {value}" for key, value in document["versions"].items())),
        (
            "method",
            f"{settings['rounds']} alternating rounds, {settings['load_seconds']:g} s of load after"
            f" {settings['warm_up_seconds']:g} s of warm-up, {settings['payload_bytes']}-byte"
            " payloads; medians over the rounds (least–most); p99.9 and max over all rounds"
            " together; ratios round by round",
        ),
    ]


def _others(document: Document) -> str:
    shares = list(_shares_of_others(document))
    if not shares:
        return "not measured"
    share = Spread.of(shares)
    return (
        f"{share.median:.0%} of the machine's CPU time went to anything else while measuring (median;"
        f" {share.low:.0%}–{share.high:.0%})"
    )


def _shares_of_others(document: Document) -> Iterator[float]:
    for measurement in document["measurements"]:
        # What a neighbour uses is meant to be used: only the part without one tells of others.
        measured = measurement.get("variants", {}).get("alone", measurement)
        if "processes" in measured:
            yield measured["processes"]["others"]["cpu_share"]


def _disk(disk: dict[str, Any]) -> str:
    parts = [f"{disk['file_system']} on {disk['device']}"]
    parts += [disk["model"]] if disk["model"] else []
    parts += [f"write cache: {disk['write_cache']}"] if disk["write_cache"] else []
    if disk["sync_probes"]:
        p50, p99 = (
            Spread.of(probe[key] for probe in disk["sync_probes"]) for key in ("p50_us", "p99_us")
        )
        parts.append(
            f"4 KiB write + fdatasync before each round p50 {p50.median:,.0f} µs"
            f" ({p50.low:,.0f}–{p50.high:,.0f}), p99 {p99.median:,.0f} µs"
        )
    if disk["file_system"] in IN_MEMORY:
        parts.append("IN MEMORY: nothing was ever written to a disk, syncing cost nothing")
    return ", ".join(parts)

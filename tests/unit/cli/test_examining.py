"""bellwire.cli.examining: what the doctor says, for people and machines."""

from __future__ import annotations

import io

from rich.console import Console

from bellwire.cli.copying import contents_text
from bellwire.cli.examining import findings_lines, logs_table, report_json, verdict
from bellwire.coordinator.log.sqlite.findings import LogSummary, Report, Severity


def report():
    found = Report("/data")
    found.logs.append(
        LogSummary(
            log_id=5,
            name="orders/0",
            first_offset=10,
            next_offset=1_500,
            entries=20,
            messages=1_490,
            stored_bytes=2_048,
            unreadable=1,
        )
    )
    found.counts["dead letters"] = 3
    return found


def rendered(*lines):
    out = io.StringIO()
    for line in lines:
        Console(file=out, width=120).print(line)
    return out.getvalue()


def test_a_report_without_errors_is_healthy():
    found = report()
    found.add(Severity.WARNING, "cursor risk", "it reads a log that is gone", "delete it")
    assert verdict(found).plain == "healthy"
    assert report_json(found)["healthy"] is True
    text = rendered(*findings_lines(found))
    assert text == "warning  cursor risk: it reads a log that is gone\n    delete it\n"


def test_an_error_makes_it_unhealthy():
    found = report()
    found.add(Severity.ERROR, "orders/0", "offsets 5 to 9 are missing", "restore a backup")
    assert verdict(found).plain == "not healthy: 1 error"
    assert report_json(found)["findings"] == [
        {
            "severity": "error",
            "where": "orders/0",
            "what": "offsets 5 to 9 are missing",
            "advice": "restore a backup",
        }
    ]


def test_logs_are_a_table():
    (_, row) = rendered(logs_table(report().logs)).splitlines()
    assert row.split() == ["orders/0", "10", "1,500", "1,490", "20", "2.00", "KiB", "1"]
    empty = LogSummary(log_id=1, name="t/0")
    assert rendered(logs_table([empty])).splitlines()[1].split()[:2] == ["t/0", "-"]


def test_foreign_names_in_findings_cannot_steer_the_terminal():
    found = report()
    found.add(Severity.INFO, "topic \x1b[2J", "x\x07", "y\nz")
    assert all(line.isprintable() for line in rendered(*findings_lines(found)).splitlines())


def test_of_a_copy_only_what_is_wrong_is_shown():
    found = report()
    found.add(Severity.INFO, "store", "it was not closed properly", "nothing to do")
    found.add(Severity.WARNING, "cursor risk", "it reads a log that is gone", "delete it")
    text = rendered(*findings_lines(found, with_info=False))
    assert "closed properly" not in text
    assert "cursor risk" in text
    assert "closed properly" in rendered(*findings_lines(found))


def test_the_contents_of_a_copy_are_one_line():
    assert contents_text(report()) == "1,490 messages (2.00 KiB) in 1 log, 3 dead letters"

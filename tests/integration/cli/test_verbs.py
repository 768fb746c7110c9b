"""The verbs of the command against a real coordinator."""

from __future__ import annotations

import io
import json
import os
import sys
import uuid

import pytest

from bellwire.trading.v1.signal_pb2 import SIDE_BUY, SIGNAL_ACTION_ENTER, Signal

pytestmark = pytest.mark.integration


@pytest.fixture
def topic():
    """A topic no other test uses."""
    return f"test.{uuid.uuid4().hex[:8]}"


def test_a_published_message_is_received_as_it_was(bellwire, topic):
    published = bellwire(
        *("pub", topic, "--data", "grüß dich", "--key", "EURUSD", "--type", "text/plain"),
        *("--subject", "greeting", "--attr", "a=1", "--attr", "b=x=y", "--source", "cli/test"),
    )
    assert (published.status, published.out) == (0, f"published 1 message to {topic}\n")

    (message,) = bellwire("tail", topic, "--from", "earliest", "-n", "1", "--json").json
    assert message["topic"] == topic
    assert (message["partition"], message["offset"], message["attempt"]) == (0, 0, 0)
    assert (message["key"], message["subject"]) == ("EURUSD", "greeting")
    assert (message["type"], message["source"]) == ("text/plain", "cli/test")
    assert message["attributes"] == {"a": "1", "b": "x=y"}
    assert (message["data_encoding"], message["data"]) == ("text", "grüß dich")


def test_tail_decodes_types_of_the_contract(bellwire, topic, tmp_path):
    signal = Signal(
        symbol="EURUSD", action=SIGNAL_ACTION_ENTER, side=SIDE_BUY, decision_px="1.2", strength=0.5
    )
    (tmp_path / "signal.bin").write_bytes(signal.SerializeToString())
    bellwire("pub", topic, "--file", "signal.bin", "--type", "bellwire.trading.v1.Signal")

    (line,) = bellwire("tail", topic, "--from", "earliest", "-n", "1").lines
    assert f"{topic}[0]@0" in line
    assert line.endswith("Signal  ENTER BUY EURUSD at 1.2  strength 0.50")
    (message,) = bellwire("tail", topic, "--from", "earliest", "-n", "1", "--json").json
    assert message["data"]["side"] == "SIDE_BUY"


def test_lines_of_standard_input_are_one_message_each(bellwire, topic, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, "".join(f"line {n}\n" for n in range(2500)).encode())
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert bellwire("pub", topic, "-", "--json").json == [
            {
                "topic": topic,
                "messages": 2500,
                "payload_bytes": 2500 * 5 + 10 + 180 + 2700 + 6000,
                "ack_level": "received",
                "duplicates": 0,
            }
        ]
    lines = bellwire("sub", topic, "--from", "earliest", "-n", "2500").lines
    assert lines == [f"line {n}" for n in range(2500)]


def test_a_named_subscription_goes_on_where_it_was(bellwire, topic):
    for number in range(4):
        bellwire("pub", topic, "--data", str(number))
    name = f"reader-{topic}"
    first = bellwire("sub", topic, "--subscription", name, "--from", "earliest", "-n", "2")
    second = bellwire("sub", topic, "--subscription", name, "-n", "2")
    assert first.lines + second.lines == ["0", "1", "2", "3"]


def test_topics_are_created_listed_described_and_counted(bellwire, topic):
    created = bellwire("topics", "create", topic, "--partitions", "4", "--overflow", "drop-oldest")
    assert created.out == f"created {topic} with 4 partitions\n"
    bellwire("pub", topic, "--data", "x")

    (described,) = bellwire("topics", "describe", topic, "--json").json
    assert (described["partition_count"], described["overflow_policy"]) == (4, "drop-oldest")
    (listed,) = bellwire("topics", "list", topic, "--json").json
    assert (listed["name"], listed["published_messages"]) == (topic, 1)
    (stats,) = bellwire("topics", "stats", topic, "--json").json
    assert len(stats["partitions"]) == 4
    assert sum(row["next_offset"] for row in stats["partitions"]) == 1
    table = bellwire("topics", "list").out
    assert topic in table
    assert table.startswith("topic ")
    assert "published messages      1" in bellwire("topics", "stats", topic).out
    assert "drop-oldest" in bellwire("topics", "describe", topic).out


def test_creating_a_topic_again_with_other_settings_is_refused(bellwire, topic):
    assert bellwire("topics", "create", topic, "--partitions", "2").status == 0
    assert bellwire("topics", "create", topic, "--partitions", "2").status == 0
    refused = bellwire("topics", "create", topic, "--partitions", "3")
    assert refused.status == 1
    assert refused.err.startswith("error: ")
    assert topic in refused.err


def test_a_topic_that_does_not_exist_is_told(bellwire, topic):
    missing = bellwire("topics", "describe", topic)
    assert missing.status == 1
    assert missing.err == (
        f"error: there is no topic '{topic}'; `bellwire topics list` shows all\n"
    )
    assert bellwire("topics", "stats", topic).status == 1


def test_a_bad_topic_name_is_refused_in_one_line(bellwire):
    refused = bellwire("pub", "no spaces", "--data", "x")
    assert refused.status == 1
    assert refused.out == ""
    assert refused.err.count("\n") == 1
    assert "no spaces" in refused.err


def test_without_agents_lists_are_empty_and_say_so(bellwire):
    assert bellwire("agents", "list").out == "no live agents\n"
    assert bellwire("agents", "list", "--json").out == ""
    assert bellwire("call", "--list").out == "no live agent has a tool or a model\n"


def test_calling_a_tool_nobody_has_fails_in_one_line(bellwire):
    failed = bellwire("call", "explain_last_signal", '{"symbol": "EURUSD"}')
    assert failed.status == 1
    assert "explain_last_signal" in failed.err
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pub", "t"], "give the payload in one way"),
        (["pub", "t", "--data", "a", "--file", "f"], "give the payload in one way"),
        (["pub", "t", "x"], "unexpected argument 'x'"),
        (
            ["pub", "t", "--data", "a", "--attr", "novalue"],
            "--attr is 'novalue'; expected key=value",
        ),
        (["call"], "give either a name or --list"),
        (["call", "t", "{"], "the arguments are not JSON"),
        (["call", "t", "[1]"], "the arguments are a JSON list; expected an object"),
        (["call", "t", "--timeout", "0"], "--timeout is 0; expected seconds above 0"),
        (["trace"], "give either a trace id or --last"),
        (["trace", "abcd", "--last"], "give either a trace id or --last"),
        (["trace", "abcd", "--containing", "x"], "--containing goes with --last"),
        (["sub", "t", "--count", "0"], "greater than or equal to 1"),
        (["tail"], "Missing argument"),
        (["nosuch"], "No such command 'nosuch'; see `bellwire --help`"),
        (["pub", "t", "--nosuch"], "No such option: --nosuch"),
        (["config", "show", "nosuch"], "there is no section 'nosuch'; the sections are command,"),
        (["serve", "--ready-fd", "77"], "--ready-fd 77 is not open"),
        (["serve", "--ready-file", "no/such/file"], "its folder does not exist"),
        (["serve", "--listen", "nonsense"], "nonsense"),
        (["demo", "--bars", "5"], "--bars is 5; the agents look back 60 bars"),
        (["demo", "--symbol", "DAX"], "no bundled series of 'DAX'; there are EURUSD and IBM"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_told_in_one_line_with_exit_code_2(bellwire, arguments, words):
    refused = bellwire(*arguments)
    assert refused.status == 2
    assert refused.out == ""
    assert refused.err.startswith("error: ")
    assert refused.err.count("\n") == 1
    assert words in refused.err


def test_a_file_that_cannot_be_published_is_told(bellwire, topic, tmp_path):
    assert "No such file" in bellwire("pub", topic, "--file", "absent").err
    (tmp_path / "large").write_bytes(b"x" * ((1 << 20) + 1))
    large = bellwire("pub", topic, "--file", "large")
    assert large.status == 1
    assert "one message holds at most 1048576" in large.err


def test_a_coordinator_that_is_not_there_is_told_in_one_line(bellwire, tmp_path):
    absent = bellwire(
        *("topics", "list", "--address", f"unix://{tmp_path}/absent.sock"),
        *("--set", "client.transport.connect_timeout_seconds=0.5"),
    )
    assert absent.status == 1
    assert absent.err.count("\n") == 1
    assert "absent.sock" in absent.err


def test_a_client_setting_of_the_file_is_in_force(bellwire, tmp_path):
    (tmp_path / "bellwire.toml").write_text("[client]\ntimeout_secnds = 1\n")
    refused = bellwire("topics", "list")
    assert refused.status == 2
    assert refused.err == (
        "error: bellwire.toml: unknown key client.timeout_secnds; "
        "did you mean client.timeout_seconds?\n"
    )


def test_config_shows_where_each_value_came_from(bellwire, tmp_path):
    (tmp_path / "bellwire.toml").write_text("[coordinator]\nworkers = 8\n")
    rows = {row["key"]: row for row in bellwire("config", "show", "--json").json}
    assert rows["coordinator.workers"] == {
        "key": "coordinator.workers",
        "value": 8,
        "default": 16,
        "source": "file",
        "where": "bellwire.toml",
        "type": "int",
        "unit": "workers",
        "range": "1..1024",
        "why": rows["coordinator.workers"]["why"],
        "environment": "BELLWIRE_COORDINATOR__WORKERS",
    }
    assert rows["command.address"]["source"] == "env"
    assert all(row["why"] for row in rows.values())
    shown = bellwire("config", "show", "coordinator", "--changed").out
    assert "workers" in shown
    assert "from bellwire.toml" in shown
    assert "retention" not in shown


def test_config_check_counts_what_differs(bellwire, tmp_path):
    (tmp_path / "bellwire.toml").write_text("[risk]\nbase_qty = 1000\n")
    (found,) = bellwire("config", "check", "--json").json
    assert (found["ok"], found["file"], found["changed"]) == (True, "bellwire.toml", 2)


def test_config_check_finds_settings_that_contradict_each_other(bellwire, tmp_path):
    (tmp_path / "bellwire.toml").write_text("[risk]\nbase_qty = 1000\norder_qty_max = 10\n")
    refused = bellwire("config", "check")
    assert refused.status == 2
    assert "bellwire.toml: risk.base_qty" in refused.err


def test_version_names_what_bellwire_stands_on(bellwire):
    (found,) = bellwire("version", "--json").json
    assert {"bellwire", "python", "grpcio", "protobuf"} <= set(found)
    assert found["bellwire"] in bellwire("version").out


def test_help_names_every_verb(bellwire):
    helped = bellwire("--help")
    assert helped.status == 0
    for verb in [
        "serve",
        "demo",
        "pub",
        "sub",
        "tail",
        "replay",
        "seek",
        "call",
        "topics",
        "subscriptions",
        "dead-letters",
        "agents",
        "trace",
        "config",
        "info",
        "doctor",
        "backup",
        "restore",
        "version",
    ]:
        assert f" {verb} " in helped.out


def test_json_output_can_be_read_line_by_line(bellwire, topic):
    for text in ('{"a": 1}', "plain", ""):
        bellwire("pub", topic, "--data", text)
    out = bellwire("tail", topic, "--from", "earliest", "-n", "3", "--json").out
    found = [json.loads(line)["data"] for line in io.StringIO(out)]
    assert found == [{"a": 1}, "plain", None]


@pytest.mark.parametrize("keys", [("a",), ()])
def test_last_messages_that_nobody_keeps_are_refused_with_what_to_do(bellwire, topic, keys):
    bellwire("pub", topic, "--data", "x", "--key", "a")
    refused = bellwire("latest", topic, *keys)
    assert refused.status == 1
    assert f"`--set cache.latest={topic}`" in refused.err
    assert refused.out == ""

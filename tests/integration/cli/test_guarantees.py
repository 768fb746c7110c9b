"""Dead letters, seek, replay, delays, idempotency and the server's own state, through the command."""

from __future__ import annotations

import uuid

import pytest

pytestmark = pytest.mark.integration

EARLIEST = ("--from", "earliest")


@pytest.fixture
def topic():
    """A topic no other test uses."""
    return f"test.{uuid.uuid4().hex[:8]}"


@pytest.fixture
def three(bellwire, topic):
    """Put three messages on the topic and give their payloads."""
    texts = ["one", "two", "three"]
    for text in texts:
        assert bellwire("pub", topic, "--data", text, "--key", text).status == 0
    return texts


def rejected(bellwire, topic, count, reason="no such account"):
    """Have the subscription "risk-TOPIC" give up messages."""
    name = f"risk-{topic}"
    arguments = (*("-s", name), *EARLIEST, *("-n", str(count)), "--reject", reason)
    assert bellwire("sub", topic, *arguments).status == 0
    return name


# ------------------------------------------------------------ dead letters


def test_a_rejected_message_is_a_dead_letter_until_it_is_redriven(bellwire, topic, three):
    name = rejected(bellwire, topic, 2)
    found = bellwire("dead-letters", "list", topic, "--json").json
    assert [letter["message"]["data"] for letter in found] == ["one", "two"]
    assert {(letter["subscription"], letter["cause"], letter["reason"]) for letter in found} == {
        (name, "rejected", "no such account")
    }
    assert [letter["offset"] for letter in found] == [0, 1]

    counted = bellwire("dead-letters", "redrive", topic, "--dry-run")
    assert counted.out == f"would redrive 2 dead letters of {topic}\n"
    redriven = bellwire("dead-letters", "redrive", topic)
    assert redriven.out == f"redriven: 2 dead letters of {topic}\n    {topic}/0@3..4\n"
    assert bellwire("dead-letters", "list", topic).out == f"no dead letters of {topic}\n"
    assert bellwire("sub", topic, "-s", name, "-n", "3").lines == ["three", "one", "two"]


def test_dead_letters_are_listed_for_people(bellwire, topic, three):
    name = rejected(bellwire, topic, 1)
    (head, why, what) = bellwire("dead-letters", "list", topic).lines
    assert f"  {topic}/0@0  given up by {name}, delivered once" in head
    assert why == "    rejected: no such account"
    assert what == "    one  -  one"


def test_filters_choose_and_a_limit_stops(bellwire, topic, three):
    name = rejected(bellwire, topic, 1, "first")
    rejected(bellwire, topic, 2, "second")

    def listed(*filters):
        found = bellwire("dead-letters", "list", topic, *filters, "--json").json
        return [letter["message"]["data"] for letter in found]

    assert listed() == ["one", "two", "three"]
    assert listed("--reason", "sec") == ["two", "three"]
    assert listed("--key", "two") == ["two"]
    assert listed("--before", "-1h") == []
    assert listed("--before", "+1h", "--subscription", name, "--limit", "2") == ["one", "two"]
    assert listed("--subscription", "nobody") == []
    (letter,) = bellwire("dead-letters", "list", topic, "--key", "three", "--json").json
    assert listed("--id", str(letter["id"])) == ["three"]
    shown = bellwire("dead-letters", "list", topic, "--limit", "1")
    assert shown.err == "there are more: --limit is 1\n"

    (redriven,) = bellwire("dead-letters", "redrive", topic, "-n", "1", "--json").json
    assert (redriven["messages"], redriven["remaining_messages"]) == (1, 2)
    assert listed() == ["two", "three"]


def test_purging_asks_for_certainty_and_deletes_what_was_chosen(
    bellwire, topic, three, monkeypatch
):
    rejected(bellwire, topic, 3)
    with open("/dev/null") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        refused = bellwire("dead-letters", "purge", topic)
    assert (refused.status, refused.out) == (2, "")
    assert "give --yes, or --dry-run to count" in refused.err
    counted = bellwire("dead-letters", "purge", topic, "--key", "one", "--dry-run")
    assert counted.out == f"would delete 1 dead letter of {topic} with key one\n"
    deleted = bellwire("dead-letters", "purge", topic, "--key", "one", "--yes", "--json").json
    assert deleted == [{"topic": topic, "dry_run": False, "messages": 1}]
    assert len(bellwire("dead-letters", "list", topic, "--json").json) == 2


def test_taking_some_messages_leaves_the_others_untried(bellwire, topic, three):
    name = f"once-{topic}"
    arguments = (topic, "-s", name, "-n", "1", "--max-attempts", "1")
    assert [bellwire("sub", *arguments).out for _ in three] == ["one\n", "two\n", "three\n"]
    assert bellwire("dead-letters", "list", topic, "--json").out == ""


# ------------------------------------------------------------ seek and replay


def test_a_subscription_reads_again_from_where_it_was_sought_to(bellwire, topic, three):
    name = f"seeker-{topic}"
    assert bellwire("sub", topic, "-s", name, "-n", "3").lines == three
    moved = bellwire("seek", name, f"{topic}/0@1")
    assert moved.out == f"{name} goes on at\n    {topic}/0@1\n"
    assert bellwire("sub", topic, "-s", name, "-n", "2").lines == ["two", "three"]
    assert bellwire("seek", name, "-1h", "--json").json == [
        {"subscription": name, "positions": [{"topic": topic, "partition": 0, "offset": 0}]}
    ]
    assert bellwire("seek", name, "latest").status == 0
    (row,) = bellwire("topics", "stats", topic, "--json").json[0]["subscriptions"]
    assert row["backlog_messages"] == 0


def test_seeking_beyond_the_end_is_refused_and_moves_nothing(bellwire, topic, three):
    name = f"seeker-{topic}"
    assert bellwire("sub", topic, "-s", name, "-n", "1").lines == ["one"]
    refused = bellwire("seek", name, f"{topic}/0@99")
    assert (refused.status, refused.out) == (1, "")
    assert "offset 99 is outside" in refused.err
    assert bellwire("sub", topic, "-s", name, "-n", "1").lines == ["two"]
    unknown = bellwire("seek", f"nobody-{topic}", "earliest")
    assert unknown.status == 1
    assert "does not exist" in unknown.err


def test_a_stretch_is_replayed_marked_and_no_cursor_moves(bellwire, topic, three):
    name = f"reader-{topic}"
    assert bellwire("sub", topic, "-s", name, "-n", "1").lines == ["one"]
    lines = bellwire("replay", topic).lines
    assert [line.split()[-2:] for line in lines] == [[text, "(replayed)"] for text in three]
    found = bellwire("replay", topic, "--from", f"{topic}/0@1", "-n", "1", "--json").json
    assert [(row["data"], row["replayed"]) for row in found] == [("two", True)]
    assert bellwire("sub", topic, "-s", name, "-n", "2").lines == ["two", "three"]


def test_an_empty_stretch_says_so(bellwire, topic, three):
    nothing = bellwire("replay", topic, "--until", "-1h")
    assert (nothing.status, nothing.out) == (0, "")
    assert nothing.err == "nothing to replay in that stretch\n"
    unknown = bellwire("replay", f"{topic}.absent")
    assert unknown.status == 1
    assert "no topic matches" in unknown.err


def test_tail_begins_at_a_place(bellwire, topic, three):
    found = bellwire("tail", topic, "--from", f"{topic}/0@2", "-n", "1", "--json").json
    assert [row["data"] for row in found] == ["three"]


# ------------------------------------------------------------ publishing


def test_a_message_that_expired_is_not_delivered_and_counted(bellwire, topic):
    bellwire("pub", topic, "--data", "stale", "--expire", "-1s")
    bellwire("pub", topic, "--data", "fresh")
    assert bellwire("sub", topic, *EARLIEST, "-n", "1").lines == ["fresh"]
    (stats,) = bellwire("topics", "stats", topic, "--json").json
    assert stats["dropped_messages"] == {"expired": 1}
    assert "dropped: expired" in bellwire("topics", "stats", topic).out


def test_a_message_carries_the_time_before_which_it_waits(bellwire, topic):
    late = bellwire("pub", topic, "--data", "x", "--not-before", "+8d")
    assert late.status == 1
    assert late.err.count("\n") == 1
    assert bellwire("pub", topic, "--data", "x", "--not-before", "-1s").status == 0
    assert bellwire("sub", topic, *EARLIEST, "-n", "1").lines == ["x"]


def test_the_same_request_id_publishes_once(bellwire, topic):
    arguments = ("pub", topic, "--data", "buy", "--request-id", f"order-{topic}")
    assert bellwire(*arguments).out == f"published 1 message to {topic}\n"
    assert bellwire(*arguments).out == f"published before: 1 message to {topic}\n"
    (again,) = bellwire(*arguments, "--json").json
    assert (again["messages"], again["duplicates"]) == (1, 1)
    assert bellwire("topics", "stats", topic, "--json").json[0]["published_messages"] == 1
    other = bellwire("pub", topic, "--data", "sell", "--request-id", f"order-{topic}")
    assert (other.status, other.out) == (1, "")
    assert f"order-{topic}" in other.err


def test_a_level_the_topic_cannot_give_is_refused(bellwire, topic):
    asked = bellwire("pub", topic, "--data", "x", "--ack", "received")
    assert asked.out == f"published 1 message to {topic}, received\n"
    refused = bellwire("pub", topic, "--data", "x", "--ack", "persisted")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.count("\n") == 1


def test_a_misspelt_type_of_ours_is_not_published(bellwire, topic):
    refused = bellwire("pub", topic, "--data", "{}", "--type", "bellwire.trading.v1.Singal")
    assert (refused.status, refused.out) == (2, "")
    assert "did you mean bellwire.trading.v1.Signal?" in refused.err
    assert bellwire("topics", "list", topic, "--json").out == ""


# ------------------------------------------------------------ topics, subscriptions, the server


def test_a_topic_is_deleted_for_who_is_sure(bellwire, topic, three, monkeypatch):
    with open("/dev/null") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        refused = bellwire("topics", "delete", topic)
    assert (refused.status, refused.err) == (2, "error: this deletes for good: give --yes\n")
    assert bellwire("topics", "delete", topic, "--yes").out == f"deleted {topic}\n"
    assert bellwire("topics", "list", topic).out == f"no topic matches {topic}\n"
    assert bellwire("topics", "delete", topic, "--yes").status == 1


def test_subscriptions_are_listed_and_deleted(bellwire, topic, three):
    name = f"reader-{topic}"
    assert bellwire("sub", topic, "-s", name, "-n", "1").lines == ["one"]
    (found,) = bellwire("subscriptions", "list", topic, "--json").json
    assert (found["subscription"], found["topics"], found["members"]) == (name, [topic], 0)
    assert found["backlog_messages"] == 2
    assert name in bellwire("subscriptions", "list").out
    assert bellwire("subscriptions", "delete", name, "--yes").out == f"deleted {name}\n"
    assert bellwire("subscriptions", "list", topic).out == "no named subscriptions\n"
    again = bellwire("subscriptions", "delete", name, "--yes")
    assert again.status == 1
    assert name in again.err


def test_a_topic_is_created_and_changed(bellwire, topic):
    arguments = ("--retention-seconds", "3600", "--priority", "order", "--log", "memory")
    (created,) = bellwire("topics", "create", topic, *arguments, "--json").json
    assert (created["retention_seconds"], created["priority_class"]) == (3600, "order")
    (changed,) = bellwire(
        *("topics", "update", topic, "--retention-messages", "7", "--overflow", "conflate"),
        "--json",
    ).json
    assert (changed["retention_messages"], changed["retention_seconds"]) == (7, 3600)
    assert (changed["overflow_policy"], changed["priority_class"]) == ("conflate", "order")
    shown = bellwire("topics", "update", topic, "--priority", "kill-switch")
    assert shown.lines[0] == f"changed {topic}"
    assert "kill-switch" in shown.out
    absent = bellwire("topics", "update", f"{topic}.absent", "--retention-messages", "7")
    assert absent.status == 1


def test_info_shows_what_runs_and_that_nothing_is_durable(bellwire, coordinator):
    (found,) = bellwire("info", "--json").json
    assert (found["pid"], found["addresses"]) == (coordinator["pid"], coordinator["addresses"])
    assert found["store"] is None
    assert "everything is kept in memory" in bellwire("info").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seek", "risk"], "Missing argument"),
        (["seek", "risk", "soon"], "'soon' is no position; expected earliest, latest, a time"),
        (["seek", "risk", "a/0@1", "latest"], "mixes positions"),
        (["replay", "t", "--speed", "0"], "--speed is '0'; expected 1 for the original pace"),
        (["replay", "t", "--until", "later"], "--until is 'later'; expected a time"),
        (["pub", "t", "-d", "x", "--expire", "30"], "--expire is '30'; expected a time"),
        (["pub", "t", "-", "--request-id", "a"], "--request-id names one message"),
        (["sub", "t", "--reject", "x"], "--reject goes with --subscription"),
        (["sub", "t", "--lease", "1h"], "--lease is '1h'; expected 1s to 10m"),
        (["sub", "t", "--from", "t/0"], "'t/0' is no position"),
        (["dead-letters", "list", "t", "--before", "never"], "--before is 'never'"),
        (["dead-letters", "list", "t", "--id", "0"], "greater than or equal to 1"),
        (["topics", "update", "t"], "name at least one setting to change"),
        (["topics", "create", "t", "--log", "tape"], "'tape' is not one of"),
        (["serve", "--default-log", "sqlite"], "coordinator.default_log"),
        (["serve", "--data", ""], "--data is empty; name a folder"),
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

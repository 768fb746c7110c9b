"""`bellwire serve --data`: what is acknowledged as persisted is there after a crash."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3

import pytest

pytestmark = pytest.mark.acceptance

EARLIEST = ("--from", "earliest")
DATABASE = "bellwire.db"


async def killed(command):
    """Kill a coordinator the way a power failure would end it, as far as a process can tell."""
    command.signal(signal.SIGKILL)
    assert (await command.end())[0] == -signal.SIGKILL


async def publish(bellwire, address, topic, *texts):
    async with bellwire.started("pub", topic, "-", "--ack", "persisted", "-a", address) as pub:
        out, err = await pub.process.communicate("\n".join(texts).encode())
    assert (pub.process.returncode, err) == (0, b"")
    assert b"persisted" in out


async def run_json(bellwire, *arguments):
    status, out, err = await bellwire.run(*arguments, "--json")
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


async def test_what_was_persisted_is_read_after_kill_9(bellwire):
    texts = [f"order {number}" for number in range(250)]
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        await publish(bellwire, address, "orders", *texts)
        await killed(server)

    async with bellwire.started("serve", "--json", "--listen", address, *data) as server:
        found = (await server.event())["recovery"]
        assert (found["topics"], found["messages"], found["after_crash"]) == (1, 250, True)
        status, out, _ = await bellwire.run("sub", "orders", *EARLIEST, "-n", "250", "-a", address)
        assert (status, out.splitlines()) == (0, texts)
        (row,) = await run_json(bellwire, "topics", "list", "orders", "-a", address)
        assert row["log"] == "sqlite"


async def test_a_named_subscription_goes_on_after_kill_9_and_misses_nothing(bellwire):
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        await publish(bellwire, address, "orders", *map(str, range(10)))
        taken = await bellwire.run("sub", "orders", "-s", "risk", "-n", "4", "-a", address)
        assert taken[1].splitlines() == ["0", "1", "2", "3"]
        await killed(server)

    async with bellwire.serving(*data) as (_, address):
        status, out, _ = await bellwire.run("sub", "orders", "-s", "risk", "-n", "6", "-a", address)
        found = [int(text) for text in out.splitlines()]
    # At least once: some of what was settled just before the crash may come again, nothing is skipped.
    assert (status, found) == (0, list(range(found[0], found[0] + 6)))
    assert found[0] <= 4


async def test_an_orderly_stop_is_told_from_a_crash(bellwire):
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        await publish(bellwire, address, "orders", "x")
        server.signal(signal.SIGTERM)
        assert (await server.end())[0] == 0
    async with bellwire.started("serve", "--listen", address, *data) as server:
        line = await server.line()
    assert line.startswith("recovered 1 topic, 1 message, 0 subscriptions, 0 dead letters (")
    assert line.endswith("; closed properly the last time")


async def test_a_new_folder_is_made_and_said_to_be_empty(bellwire):
    folder = bellwire.folder / "made" / "for it"
    address = f"unix://{bellwire.folder}/s"
    async with bellwire.started("serve", "--listen", address, "--data", str(folder)) as server:
        assert (await server.line()).startswith("nothing stored yet; opened in ")
        assert (folder / DATABASE).exists()


async def test_a_second_coordinator_on_the_folder_is_refused_and_the_first_goes_on(bellwire):
    async with bellwire.serving("--data", "data") as (server, address):
        second = ("serve", "--listen", f"unix://{bellwire.folder}/2", "--data", "data")
        status, out, err = await bellwire.run(*second)
        assert (status, out) == (2, "")
        assert err == (
            f"error: data folder {bellwire.folder}/data is in use by process {server.process.pid}: "
            "stop it, or use another folder\n"
        )
        assert (await bellwire.run("info", "-a", address))[0] == 0


async def test_a_file_is_no_data_folder(bellwire):
    (bellwire.folder / "data").write_text("")
    status, out, err = await bellwire.run("serve", "--data", "data")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {bellwire.folder}/data is a file")
    assert err.count("\n") == 1


async def test_a_default_log_without_a_folder_is_refused(bellwire):
    status, out, err = await bellwire.run("serve", "--default-log", "sqlite")
    assert (status, out) == (2, "")
    assert "coordinator.default_log" in err
    assert "data" in err


async def test_data_of_a_newer_version_are_refused_and_stay(bellwire):
    address = await stored(bellwire)
    with sqlite3.connect(bellwire.folder / "data" / DATABASE) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    status, out, err = await bellwire.run("serve", "--listen", address, "--data", "data")
    assert (status, out) == (2, "")
    assert "schema version 99" in err
    assert err.count("\n") == 1


@pytest.mark.slow
async def test_a_database_that_cannot_be_read_is_a_failure_and_the_doctor_says_so(bellwire):
    address = await stored(bellwire)
    (bellwire.folder / "data" / DATABASE).write_bytes(b"\0" * 100_000)
    status, out, err = await bellwire.run("serve", "--listen", address, "--data", "data")
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    status, out, _ = await bellwire.run("doctor", "data", "--json")
    report = json.loads(out)
    assert (status, report["healthy"]) == (1, False)
    assert report["findings"][0]["severity"] == "error"


async def stored(bellwire):
    """Leave one message behind in "data", and return the address it came by."""
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        await publish(bellwire, address, "orders", "x")
        server.signal(signal.SIGTERM)
        assert (await server.end())[0] == 0
    return address


async def test_the_doctor_looks_into_a_store_that_is_running(bellwire):
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (_, address):
        await publish(bellwire, address, "orders", "a", "b")
        (report,) = await run_json(bellwire, "doctor", "data")
        assert (report["healthy"], report["findings"]) == (True, [])
        assert [(log["name"], log["next_offset"]) for log in report["logs"]] == [("orders/0", 2)]
        status, out, _ = await bellwire.run("doctor", "data")
        assert (status, out.splitlines()[-1]) == (0, "healthy")


async def test_the_doctor_finds_nothing_where_nothing_is(bellwire):
    status, out, err = await bellwire.run("doctor", "nosuch")
    assert (status, err) == (1, "")
    assert out.splitlines()[-1] == "not healthy: 1 error"


async def test_info_shows_the_store(bellwire):
    async with bellwire.serving("--data", "data", "--default-log", "sqlite") as (server, address):
        await publish(bellwire, address, "orders", "a")
        (found,) = await run_json(bellwire, "info", "-a", address)
        assert (found["pid"], found["store"]["read_only"]) == (server.process.pid, False)
        assert found["store"]["path"] == f"{bellwire.folder}/data"
        assert found["store"]["commits"] >= 1
        shown = (await bellwire.run("info", "-a", address))[1]
        assert "writable" in shown
        assert "nothing stored yet" in shown


@pytest.mark.slow
async def test_a_memory_topic_beside_durable_ones_cannot_promise_what_it_cannot_keep(bellwire):
    async with bellwire.serving("--data", "data") as (_, address):
        at = ("-a", address)
        refused = await bellwire.run("pub", "ticks", "-d", "x", "--ack", "persisted", *at)
        assert refused[:2] == (1, "")
        assert "ACK_LEVEL_PERSISTED" in refused[2]
        created = await bellwire.run("topics", "create", "orders", "--log", "sqlite", *at)
        assert created == (0, "created orders with 1 partition, kept in sqlite\n", "")
        assert (await bellwire.run("pub", "orders", "-d", "x", "--ack", "persisted", *at))[0] == 0
        rows = await run_json(bellwire, "topics", "list", *at)
        # The refused message made its topic, which is empty.
        assert [(row["name"], row["log"]) for row in rows][-1] == ("ticks", "memory")


async def test_without_a_folder_a_durable_topic_is_refused(bellwire):
    async with bellwire.serving() as (_, address):
        status, out, err = await bellwire.run(
            "topics", "create", "t", "--log", "sqlite", "-a", address
        )
        assert (status, out) == (1, "")
        assert "--data" in err or "data" in err


@pytest.mark.slow
async def test_dead_letters_survive_kill_9_and_are_redriven_after_it(bellwire):
    data = ("--data", "data", "--default-log", "sqlite")
    named = ("-s", "risk", "-n", "2")
    async with bellwire.serving(*data) as (server, address):
        await publish(bellwire, address, "orders", "good", "poison", "late")
        at = ("-a", address)
        assert (await bellwire.run("sub", "orders", "-s", "risk", "-n", "1", *at))[1] == "good\n"
        given_up = await bellwire.run("sub", "orders", *named, "--reject", "no such account", *at)
        assert given_up[1] == "poison\nlate\n"
        (letter, _) = await run_json(bellwire, "dead-letters", "list", "orders", *at)
        await killed(server)

    async with bellwire.started("serve", "--json", "--listen", address, *data) as server:
        assert (await server.event())["recovery"]["dead_letters"] == 2
        assert (await run_json(bellwire, "dead-letters", "list", "orders", *at))[0] == letter
        assert letter["message"]["data"] == "poison"
        purged = await run_json(
            bellwire, *("dead-letters", "purge", "orders"), "--key", "x", "--yes", *at
        )
        assert purged[0]["messages"] == 0
        redriven = await bellwire.run("dead-letters", "redrive", "orders", *at)
        assert redriven[:2] == (0, "redriven: 2 dead letters of orders\n    orders/0@3..4\n")
        await killed(server)

    async with bellwire.serving(*data):
        # Appended and removed in one transaction: not in both places, not in neither.
        assert await run_json(bellwire, "dead-letters", "list", "orders", *at) == []
        assert (await bellwire.run("sub", "orders", *named, *at))[1] == "poison\nlate\n"
        other = await bellwire.run("sub", "orders", "-s", "audit", "-n", "3", *at)
        assert other[1] == "good\npoison\nlate\n"
        (stats,) = await run_json(bellwire, "topics", "stats", "orders", *at)
        backlog = {row["subscription"]: row["backlog_messages"] for row in stats["subscriptions"]}
        assert backlog["risk"] == 0


@pytest.mark.slow
async def test_a_stretch_of_a_durable_log_is_sought_and_replayed_after_a_crash(bellwire):
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        await publish(bellwire, address, "orders", *map(str, range(1, 6)))
        await killed(server)
    async with bellwire.serving(*data):
        at = ("-a", address)
        found = await run_json(bellwire, "replay", "orders", "--from", "orders/0@3", *at)
        assert [(row["data"], row["replayed"]) for row in found] == [("4", True), ("5", True)]
        paced = await run_json(bellwire, "replay", "orders", "--from", "-1h", "--speed", "1", *at)
        assert [row["offset"] for row in paced] == [0, 1, 2, 3, 4]
        taken = await bellwire.run("sub", "orders", "-s", "risk", "-n", "5", *at)
        assert taken[1].splitlines() == ["1", "2", "3", "4", "5"]
        moved = await run_json(bellwire, "seek", "risk", "-1h", *at)
        assert moved[0]["positions"] == [{"topic": "orders", "partition": 0, "offset": 0}]
        refused = await bellwire.run("seek", "risk", "orders/0@6", *at)
        assert refused[0] == 1
        assert "offset 6 is outside" in refused[2]
        again = await bellwire.run("sub", "orders", "-s", "risk", "-n", "1", *at)
        assert again[1] == "1\n"


@pytest.mark.slow
async def test_a_request_id_is_remembered_through_a_crash(bellwire):
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        once = (
            "pub",
            "orders",
            "-d",
            "buy",
            "--ack",
            "persisted",
            "--request-id",
            "1",
            "-a",
            address,
        )
        assert (await bellwire.run(*once))[1] == "published 1 message to orders, persisted\n"
        await killed(server)
    async with bellwire.serving(*data):
        assert (await bellwire.run(*once))[
            1
        ] == "published before: 1 message to orders, persisted\n"
        (stats,) = await run_json(bellwire, "topics", "stats", "orders", "-a", address)
        assert stats["partitions"][0]["next_offset"] == 1


@pytest.mark.slow
async def test_a_backup_made_while_it_runs_is_restored_whole(bellwire):
    """The drill: back up under way, lose the folder, restore, and go on."""
    data = ("--data", "data", "--default-log", "sqlite")
    async with bellwire.serving(*data) as (server, address):
        at = ("-a", address)
        await publish(bellwire, address, "orders", *map(str, range(100)))
        taken = await bellwire.run("sub", "orders", "-s", "risk", "-n", "40", *at)
        assert taken[1].splitlines() == [str(number) for number in range(40)]
        rejecting = ("sub", "orders", "-s", "risk", "-n", "1", "--reject", "poison", *at)
        assert (await bellwire.run(*rejecting))[1] == "40\n"
        await run_json(bellwire, "info", *at)
        backed = await bellwire.run("backup", "data", "orders.backup")
        assert (backed[0], backed[2]) == (0, "")
        assert backed[1].splitlines()[-1] == "healthy"
        assert "100 messages" in backed[1]
        await publish(bellwire, address, "orders", "after the backup")
        await killed(server)

    shutil.rmtree(bellwire.folder / "data")
    (restored,) = await run_json(bellwire, "restore", "orders.backup", "data")
    assert (restored["healthy"], restored["path"]) == (True, f"{bellwire.folder}/data")
    assert sum(log["messages"] for log in restored["logs"]) == 100

    async with bellwire.serving(*data):
        (letter,) = await run_json(bellwire, "dead-letters", "list", "orders", *at)
        assert letter["message"]["data"] == "40"
        everything = await bellwire.run("sub", "orders", "-s", "audit", "-n", "100", *at)
        assert everything[1].splitlines() == [str(number) for number in range(100)]
        rest = await bellwire.run("sub", "orders", "-s", "risk", "-n", "59", *at)
        first = int(rest[1].split()[0])
        assert first <= 41
        assert rest[1].splitlines() == [str(number) for number in range(first, first + 59)]


@pytest.mark.slow
async def test_neither_a_backup_nor_a_restore_overwrites_anything(bellwire):
    await stored(bellwire)
    assert (await bellwire.run("backup", "data", "copy"))[0] == 0
    before = (bellwire.folder / "copy").read_bytes()
    status, out, err = await bellwire.run("backup", "data", "copy")
    assert (status, out) == (2, "")
    assert "exists and is never overwritten" in err
    assert (bellwire.folder / "copy").read_bytes() == before
    status, out, err = await bellwire.run("restore", "copy", "data")
    assert (status, out) == (2, "")
    assert "holds data already" in err
    forced = await bellwire.run("restore", "copy", "data", "--force")
    assert forced[0] == 0
    assert (bellwire.folder / "data" / "replaced-1" / DATABASE).exists()


async def test_a_restore_into_the_folder_of_a_running_coordinator_is_refused(bellwire):
    async with bellwire.serving("--data", "data") as (_, address):
        assert (await bellwire.run("backup", "data", "copy"))[0] == 0
        status, out, err = await bellwire.run("restore", "copy", "data", "--force")
        assert (status, out) == (2, "")
        assert "is in use by process" in err
        assert (await bellwire.run("info", "-a", address))[0] == 0


@pytest.mark.slow
async def test_a_damaged_backup_is_not_restored(bellwire):
    await stored(bellwire)
    assert (await bellwire.run("backup", "data", "copy"))[0] == 0
    file = bellwire.folder / "copy"
    content = bytearray(file.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    file.write_bytes(content)
    status, out, err = await bellwire.run("restore", "copy", "elsewhere")
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not (bellwire.folder / "elsewhere" / DATABASE).exists()
    assert (await bellwire.run("doctor", "copy"))[0] == 1


async def test_what_is_no_store_cannot_be_backed_up(bellwire):
    for arguments in (("backup", "nosuch", "copy"), ("restore", "nosuch", "data")):
        status, out, err = await bellwire.run(*arguments)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1

"""Create, change and delete topics."""

from __future__ import annotations

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.cli.asking import check_somebody_is_there, confirm
from bellwire.cli.faults import UsageFault
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.session import Target, connected, run_async
from bellwire.cli.topic_view import settings_table, topic_json
from bellwire.cli.units import counted_text

__all__ = ["create_topic", "delete_topic", "update_topic"]


async def create_topic(target: Target, topic: Topic, *, as_json: bool) -> None:
    """Create a topic and print it as it is now.

    Raises:
        TopicExistsError: It exists with other settings.
    """
    async with connected(target) as client:
        created = await client.admin.create_topic(topic)
    if as_json:
        print_json(topic_json(created))
        return
    noun = "partition" if created.partition_count == 1 else "partitions"
    log = topic_json(created)["log"]
    kept = "" if log == "memory" else f", kept in {log}"
    console().print(
        f"created [{Style.NAME}]{created.name}[/] with {created.partition_count} {noun}{kept}"
    )


async def update_topic(target: Target, topic: Topic, *, as_json: bool) -> None:
    """Change the settings that are set and print the topic as it is now.

    Raises:
        UsageFault: None is set.
        UnknownTopicError: There is no such topic.
    """
    if topic == Topic(name=topic.name):
        raise UsageFault("name at least one setting to change; see `bellwire topics update --help`")
    async with connected(target) as client:
        changed = await client.admin.update_topic(topic)
    if as_json:
        print_json(topic_json(changed))
        return
    out = console()
    out.print(f"changed [{Style.NAME}]{changed.name}[/]")
    out.print(settings_table(changed))


def delete_topic(target: Target, name: str, *, sure: bool, as_json: bool) -> None:
    """Delete a topic, after a question unless `sure`.

    Raises:
        UsageFault: Nobody is there to be asked.
        UnknownTopicError: There is no such topic.
    """
    if not sure:
        check_somebody_is_there()
        messages = run_async(lambda: _kept_messages(target, name))
        confirm(f"topic {name} with {counted_text(messages, 'message')}")
    run_async(lambda: _delete(target, name))
    if as_json:
        print_json({"deleted": name})
    else:
        console().print(f"deleted [{Style.NAME}]{name}[/]")


async def _kept_messages(target: Target, name: str) -> int:
    async with connected(target) as client:
        stats = await client.admin.topic_stats(name)
    return sum(row.next_offset - row.low_offset for row in stats.partitions)


async def _delete(target: Target, name: str) -> None:
    async with connected(target) as client:
        await client.admin.delete_topic(name)

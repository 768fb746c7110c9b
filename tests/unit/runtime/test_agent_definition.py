"""What an agent class may declare, and how wrong ones are refused."""

from collections.abc import Callable

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime import Agent, MessageContext, on_watermark, subscribe, tool
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError
from bellwire.runtime.registration import directory_entry
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.trading.v1.signal_pb2 import Signal


class Rules(Agent):
    """A small agent."""

    name = "rules"
    publishes = ("{signals_topic}",)
    stage = "signals"
    default_settings = {"bars_topic": "bars.1h", "signals_topic": "signals.tactical"}  # noqa: RUF012

    @subscribe("{bars_topic}", type=Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Signal | None:
        """Answer nothing."""

    @tool(title="Count", description="Counts.")
    async def count(self) -> int:
        """Not this line."""
        return 1

    @tool()
    async def explain(self, symbol: str) -> str:
        """Explain the last signal.

        More text.
        """
        return symbol


def test_decorated_methods_become_handlers_and_tools() -> None:
    (handler,) = Rules.declarations.handlers
    assert (handler.method, handler.topic, handler.payload_type) == ("on_bar", "{bars_topic}", Bar)
    assert handler.type_name == "bellwire.trading.v1.Bar"
    assert [(t.name, t.title, t.description) for t in Rules.declarations.tools] == [
        ("count", "Count", "Counts."),
        ("explain", "", "Explain the last signal."),
    ]


def test_topics_are_filled_from_the_settings_of_the_instance() -> None:
    dispatcher = Dispatcher(Rules({"bars_topic": "bars.5m"}))
    assert (dispatcher.topics, dispatcher.publishes) == (("bars.5m",), ("signals.tactical",))


class Optional(Rules):
    """Works without topics, too."""

    name = "optional"
    default_settings = {"bars_topic": "", "signals_topic": ""}  # noqa: RUF012


def test_a_topic_that_is_left_out_by_default_is_neither_read_nor_written() -> None:
    dispatcher = Dispatcher(Optional())
    assert (dispatcher.topics, dispatcher.publishes) == ((), ())


@pytest.mark.parametrize("name", ["bars_topic", "signals_topic"])
def test_a_topic_that_is_needed_cannot_be_left_out(name: str) -> None:
    with pytest.raises(AgentSettingsError, match=rf"'{{{name}}}' of agent 'rules' is empty"):
        Dispatcher(Rules({name: ""}))


def test_agent_id_names_the_first_replica_unless_given() -> None:
    assert Rules().agent_id == "rules-0"
    assert Rules(agent_id="rules-7").agent_id == "rules-7"


def test_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(AgentSettingsError, match=r"'bar_topic'.*bars_topic"):
        Rules({"bar_topic": "x"})


def test_topic_template_without_its_setting_is_refused() -> None:
    class Lost(Agent):
        name = "lost"
        publishes = ("{nowhere}",)

    with pytest.raises(AgentSettingsError, match=r"\{nowhere\}"):
        Dispatcher(Lost())


def test_agent_without_a_name_cannot_be_made() -> None:
    class Nameless(Agent):
        """Forgot its name."""

    with pytest.raises(AgentDefinitionError, match="no name"):
        Nameless()


def test_payload_type_is_taken_from_the_annotation() -> None:
    class Annotated(Agent):
        name = "annotated"

        @subscribe("a")
        @subscribe("b")
        async def on_bar(self, bar: Bar, context: MessageContext) -> None:
            """Take two topics."""

        @subscribe("c")
        async def on_any(self, message: Message, context: MessageContext) -> None:
            """Take everything."""

    assert [(h.topic, h.type_name) for h in Annotated.declarations.handlers] == [
        ("a", "bellwire.trading.v1.Bar"),
        ("b", "bellwire.trading.v1.Bar"),
        ("c", ""),
    ]


def test_subclass_inherits_handlers_and_overriding_without_a_mark_drops_them() -> None:
    class Quiet(Rules):
        name = "quiet"

        async def on_bar(self, bar: Bar, context: MessageContext) -> Signal | None:
            """Handle nothing any more."""

    class Louder(Rules):
        name = "louder"

    assert Quiet.declarations.handlers == ()
    assert len(Quiet.declarations.tools) == 2
    assert len(Louder.declarations.handlers) == 1


def define_sync_handler() -> None:
    class Wrong(Agent):
        @subscribe("t", Bar)  # type: ignore[type-var]  # that is the fault
        def on_bar(self, bar: Bar, context: MessageContext) -> None:
            """Be synchronous."""


def define_short_handler() -> None:
    class Wrong(Agent):
        @subscribe("t", Bar)
        async def on_bar(self, bar: Bar) -> None:
            """Take no context."""


def define_untyped_handler() -> None:
    class Wrong(Agent):
        @subscribe("t")
        async def on_bar(self, bar, context):
            """Say no type."""


def define_handler_of_text() -> None:
    class Wrong(Agent):
        @subscribe("t", str)  # type: ignore[arg-type]  # that is the fault
        async def on_text(self, text: str, context: MessageContext) -> None:
            """Take what is no protobuf."""


def define_sync_watermark_handler() -> None:
    class Wrong(Agent):
        @on_watermark("t")  # type: ignore[type-var]  # that is the fault
        def on_mark(self, mark: Watermark, context: MessageContext) -> None:
            """Be synchronous."""


def define_tool_with_a_set() -> None:
    class Wrong(Agent):
        @tool()
        async def pick(self, symbols: set[str]) -> None:
            """Take what JSON has not."""


def define_tool_without_annotation() -> None:
    class Wrong(Agent):
        @tool()
        async def pick(self, symbols):
            """Say no type."""


def define_tool_with_star() -> None:
    class Wrong(Agent):
        @tool()
        async def pick(self, *symbols: str) -> None:
            """Take arguments that have no name."""


def define_tool_with_odd_default() -> None:
    class Wrong(Agent):
        @tool()
        async def pick(self, share: float = float("nan")) -> None:
            """Default to what JSON has not."""


def define_sync_tool() -> None:
    class Wrong(Agent):
        @tool()  # type: ignore[type-var]  # that is the fault
        def pick(self) -> None:
            """Be synchronous."""


def define_tool_twice() -> None:
    class Wrong(Agent):
        @tool(name="same")
        async def one(self) -> None:
            """Be first."""

        @tool(name="same")
        async def two(self) -> None:
            """Be second."""


def define_publishes_string() -> None:
    class Wrong(Agent):
        publishes = "signals"  # type: ignore[assignment]  # that is the fault


def define_odd_name() -> None:
    class Wrong(Agent):
        name = "has space"


@pytest.mark.parametrize(
    ("define", "says"),
    [
        (define_sync_handler, r"Wrong\.on_bar must be `async def`"),
        (define_short_handler, r"must take \(self, payload, context\)"),
        (define_untyped_handler, "annotate 'bar'"),
        (define_handler_of_text, "no protobuf message class"),
        (define_sync_watermark_handler, "must be `async def`"),
        (define_tool_with_a_set, r"set\[str\].*no JSON Schema here; use str, int"),
        (define_tool_without_annotation, "'symbols' of tool 'pick' has no annotation"),
        (define_tool_with_star, "cannot be passed by name"),
        (define_tool_with_odd_default, "no JSON value"),
        (define_sync_tool, "must be `async def`"),
        (define_tool_twice, "'same' is used twice"),
        (define_publishes_string, "make it a tuple"),
        (define_odd_name, "'has space'"),
    ],
)
def test_wrong_declaration_is_refused_when_the_class_is_defined(
    define: Callable[[], None], says: str
) -> None:
    with pytest.raises(AgentDefinitionError, match=says):
        define()


def test_watermarks_of_two_inputs_are_not_forwarded_as_one_stage() -> None:
    class Merging(Agent):
        name = "merging"
        stage = "merged"
        publishes = ("out",)

        @subscribe("a", Bar)
        @subscribe("b", Bar)
        async def on_bar(self, bar: Bar, context: MessageContext) -> None:
            """Take two topics."""

    class Pattern(Agent):
        name = "pattern"
        stage = "merged"

        @subscribe("bars.>", Bar)
        async def on_bar(self, bar: Bar, context: MessageContext) -> None:
            """Take many topics."""

    class Careful(Merging):
        name = "careful"

        @on_watermark("b")
        async def on_mark(self, mark: Watermark, context: MessageContext) -> None:
            """Take one of the two."""

    for wrong in (Merging, Pattern):
        with pytest.raises(AgentDefinitionError, match="merge them yourself"):
            Dispatcher(wrong())
    assert Dispatcher(Careful()).topics == ("a", "b")


def test_a_tool_may_say_how_long_its_answers_hold() -> None:
    class Values(Agent):
        name = "values"

        @tool(cache_seconds=1.5, outdated_by=("bars.>", "quotes"))
        async def value(self, symbol: str) -> float:
            """Give a value."""
            return 1.0

        @tool()
        async def random(self) -> float:
            """Give another one each time."""
            return 1.0

    value, random = directory_entry(Dispatcher(Values()), 1).capabilities
    assert (value.cache.ttl_millis, list(value.cache.outdated_by)) == (1_500, ["bars.>", "quotes"])
    assert not random.HasField("cache")


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ({"cache_seconds": -1.0}, "cache_seconds is -1"),
        ({"cache_seconds": 86_401.0}, "cache_seconds is 86401"),
        ({"cache_seconds": 0.0001}, "cache_seconds is 0.0001"),
        ({"outdated_by": ("bars",)}, "outdated_by needs cache_seconds"),
        ({"cache_seconds": 1.0, "outdated_by": ("a b",)}, "outdated_by: topic"),
    ],
)
def test_a_cache_that_cannot_be_is_refused(mark, said) -> None:
    async def value(self: Agent) -> float:
        """Give a value."""
        return 1.0

    with pytest.raises(AgentDefinitionError, match=said):
        type("Values", (Agent,), {"name": "values", "value": tool(**mark)(value)})

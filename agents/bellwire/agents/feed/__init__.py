"""Market data from a file onto the bus, bar by bar."""

from bellwire.agents.feed.agent import BarFeed, BarFeedSettings, to_message
from bellwire.agents.feed.schedule import BarSchedule

__all__ = ["BarFeed", "BarFeedSettings", "BarSchedule", "to_message"]

"""Market data from a file onto the bus, bar by bar."""

from bellwire.agents.feed.agent import BarFeed, BarFeedSettings
from bellwire.agents.feed.schedule import BarSchedule

__all__ = ["BarFeed", "BarFeedSettings", "BarSchedule"]
